"""Files of ``torch.save`` -> the state dict in them. No code in a file is ever run."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

from penstock.errors import PenstockError

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict beside the optimizer's."""
SAVE = "save it with torch.save(model.state_dict(), path)"
EXPANDED, FLOOR = 16, 1 << 16
"""Elements that a byte of the file may stand for, as in a sparse tensor; so many are always few."""


def from_torch(content: bytes, where: str) -> Mapping[str, Any]:
    """Tensors by name, loaded with ``weights_only=True``. Raises PenstockError."""
    try:
        import torch
    except ImportError as error:
        raise PenstockError(
            "reading a .pt file needs torch",
            where,
            "pip install 'penstock[torch]', or save the weights as .safetensors",
        ) from error
    try:
        loaded = from_torch_bytes(content)
    except Exception as error:  # torch raises a different type for every way to be damaged
        raise PenstockError(_why_not_loaded(str(error)), where, SAVE) from error
    for key in NESTED * 2:  # in whatever order they are nested
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise PenstockError(f"the file holds a {type(loaded).__name__}", where, SAVE)
    elements = 0
    for name, value in loaded.items():
        if not isinstance(value, torch.Tensor):
            raise PenstockError(f"{name} is a {type(value).__name__}, not a tensor", where, SAVE)
        elements += value.numel()
        if elements > max(EXPANDED * len(content), FLOOR):
            raise PenstockError(f"{name} claims more elements than the file can hold", where, SAVE)
    return loaded


def from_torch_bytes(content: bytes) -> Any:
    """What torch.save wrote, of plain types and tensors. Raises any exception for anything else."""
    import torch

    _check_records(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _check_records(content: bytes) -> None:
    """Raise ValueError if the archive claims more bytes than it has: torch would take the memory.

    torch.save compresses nothing. What is no archive is of the format before torch 1.6.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise ValueError("TorchScript")
        if sum(record.file_size for record in archive.infolist()) > len(content):
            raise ValueError("records greater than the file")


def _why_not_loaded(text: str) -> str:
    """torch's own words advise to load the file without ``weights_only``: not for a user's ears."""
    if "GLOBAL" in text:
        return "the file holds Python objects, which could run code and so are not loaded"
    if "TorchScript" in text:
        return "the file is a TorchScript archive"
    return "the file is damaged, or was not written by torch.save"
