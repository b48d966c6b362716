"""Files of tensors -> arrays by name: ``.safetensors``, and ``.pt`` / ``.pth`` state dicts."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from penstock.errors import PenstockError
from penstock.fixed import FloatArray

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict beside the optimizer's."""
STORED = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
}  # fmt: skip
"""Element types of safetensors. NumPy has no bfloat16: it is the upper half of a float32."""
SAVE = "save it with torch.save(model.state_dict(), path)"


def read_checkpoint(path: Path) -> dict[str, FloatArray]:
    """Every tensor of a checkpoint as float64. Pickles are loaded with ``weights_only=True``.

    Raises PenstockError for a missing or damaged file, and for one that holds no tensors.
    """
    where = str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PenstockError(
            f"the checkpoint can't be read: {error.strerror}", where, "check the path"
        ) from error
    if path.suffix == ".safetensors":
        tensors = _from_safetensors(content, where)
    elif path.suffix in (".pt", ".pth", ".bin"):
        tensors = _from_torch(content, where)
    else:
        raise PenstockError(
            f"a checkpoint of kind {path.suffix or 'without suffix'} is not supported",
            where,
            "give a .pt state dict or a .safetensors file",
        )
    if not tensors:
        raise PenstockError("the checkpoint holds no tensors", where, "save model.state_dict()")
    return tensors


def _from_safetensors(content: bytes, where: str) -> dict[str, FloatArray]:
    try:
        stored = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise PenstockError(
            f"this is no whole safetensors file: {error}",
            where,
            "was it cut short? copy or save it again",
        ) from error
    return _masked({name: _plain(name, entry, where) for name, entry in stored}, where)


def _plain(name: str, entry: Mapping[str, Any], where: str) -> FloatArray:
    kind = entry["dtype"]
    if kind not in STORED:
        raise PenstockError(f"{name} is of type {kind}", where, "save it again, as float32")
    values = np.frombuffer(entry["data"], STORED[kind]).reshape(entry["shape"])
    if kind == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)


def _from_torch(content: bytes, where: str) -> dict[str, FloatArray]:
    try:
        import torch
    except ImportError as error:
        raise PenstockError(
            "reading a .pt file needs torch",
            where,
            "pip install 'penstock[torch]', or save the weights as .safetensors",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for every way to be damaged
        raise PenstockError(_why_not_loaded(str(error)), where, SAVE) from error
    for key in NESTED * 2:  # in whatever order they are nested
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise PenstockError(f"the file holds a {type(loaded).__name__}", where, SAVE)
    for name, value in loaded.items():
        if not isinstance(value, torch.Tensor):
            raise PenstockError(f"{name} is a {type(value).__name__}, no tensor", where, SAVE)
    return arrays(loaded, where)


def _why_not_loaded(text: str) -> str:
    """torch's own words advise to load the file without ``weights_only``: not for a user's ears."""
    if "GLOBAL" in text:
        return "the file holds Python objects, which could run code and so are not loaded"
    if "TorchScript" in text:
        return "the file is a TorchScript archive"
    return "the file is damaged, or was not written by torch.save"


def arrays(state: Mapping[str, Any], where: str) -> dict[str, FloatArray]:
    """torch tensors -> float64 arrays; ``X_orig`` and ``X_mask`` of torch.nn.utils.prune -> X."""
    plain = {}
    for name, value in state.items():
        try:
            if value.is_complex():
                raise TypeError("complex")
            plain[str(name)] = value.detach().cpu().to_dense().double().numpy()
        except (RuntimeError, TypeError, AttributeError) as error:
            raise PenstockError(
                f"{name} is of type {getattr(value, 'dtype', type(value).__name__)}",
                where,
                "save it again, as float32",
            ) from error
    return _masked(plain, where)


def _masked(plain: dict[str, FloatArray], where: str) -> dict[str, FloatArray]:
    """``X_orig`` and ``X_mask`` -> X = X_orig * X_mask."""
    for name in [name for name in plain if name.endswith("_orig")]:
        stem = name.removesuffix("_orig")
        if f"{stem}_mask" in plain:
            value, mask = plain.pop(name), plain.pop(f"{stem}_mask")
            if value.shape != mask.shape:
                raise PenstockError(
                    f"{stem}_mask is of another shape than {name}",
                    where,
                    "was the checkpoint saved from another model?",
                )
            plain[stem] = value * mask
    return plain
