"""Files of tensors -> arrays by name: ``.safetensors``, and ``.pt`` / ``.pth`` state dicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from penstock.arrays import as_floats
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.checked import checked
from penstock.frontend.torch_file import from_torch

STORED = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
}  # fmt: skip
"""Element types of safetensors. NumPy has no bfloat16: it is the upper half of a float32."""
LONGEST_REASON = 200
"""Of what safetensors says, which may quote much of the file."""
AGAIN = "save it again, as float32"


def read_checkpoint(path: Path) -> dict[str, FloatArray]:
    """Every tensor of a checkpoint as float64. Pickles are loaded with ``weights_only=True``.

    Raises PenstockError for a missing or damaged file, for one that holds no tensors, and for odd
    names and values that are not finite or beyond all bounds.
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
        tensors = arrays(from_torch(content, where), where)
    else:
        raise PenstockError(
            f"checkpoints can't be read from {path.suffix or 'a file without a suffix'}",
            where,
            "give a .pt state dict or a .safetensors file",
        )
    if not tensors:
        raise PenstockError("the checkpoint holds no tensors", where, "save model.state_dict()")
    return tensors


def _from_safetensors(content: bytes, where: str) -> dict[str, FloatArray]:
    try:
        stored = deserialize(content)  # type: ignore[no-untyped-call]
        plain = {name: _plain(name, entry, where) for name, entry in sorted(stored, key=_name)}
    except (SafetensorError, OverflowError, ValueError) as error:
        raise PenstockError(
            f"not a complete safetensors file: {str(error)[:LONGEST_REASON]}",
            where,
            "was it cut short? copy or save it again",
        ) from error
    return checked(_masked(plain, where), where)


def _name(stored: tuple[str, Any]) -> str:
    return stored[0]  # safetensors gives its tensors in an order that is drawn


def _plain(name: str, entry: Mapping[str, Any], where: str) -> FloatArray:
    kind = entry["dtype"]
    if kind not in STORED:
        raise PenstockError(f"{name} is of type {kind}", where, AGAIN)
    values = np.frombuffer(entry["data"], STORED[kind]).reshape(entry["shape"])
    if kind == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return as_floats(values)


def arrays(state: Mapping[str, Any], where: str) -> dict[str, FloatArray]:
    """A state dict's tensors -> float64 arrays; ``X_orig`` and ``X_mask`` of torch's pruning -> X.

    Raises PenstockError for what holds no real numbers, and as ``read_checkpoint`` does.
    """
    plain = {str(name): _floats(str(name), value, where) for name, value in state.items()}
    return checked(_masked(plain, where), where)


def _floats(name: str, value: Any, where: str) -> FloatArray:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return as_floats(value)
    if getattr(value, "is_meta", False):
        raise PenstockError(
            f"{name} is on the meta device, which holds no values", where, "load the weights first"
        )
    try:
        if value.is_complex():
            raise TypeError("complex")
        values: FloatArray = value.detach().cpu().to_dense().double().numpy()
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        kind = getattr(value, "dtype", type(value).__name__)
        raise PenstockError(f"{name} is of type {kind}", where, AGAIN) from error
    return values


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
