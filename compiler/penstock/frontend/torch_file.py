"""Files of ``torch.save`` -> the state dict in them. No code in a file is ever run."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

from penstock.errors import PenstockError, kind_of
from penstock.frontend.nested import network_in

SAVE = "save it with torch.save(model.state_dict(), path)"
SCRIPT = "save its weights: torch.save(torch.jit.load(path).state_dict(), other)"
DAMAGED = "the file is damaged, or was not written by torch.save"
LFS = b"version https://git-lfs.github.com/"
EXPANDED, FLOOR = 16, 1 << 16
"""Elements that a byte of the file may stand for, as in a sparse tensor; so many are always few."""
OBJECTS = "the file holds Python objects, which could run code and so are not loaded"
QUANTIZED = ("_packed_params", "_all_weight_values")
"""In the names of what torch.ao's dynamic quantization saves in place of weights."""
FLOATS = "compile the float module that it was made from; Penstock quantizes by itself"


class Inert:
    """What stands in a loaded file for an object of any other class: nothing, and it does nothing.

    So a date, a NumPy scalar or a trainer's settings beside the weights do not keep them from being
    read.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Forget what the object was made of."""

    def __new__(cls, *arguments: Any, **more: Any) -> Inert:
        """Likewise."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Likewise."""


def from_torch(content: bytes, where: str, key: str | None = None) -> Mapping[str, Any]:
    """Tensors by name, loaded with ``weights_only=True``. Raises PenstockError.

    key: which of the dictionaries in the file, see ``network_in``.
    """
    try:
        import torch
    except ImportError as error:
        raise PenstockError(
            "reading a .pt file needs torch",
            where,
            "pip install 'penstock[torch]', or save the weights as .safetensors",
        ) from error
    try:
        loaded = _loaded(content)
    except Exception as error:  # torch raises a different type for every way to be damaged
        raise PenstockError(*_why_not_loaded(content, str(error), where)) from error
    state = network_in(loaded, where, key)
    if not isinstance(state, Mapping):
        is_object = isinstance(state, Inert)
        what = OBJECTS if is_object else f"the file holds {kind_of(state)}"
        raise PenstockError(what, where, SAVE)
    elements = 0
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise PenstockError(*_no_tensor(str(name), value, where))
        elements += 0 if value.is_meta else value.numel()  # those are refused by name later
        if elements > max(EXPANDED * len(content), FLOOR):
            raise PenstockError(f"{name} claims more elements than the file can hold", where, SAVE)
    return state


def _no_tensor(name: str, value: Any, where: str) -> tuple[str, str, str]:
    if any(part in name for part in QUANTIZED):
        return f"{name} belongs to a dynamically quantized module", where, FLOATS
    if isinstance(value, Inert):
        return OBJECTS, where, SAVE
    return f"{name} is {kind_of(value)}, not a tensor", where, SAVE


def from_torch_bytes(content: bytes) -> Any:
    """What torch.save wrote, of plain types and tensors. Raises any exception for anything else."""
    import torch

    _check_records(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _loaded(content: bytes) -> Any:
    """The same, but objects of other classes are ``Inert``: their classes are never imported."""
    try:
        return from_torch_bytes(content)
    except Exception as error:
        if "GLOBAL" not in str(error):
            raise
        try:
            return _loaded_without_objects(content)
        except Exception:
            raise error from None


def _loaded_without_objects(content: bytes) -> Any:
    import torch

    names = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    inert: Any = [(Inert, name) for name in names]
    with torch.serialization.safe_globals(inert):
        return from_torch_bytes(content)


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


def _why_not_loaded(content: bytes, text: str, where: str) -> tuple[str, str, str]:
    """torch's own words advise to load the file without ``weights_only``: not for a user's ears."""
    if "GLOBAL" in text:
        return OBJECTS, where, SAVE
    if "TorchScript" in text:
        return "the file is a TorchScript archive", where, SCRIPT
    if not content:
        return "the file is empty", where, "was it cut short? copy or save it again"
    if content.startswith(LFS):
        return "the file is a pointer of Git LFS, not the checkpoint", where, "git lfs pull"
    return DAMAGED, where, SAVE
