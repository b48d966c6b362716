"""Stages of training on disk, to be resumed: nothing that was changed or torn is gone on with.

A progress folder holds ``recipe``, the digest of all that training depends on, and a file of
``torch.save`` for each stage, whose key ``sha256`` covers the recipe, the stage and its content.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penstock.compress.saved import write_atomically
from penstock.errors import PenstockError
from penstock.frontend.torch_file import from_torch_bytes

MARKER = "recipe"
DIGEST = "sha256"


def open_progress(folder: Path, recipe: str) -> Path:
    """Make or reopen the folder of a recipe (its digest). Raises PenstockError for another's."""
    marker = folder / MARKER
    try:
        found = marker.read_bytes() if marker.exists() else recipe.encode()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PenstockError(
            f"progress can't be saved: {error.strerror}", str(folder), "choose another place"
        ) from error
    if found != recipe.encode():
        is_digest = re.fullmatch(rb"[0-9a-f]{64}", found)
        raise PenstockError(
            "the saved progress belongs to other settings or data" if is_digest
            else "it can't be read what the saved progress belongs to",
            str(folder if is_digest else marker),
            "remove it, or write elsewhere" if is_digest
            else f"remove {folder}, or write elsewhere",
        )  # fmt: skip
    write_atomically(marker, recipe.encode())
    return folder


def save_stage(folder: Path, stage: str, state: dict[str, Any]) -> None:
    """Keep how far a stage has come. Raises PenstockError."""
    buffer = io.BytesIO()
    torch.save({**state, DIGEST: _digest(folder, stage, state)}, buffer)
    write_atomically(folder / f"{stage}.pt", buffer.getvalue())


def load_stage(folder: Path, stage: str) -> dict[str, Any] | None:
    """What ``save_stage`` kept; None if the stage was not begun. Raises PenstockError."""
    path = folder / f"{stage}.pt"
    if not path.exists():
        return None
    try:
        state = from_torch_bytes(path.read_bytes())
        if state.pop(DIGEST) != _digest(folder, stage, state):
            raise ValueError("another digest")
    except Exception as error:  # torch raises a different type for every way to be damaged
        raise PenstockError(
            f"the saved progress of stage {stage} is damaged or belongs to another run",
            str(path),
            "remove this file to train the stage again",
        ) from error
    kept: dict[str, Any] = state
    return kept


def _digest(folder: Path, stage: str, state: dict[str, Any]) -> str:
    marker = folder / MARKER
    recipe = marker.read_bytes() if marker.is_file() else b""
    digest = hashlib.sha256(recipe + f" {stage} ".encode())
    _feed(digest, state)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Take in dictionaries, sequences, tensors and plain values, each with its kind and size."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        digest.update(f"{plain.dtype} {tuple(plain.shape)} ".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        digest.update(f"dict {len(value)} ".encode())
        for key, part in value.items():
            _feed(digest, key)
            _feed(digest, part)
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)} ".encode())
        for part in value:
            _feed(digest, part)
    else:
        digest.update(f"{type(value).__name__} {value!r} ".encode())
