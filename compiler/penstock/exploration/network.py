"""The network of an exploration: with what its number formats and its errors depend on."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from penstock.calibration import Ranges
from penstock.driver import ranges_of
from penstock.entry import Loaded
from penstock.fidelity import Trial, Validation, trial_of
from penstock.fixed import IntArray
from penstock.model import RecurrentModel
from penstock.settings import Balance
from penstock.version import __version__


@dataclass(frozen=True)
class Network:
    """A float network, its calibrated ranges, and the frames on which its error is measured.

    balanced_for: see ``compile_model``. where: what errors call it.
    """

    model: RecurrentModel
    ranges: Ranges
    trial: Trial
    balanced_for: Balance | None
    where: str

    @classmethod
    def of(
        cls, loaded: Loaded, lengths: IntArray | None = None, states: Any = None,
        validation: Validation | None = None,
    ) -> Network:  # fmt: skip
        """As ``compile_model`` would take it. Raises PenstockError."""
        model, given, where = loaded.model, loaded.calibration, loaded.name
        ranges = ranges_of(model, given, where, lengths, states)
        trial = trial_of(model, given, lengths, validation, where)
        return cls(model, ranges, trial, loaded.balanced_for, where)

    @cached_property
    def digest(self) -> str:
        """Of all that a result depends on beside the settings; names and notes do not count."""
        model = self.model
        return digest_of(
            (model.inputs, model.places, model.outputs, model.is_regression, self.ranges.peak,
             self.ranges.counts, self.ranges.columns, self.ranges.is_synthetic,
             self.trial.frames, self.trial.lengths, self.trial.labels, str(self.trial.source),
             self.balanced_for)
        )  # fmt: skip


def digest_of(value: Any) -> str:
    """sha256 of plain values, arrays, and dataclasses of them, by their content."""
    found = hashlib.sha256()
    for part in _parts(value):
        found.update(part)
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """Bytes that differ where values do: each with its kind and its length."""
    if isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape}:".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif is_dataclass(value) and not isinstance(value, type):
        yield f"{type(value).__name__} ".encode()
        yield from _parts({field.name: getattr(value, field.name) for field in fields(value)})
    elif isinstance(value, dict):
        yield f"dict {len(value)}:".encode()
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"list {len(value)}:".encode()
        for item in value:
            yield from _parts(item)
    else:
        assert value is None or isinstance(value, str | bytes | int | float), type(value)
        text = repr(value).encode()
        yield f"{type(value).__name__} {len(text)}:".encode() + text


@cache
def versions() -> str:
    """Of all code that a result depends on: this package, file by file, and its libraries."""
    root = Path(__file__).resolve().parents[1]
    code = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in ("cli", "codegen", "synthesis", "inspection"):
            code.update(f"{path.relative_to(root)}:".encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return f"penstock {__version__} ({code.hexdigest()[:16]}), numpy {np.__version__}, {python}"
