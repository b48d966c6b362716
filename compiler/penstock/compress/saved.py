"""A compressed model on disk: a .safetensors checkpoint that also carries its number formats.

The tensors are those that any PyTorch user expects; the formats stand in the file's metadata, under
``penstock``, so that ``penstock compile`` gives the very integers that were trained.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from penstock.atomic import write_files
from penstock.calibration import Ranges
from penstock.errors import PenstockError
from penstock.fixed import Fixed
from penstock.frontend.state_dict import HeadOptions
from penstock.settings import Precision

KEY, SCHEMA = "penstock", 1


@dataclass(frozen=True)
class Formats:
    """What a compressed checkpoint says beside its tensors."""

    ranges: Ranges
    precision: Precision
    head: HeadOptions | None = None

    def to_json(self) -> str:
        """Text for the file's metadata."""
        settings = {
            name: value.to_json() if isinstance(value, Fixed) else value
            for name, value in vars(self.precision).items()
            if name not in ("overrides", "row_exponents")
        }
        overrides = {name: kind.to_json() for name, kind in self.precision.overrides.items()}
        head = None if self.head is None else [self.head.at, self.head.activation]
        return json.dumps(
            {"schema": SCHEMA, "peak": self.ranges.peak, "precision": settings,
             "overrides": overrides, "row_exponents": self.precision.row_exponents,
             "head": head}, sort_keys=True,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> Formats:
        """Inverse of ``to_json``. Raises KeyError, TypeError or ValueError for anything else."""
        fields = json.loads(text)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']}, this is schema {SCHEMA}")
        settings: dict[str, Any] = {
            name: Fixed.from_json(value) if isinstance(value, dict) else value
            for name, value in fields["precision"].items()
        }
        overrides = {name: Fixed.from_json(kind) for name, kind in fields["overrides"].items()}
        head = None if fields["head"] is None else HeadOptions(*fields["head"])
        precision = Precision(
            **settings, overrides=overrides, row_exponents=fields["row_exponents"]
        )
        return cls(Ranges(fields["peak"]), precision, head)


def save_compressed(tensors: dict[str, NDArray[np.float32]], formats: Formats, path: Path) -> None:
    """Write the checkpoint beside ``path`` and move it into place. Raises PenstockError."""
    write_atomically(path, save(tensors, {KEY: formats.to_json()}))


def write_atomically(path: Path, content: bytes) -> None:
    """Never half a file: an interrupt leaves what was there before. Raises PenstockError."""

    def save_content(file: IO[bytes]) -> None:
        file.write(content)

    write_files({path: save_content})


def load_formats(path: Path) -> Formats | None:
    """The formats in a checkpoint's metadata; None if it has none. Raises PenstockError."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except (OSError, SafetensorError):
        return None  # reading the tensors will say what is wrong
    if text is None:
        return None
    try:
        return Formats.from_json(text)
    except (KeyError, TypeError, ValueError) as error:
        raise PenstockError(
            f"the checkpoint's number formats are damaged: {error}", str(path), "compress it again"
        ) from error
