"""Files of tensors -> arrays by name: safetensors, and what torch.save wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError, deserialize

from penstock.arrays import as_floats
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.checked import checked
from penstock.frontend.torch_file import DAMAGED, FLOATS, QUANTIZED, from_torch

STORED = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
}  # fmt: skip
"""Element types of safetensors. NumPy has no bfloat16: it is the upper half of a float32."""
NARROW = ("F32", "F16", "BF16")
"""Of them, those that float32 holds exactly."""
LARGE = 1 << 26
"""Bytes of a file whose weights would take much memory in float64."""
LONGEST_REASON = 200
"""Of what safetensors says, which may quote much of the file."""
KERAS = "convert it to .onnx, for example with tf2onnx"
OF_ARRAYS = "save its arrays with safetensors.numpy.save_file"
WAYS = {
    ".h5": KERAS, ".hdf5": KERAS, ".keras": KERAS, ".tflite": KERAS, ".pb": KERAS,
    ".index": KERAS, ".npz": OF_ARRAYS, ".npy": OF_ARRAYS, ".pkl": OF_ARRAYS, ".pickle": OF_ARRAYS,
}  # fmt: skip
"""Suffixes of others -> how what is in the file can be read."""
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
"""Of files that are said to be damaged if torch can't read them."""
OF_TORCH = (b"PK", b"\x80")
AGAIN = "save it again, as float32"


def read_checkpoint(
    path: Path, key: str | None = None, keeps_narrow: bool = False
) -> dict[str, FloatArray]:
    """Every tensor of a checkpoint as float64, in the file's order where it has one.

    The content decides how it is read. Pickles are loaded with ``weights_only=True``. key: which of
    the dictionaries in the file. keeps_narrow: the matrices of a large safetensors file are given
    in float32 where that holds what is stored: widen them before you compute. Raises PenstockError
    for a missing or damaged file, for one that holds no tensors, and for odd names and values that
    are not finite or beyond all bounds.
    """
    where = str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PenstockError(
            f"the checkpoint can't be read: {error.strerror}", where, "check the path"
        ) from error
    if _is_safetensors(content, path.suffix):
        if key is not None:
            raise PenstockError(
                "a safetensors file has no dictionaries to choose from", where, "leave out --key"
            )
        tensors = _from_safetensors(content, where, keeps_narrow and len(content) > LARGE)
    elif content.startswith(OF_TORCH) or path.suffix in TORCH_SUFFIXES:
        try:
            tensors = arrays(from_torch(content, where, key), where)
        except PenstockError as error:
            if path.suffix in WAYS and error.what == DAMAGED:
                raise _of_another(path) from error
            raise
    else:
        raise _of_another(path)
    if not tensors:
        raise PenstockError("the checkpoint holds no tensors", where, "save model.state_dict()")
    return tensors


def is_of_torch(path: Path) -> bool:
    """True for a checkpoint that is read by torch."""
    with path.open("rb") as file:
        return not _is_safetensors(file.read(9), path.suffix)


def _of_another(path: Path) -> PenstockError:
    return PenstockError(
        f"checkpoints can't be read from {path.suffix or 'a file without a suffix'}",
        str(path),
        WAYS.get(path.suffix, "give a .pt state dict, a .safetensors or an .onnx file"),
    )


def _is_safetensors(content: bytes, suffix: str) -> bool:
    """A header's length and a brace; what is neither that nor of torch is what it is called."""
    is_of_torch = content.startswith((b"PK\x03\x04", b"\x80"))
    return content[8:9] == b"{" or (suffix == ".safetensors" and not is_of_torch)


def _from_safetensors(content: bytes, where: str, keeps_narrow: bool) -> dict[str, FloatArray]:
    try:
        stored = deserialize(content)  # type: ignore[no-untyped-call]
        plain = {
            name: _plain(name, entry, where, keeps_narrow)
            for name, entry in sorted(stored, key=_name)
        }
    except (SafetensorError, OverflowError, ValueError) as error:
        raise PenstockError(
            f"not a complete safetensors file: {str(error)[:LONGEST_REASON]}",
            where,
            "was it cut short? copy or save it again",
        ) from error
    return checked(_masked(plain, where), where)


def _name(stored: tuple[str, Any]) -> str:
    return stored[0]  # safetensors gives its tensors in an order that is drawn


def _plain(name: str, entry: Mapping[str, Any], where: str, keeps_narrow: bool) -> FloatArray:
    kind = entry["dtype"]
    if kind not in STORED:
        raise PenstockError(f"{name} is of type {kind}", where, AGAIN)
    values = np.frombuffer(entry["data"], STORED[kind]).reshape(entry["shape"])
    if kind == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    if keeps_narrow and values.ndim == 2 and kind in NARROW:
        return cast(FloatArray, values.astype(np.float32, copy=False))
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
    if type(value).__name__.startswith("Uninitialized"):
        raise PenstockError(
            f"{name} is of a lazy layer, which has no weights yet", where,
            "run the module once on frames of the right width",
        )  # fmt: skip
    if any(part in name for part in QUANTIZED):
        raise PenstockError(f"{name} belongs to a dynamically quantized module", where, FLOATS)
    try:
        if value.is_complex():
            raise TypeError("complex")
        values: FloatArray = value.detach().cpu().to_dense().double().numpy()
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        kind = getattr(value, "dtype", type(value).__name__)
        raise PenstockError(f"{name} is of type {kind}", where, AGAIN) from error
    return values


def _masked(plain: dict[str, FloatArray], where: str) -> dict[str, FloatArray]:
    """``X_orig`` and ``X_mask`` -> X = X_orig * X_mask, in the place of the first."""
    found: dict[str, FloatArray] = {}
    masks = {
        f"{name.removesuffix('_orig')}_mask"
        for name in plain if name.endswith("_orig")
    }  # fmt: skip
    for name, value in plain.items():
        stem = name.removesuffix("_orig")
        if name.endswith("_orig") and f"{stem}_mask" in plain:
            mask = plain[f"{stem}_mask"]
            value, mask = as_floats(value), as_floats(mask)
            if value.shape != mask.shape:
                raise PenstockError(
                    f"{stem}_mask is of another shape than {name}",
                    where,
                    "was the checkpoint saved from another model?",
                )
            found[stem] = value * mask
        elif name not in masks:
            found.setdefault(name, value)
    return found
