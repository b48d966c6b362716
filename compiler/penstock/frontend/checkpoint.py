"""Files of tensors -> arrays by name: ``.safetensors``, and ``.pt`` / ``.pth`` state dicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from penstock.errors import PenstockError
from penstock.fixed import FloatArray

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict beside the optimizer's."""


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
        tensors = _from_torch(path)
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
        stored = load_safetensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise PenstockError(
            f"this is no whole safetensors file of floats: {error}",
            where,
            "save it again, as float32",
        ) from error
    return {name: np.asarray(value, dtype=np.float64) for name, value in stored.items()}


def _from_torch(path: Path) -> dict[str, FloatArray]:
    try:
        import torch
    except ImportError as error:
        raise PenstockError(
            "reading a .pt file needs torch",
            str(path),
            "pip install 'penstock[torch]', or save the weights as .safetensors",
        ) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for every way to be damaged
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PenstockError(
            f"this is no whole state dict: {first[:120]}",
            str(path),
            "save it with torch.save(model.state_dict(), path)",
        ) from error
    for key in NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise PenstockError(
            "the file holds something else than tensors by name",
            str(path),
            "save it with torch.save(model.state_dict(), path)",
        )
    return arrays(loaded)


def arrays(state: Mapping[str, Any]) -> dict[str, FloatArray]:
    """torch tensors -> float64 arrays; ``X_orig`` and ``X_mask`` of torch.nn.utils.prune -> X."""
    plain = {
        str(name): value.detach().cpu().double().numpy()
        for name, value in state.items()
        if hasattr(value, "detach")
    }
    for name in [name for name in plain if name.endswith("_orig")]:
        stem = name.removesuffix("_orig")
        if f"{stem}_mask" in plain:
            plain[stem] = plain.pop(name) * plain.pop(f"{stem}_mask")
    return plain
