"""weights/manifest.json: what the weight files hold, and how to read them back.

Both directions: the compiler writes ``Manifest`` and the files; the runtime reads them again and
rebuilds every matrix from the packed bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.formats import Entries, Layout, PhaseCode
from penstock.formats.protocol import Matrices
from penstock.packing.words import beats_of, pack_words, unpack_words

SCHEMA = 1


@dataclass(frozen=True)
class Manifest:
    """Everything that turns weight bytes into matrices.

    layouts: name -> order of a vector in hardware. group_pes: PEs behind one memory port.
    parameters: on-chip vectors in the order of ``parameters.bin``, as (node, layout).
    sha256: file -> digest. extra: settings for the runtime (lanes, input order, ...).
    """

    pes: int
    group_pes: int
    port_bits: int
    phases: tuple[PhaseCode, ...]
    layouts: dict[str, Layout]
    layout_of: dict[str, str]
    parameters: tuple[str, ...]
    extra: dict[str, Any]
    sha256: dict[str, str]

    @property
    def groups(self) -> int:
        """Memory ports for weights."""
        return self.pes // self.group_pes

    def beat_offsets(self) -> list[int]:
        """First beat of each phase, the same in every group, and the end."""
        return beat_offsets(self.phases, self.group_pes, self.port_bits)

    def to_json(self) -> str:
        """The text of manifest.json."""
        fields = {
            "schema": SCHEMA, "pes": self.pes, "group_pes": self.group_pes,
            "port_bits": self.port_bits,
            "entry": "weight (two's complement, low bits), then gap; lowest PE lowest",
            "phases": [
                {**phase.to_json(), "first_beat": beat}
                for phase, beat in zip(self.phases, self.beat_offsets(), strict=False)
            ],
            "layout_of": self.layout_of, "parameters": list(self.parameters),
            "extra": self.extra, "sha256": self.sha256,
            "layouts": {name: list(layout.order) for name, layout in self.layouts.items()},
        }  # fmt: skip
        lines = ",\n ".join(
            f"{json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()
        )
        return "{" + lines + "}\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Inverse of ``to_json``. Raises KeyError, TypeError or ValueError for anything else."""
        fields = json.loads(text)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']}, this is schema {SCHEMA}")
        phases = []
        for phase in fields["phases"]:
            phase.pop("first_beat")
            phases.append(PhaseCode.from_json(phase))
        layouts = {name: Layout(tuple(order)) for name, order in fields["layouts"].items()}
        return cls(
            fields["pes"], fields["group_pes"], fields["port_bits"], tuple(phases), layouts,
            fields["layout_of"], tuple(fields["parameters"]), fields["extra"], fields["sha256"],
        )  # fmt: skip


def beat_offsets(phases: Sequence[PhaseCode], group_pes: int, port_bits: int) -> list[int]:
    """First beat of each phase in a group's file, and the end."""
    offsets = [0]
    for phase in phases:
        words = beats_of(phase.words, group_pes * phase.entry_bits, port_bits)
        offsets.append(offsets[-1] + words)
    return offsets


def sha256_of(content: bytes) -> str:
    """Hex digest of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def pack_group(manifest: Manifest, entries: list[Entries], group: int) -> bytes:
    """The weight file of one group: its share of every phase."""
    first = group * manifest.group_pes
    parts = []
    for phase, words in zip(manifest.phases, entries, strict=True):
        own = words.of_pes(slice(first, first + manifest.group_pes))
        parts.append(pack_words(own, phase.fields, manifest.port_bits))
    return b"".join(parts)


def unpack_phase(manifest: Manifest, files: list[bytes], index: int) -> Entries:
    """The words of one phase from the files of all groups. Raises ValueError for short files."""
    phase, offsets = manifest.phases[index], manifest.beat_offsets()
    beat_bytes = manifest.port_bits // 8
    parts = [
        unpack_words(
            content[offsets[index] * beat_bytes : offsets[index + 1] * beat_bytes],
            phase.words, manifest.group_pes, phase.fields,
        )
        for content in files
    ]  # fmt: skip
    return Entries.joined(parts)


def decode_matrices(manifest: Manifest, phase: PhaseCode, entries: Entries) -> Matrices:
    """Every weight matrix of a phase from its words.

    Raises ValueError for an entry outside the matrices or a weight that is written twice.
    """
    nonzeros, _ = phase.format.decode(phase, entries)
    return phase.format.matrices(phase, manifest.layouts, manifest.pes, nonzeros)
