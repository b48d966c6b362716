"""A compressed model on disk: a .safetensors checkpoint that also carries its number formats.

The tensors are those that any PyTorch user expects; the formats stand in the file's metadata, under
``penstock``, so that ``penstock compile`` gives the very integers that were trained. Formats belong
to their tensors: a digest over both stands beside them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save

from penstock.atomic import write_files
from penstock.calibration import Ranges
from penstock.compress.formats_schema import SCHEMA, FormatsText, Metadata, text_of
from penstock.compress.network_text import NetworkText
from penstock.errors import PenstockError
from penstock.frontend.state_dict import HeadOptions
from penstock.model import RecurrentModel
from penstock.settings import Precision

KEY = "penstock"


@dataclass(frozen=True)
class Formats:
    """What a compressed checkpoint says beside its tensors.

    pes, banks: that its pattern is balanced for. network: what is computed, unless it is the stack
    and the head that any reader of the tensors finds; then ``head`` says where it runs.
    is_regression: see RecurrentModel.
    """

    ranges: Ranges
    precision: Precision
    head: HeadOptions | None = None
    pes: int | None = None
    banks: int | None = None
    network: RecurrentModel | NetworkText | None = None
    is_regression: bool = False

    def to_json(self) -> str:
        """Text for the file's metadata."""
        network = self.network
        assert not isinstance(network, NetworkText), "it was read, and is written as it was read"
        return text_of(
            self.ranges, self.precision, self.head, self.pes, self.banks, network,
            self.is_regression,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> Formats:
        """Inverse of ``to_json``. Raises ValueError or PenstockError for anything else."""
        found = msgspec.json.decode(text, type=FormatsText)
        ranges, precision = found.to_ranges(), found.to_precision()
        head, is_regression = found.to_head(), found.is_regression
        return cls(ranges, precision, head, found.pes, found.banks, found.network, is_regression)


def save_compressed(tensors: dict[str, NDArray[np.float32]], formats: Formats, path: Path) -> None:
    """Write the checkpoint beside ``path`` and move it into place. Raises PenstockError."""
    text = formats.to_json()
    write_atomically(path, save(tensors, {KEY: metadata_of(text, save(tensors))}))


def metadata_of(text: str, content: bytes) -> str:
    """What stands under ``KEY``: the formats, and the digest over them and a file's tensors."""
    signed = Metadata(SCHEMA, msgspec.Raw(text.encode()), digest_of(text, content))
    return msgspec.json.encode(signed).decode()


def digest_of(text: str, content: bytes) -> str:
    """Of formats and of every tensor in a safetensors file, whatever their order in it."""
    digest = hashlib.sha256(f"{len(text)} {text}".encode())
    for name, entry in sorted(deserialize(content)):  # type: ignore[no-untyped-call]
        digest.update(f"{name!r} {entry['dtype']} {list(entry['shape'])}".encode())
        digest.update(entry["data"])
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Never half a file: an interrupt leaves what was there before. Raises PenstockError."""

    def save_content(file: IO[bytes]) -> None:
        file.write(content)

    write_files({path: save_content})


def load_formats(path: Path) -> Formats | None:
    """The formats in a checkpoint's metadata; None if it has none. Raises PenstockError."""
    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except (OSError, SafetensorError):
        return None  # reading the tensors will say what is wrong
    if text is None:
        return None
    try:
        return _checked(text, path)
    except ValueError as error:
        raise PenstockError(
            f"the checkpoint's number formats are damaged: {error}", str(path), "compress it again"
        ) from error


def _checked(metadata: str, path: Path) -> Formats:
    """Raises ValueError for damage, and PenstockError for formats of other tensors."""
    try:
        found = msgspec.json.decode(metadata, type=Metadata)
    except RecursionError as error:
        raise ValueError("they are nested too deeply") from error
    if found.schema != SCHEMA:
        raise ValueError(f"schema {found.schema}, but this version reads schema {SCHEMA}")
    text = bytes(found.formats).decode()
    if digest_of(text, path.read_bytes()) != found.sha256:
        raise PenstockError(
            "the checkpoint's number formats do not match its tensors: one or the other was "
            "changed",
            str(path),
            "compress it again, or save the tensors without metadata",
        )
    try:
        return Formats.from_json(text)
    except PenstockError as error:
        raise ValueError(error.what) from error
