"""weights/manifest.json: what the weight files hold, and how to read them back.

Both directions: the compiler writes ``Manifest`` and the files; the runtime reads them again and
rebuilds every matrix from the packed bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from penstock.fixed import IntArray
from penstock.packing.index_code import Entries, NonZeros, decode_entries
from penstock.packing.layout import Layout, PhaseCode
from penstock.packing.schema import (
    SCHEMA,
    Golden,
    Interface,
    KernelChoices,
    ManifestFields,
    PhaseFields,
    decode_manifest,
)
from penstock.packing.words import beats_of, pack_words, unpack_words


@dataclass(frozen=True)
class Manifest:
    """Everything that turns weight bytes into matrices.

    layouts: name -> order of a vector in hardware. group_pes: PEs behind one memory port.
    parameters: on-chip vectors in the order of ``parameters.bin``, as nodes. interface, kernel,
    golden: see ``schema``.
    """

    pes: int
    group_pes: int
    port_bits: int
    phases: tuple[PhaseCode, ...]
    layouts: dict[str, Layout]
    layout_of: dict[str, str]
    parameters: tuple[str, ...]
    interface: Interface
    kernel: KernelChoices
    golden: Golden

    @property
    def groups(self) -> int:
        """Memory ports for weights."""
        return self.pes // self.group_pes

    def beat_offsets(self) -> list[int]:
        """First beat of each phase, the same in every group, and the end."""
        offsets = [0]
        for phase in self.phases:
            word_bits = self.group_pes * phase.entry_bits
            offsets.append(offsets[-1] + beats_of(phase.words, word_bits, self.port_bits))
        return offsets

    def file_bytes(self) -> dict[str, int]:
        """The size of every weight file: name -> bytes."""
        size = self.beat_offsets()[-1] * self.port_bits // 8
        return {f"weights/group_{group}.bin": size for group in range(self.groups)}

    def to_json(self) -> str:
        """The text of manifest.json."""
        fields = ManifestFields(
            SCHEMA, self.pes, self.group_pes, self.port_bits,
            "weight (two's complement, low bits), then gap; lowest PE lowest",
            tuple(
                PhaseFields(**phase.to_json(), first_beat=beat)
                for phase, (beat, _) in zip(self.phases, pairwise(self.beat_offsets()), strict=True)
            ),
            self.layout_of, self.parameters, self.interface, self.kernel, self.golden,
            {name: layout.order for name, layout in self.layouts.items()},
        )  # fmt: skip
        lines = ",\n ".join(
            f"{json.dumps(key)}: {json.dumps(value)}"
            for key, value in msgspec.to_builtins(fields).items()
        )
        return "{" + lines + "}\n"

    @classmethod
    def from_json(cls, text: bytes | str) -> Manifest:
        """Inverse of ``to_json``. Raises ValueError for anything else."""
        fields = decode_manifest(text)
        phases = tuple(PhaseCode.from_json(_without_first_beat(phase)) for phase in fields.phases)
        layouts = {name: Layout(order) for name, order in fields.layouts.items()}
        manifest = cls(
            fields.pes, fields.group_pes, fields.port_bits, phases, layouts, fields.layout_of,
            fields.parameters, fields.interface, fields.kernel, fields.golden,
        )  # fmt: skip
        if [phase.first_beat for phase in fields.phases] != manifest.beat_offsets()[:-1]:
            raise ValueError("the phases do not follow one another")
        return manifest


def _without_first_beat(phase: PhaseFields) -> dict[str, Any]:
    fields = msgspec.structs.asdict(phase)
    del fields["first_beat"]
    return fields


def sha256_of(content: bytes) -> str:
    """Hex digest of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def pack_group(manifest: Manifest, entries: list[Entries], group: int) -> bytes:
    """The weight file of one group: its share of every phase."""
    first = group * manifest.group_pes
    parts = []
    for phase, words in zip(manifest.phases, entries, strict=True):
        share = slice(first, first + manifest.group_pes)
        own = Entries(words.weight[:, share], words.gap[:, share])
        parts.append(pack_words(own, phase.weight_bits, phase.index_bits, manifest.port_bits))
    return b"".join(parts)


def unpack_phase(manifest: Manifest, files: list[bytes], index: int) -> Entries:
    """The words of one phase from the files of all groups. Raises ValueError for short files."""
    phase, offsets = manifest.phases[index], manifest.beat_offsets()
    beat_bytes = manifest.port_bits // 8
    parts = [
        unpack_words(
            content[offsets[index] * beat_bytes : offsets[index + 1] * beat_bytes],
            phase.words, manifest.group_pes, phase.weight_bits, phase.index_bits,
        )
        for content in files
    ]  # fmt: skip
    return Entries(
        np.concatenate([part.weight for part in parts], axis=1),
        np.concatenate([part.gap for part in parts], axis=1),
    )


def decode_matrices(
    manifest: Manifest, phase: PhaseCode, entries: Entries
) -> dict[tuple[str, int], IntArray]:
    """Every weight matrix of a phase from its words: (matvec, operand index) -> (rows, columns).

    Raises ValueError for an entry outside the matrix or a weight that is written twice.
    """
    nonzeros, _ = decode_entries(entries)
    rows = manifest.layouts[phase.rows]
    column, slot = np.divmod(nonzeros.position, phase.slots)
    row_index, sibling = np.divmod(slot, phase.siblings)
    row = np.array(rows.order)[row_index * manifest.pes + nonzeros.pe]
    if (row < 0).any() or (sibling >= len(phase.matvecs)).any() or (column >= phase.columns).any():
        raise ValueError(f"phase {phase.name} has an entry outside its matrix")
    matrices = {}
    start = 0
    for index, (layout_name, positions) in enumerate(phase.operands):
        layout = manifest.layouts[layout_name]
        order = np.array(layout.order)
        for m, matvec in enumerate(phase.matvecs):
            mine = (sibling == m) & (column >= start) & (column < start + positions)
            element = order[column[mine] - start]
            if (element < 0).any():
                raise ValueError(f"phase {phase.name} has an entry in an empty column")
            matrix = np.zeros((rows.length, layout.length), dtype=np.int64)
            if len(np.unique(row[mine] * layout.length + element)) != int(mine.sum()):
                raise ValueError(f"phase {phase.name} holds a weight twice")
            matrix[row[mine], element] = nonzeros.weight[mine]
            matrices[matvec, index] = matrix
        start += positions
    return matrices


def place_nonzeros(
    manifest_pes: int, phase: PhaseCode, layouts: dict[str, Layout],
    matrices: dict[tuple[str, int], IntArray],
) -> NonZeros:  # fmt: skip
    """The inverse of ``decode_matrices``: every non-zero weight at its PE and position."""
    rows = layouts[phase.rows]
    pes, positions, weights = [], [], []
    start = 0
    for index, (layout_name, count) in enumerate(phase.operands):
        column_of = layouts[layout_name].position_of
        for m, matvec in enumerate(phase.matvecs):
            matrix = matrices[matvec, index]
            row, element = np.nonzero(matrix)
            row_index, pe = np.divmod(rows.position_of[row], manifest_pes)
            slot = row_index * phase.siblings + m
            pes.append(pe)
            positions.append((start + column_of[element]) * phase.slots + slot)
            weights.append(matrix[row, element])
        start += count
    pe, position = np.concatenate(pes), np.concatenate(positions)
    order = np.lexsort((position, pe))
    return NonZeros(pe[order], position[order], np.concatenate(weights)[order])
