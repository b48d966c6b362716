"""weights/manifest.json: what the weight files hold, and how to read them back.

Both directions: the compiler writes ``Manifest`` and the files; the runtime reads them again and
rebuilds every matrix from the packed bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np

from penstock.formats import Bank, Entries, Layout, PhaseCode, Relative
from penstock.formats.protocol import Matrices
from penstock.packing.groups import PeGroups
from penstock.packing.schema import (
    SCHEMA,
    Golden,
    Interface,
    KernelChoices,
    LoopFields,
    ManifestFields,
    PhaseFields,
    RunFields,
    decode_manifest,
)
from penstock.packing.words import beats_of, pack_words, unpack_words


@dataclass(frozen=True)
class WordRun:
    """Words of a phase that the kernel goes through in one go, from ``first`` on.

    phase: its index. Runs stand in the files in the order in which a step takes them.
    """

    phase: int
    first: int
    words: int


@dataclass(frozen=True)
class Manifest:
    """Everything that turns weight bytes into matrices.

    layouts: name -> order of a vector in hardware. group_pes: PEs that one word feeds. weights:
    read in every step, each group's from a port of its own, or kept on chip, from one for all.
    parameters: on-chip vectors in the order of ``parameters.bin``, as nodes. interface, kernel,
    golden, loops: see ``schema``.
    """

    pes: int
    group_pes: int
    port_bits: int
    weights: Literal["stream", "onchip"]
    phases: tuple[PhaseCode, ...]
    runs: tuple[WordRun, ...]
    layouts: dict[str, Layout]
    layout_of: dict[str, str]
    parameters: tuple[str, ...]
    interface: Interface
    kernel: KernelChoices
    golden: Golden
    loops: tuple[LoopFields, ...] = ()

    @property
    def groups(self) -> int:
        """Memory ports for weights."""
        return self.pes // self.group_pes

    @property
    def pe_groups(self) -> PeGroups:
        """Which PEs are behind which port."""
        is_bank = isinstance(self.phases[0].format, Bank)
        return PeGroups(
            self.groups, self.group_pes, 1 if is_bank else self.kernel.elements_per_cycle
        )

    @property
    def queue_depth(self) -> int | None:
        """Of the PEs' activation queues; None where activations are not broadcast."""
        form = self.phases[0].format
        return form.queue_depth if isinstance(form, Relative) else None

    def beat_offsets(self) -> list[int]:
        """First beat of each run, the same in every group, and the end."""
        return beat_offsets(self.runs, self.phases, self.group_pes, self.port_bits)

    def runs_of(self, phase: int) -> list[int]:
        """The runs of a phase, in the order of its words."""
        own = [index for index, run in enumerate(self.runs) if run.phase == phase]
        return sorted(own, key=lambda index: self.runs[index].first)

    def file_bytes(self) -> dict[str, int]:
        """The size of every weight file: name -> bytes; one for each port."""
        size = self.beat_offsets()[-1] * self.port_bits // 8
        if self.weights == "onchip":
            return {"weights/words.bin": size * self.groups}
        return {f"weights/group_{group}.bin": size for group in range(self.groups)}

    def of_groups(self, files: Sequence[bytes]) -> list[bytes]:
        """The words of each group from the files of all ports."""
        content = b"".join(files)
        size = self.beat_offsets()[-1] * self.port_bits // 8
        if len(content) != size * self.groups:
            raise ValueError("the weight files are of another size")
        return [content[size * group : size * (group + 1)] for group in range(self.groups)]

    def to_json(self) -> str:
        """The text of manifest.json."""
        fields = ManifestFields(
            SCHEMA, self.pes, self.group_pes, self.port_bits, self.weights,
            "weight (two's complement, low bits), then "
            f"{', '.join(field.name for field in self.phases[0].fields[1:])}; lowest PE lowest",
            tuple(PhaseFields(**vars(phase)) for phase in self.phases),
            tuple(
                RunFields(**vars(run), first_beat=beat)
                for run, (beat, _) in zip(self.runs, pairwise(self.beat_offsets()), strict=True)
            ),
            self.layout_of, self.parameters, self.interface, self.kernel, self.golden,
            self.loops,
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
        phases = tuple(PhaseCode(**msgspec.structs.asdict(phase)) for phase in fields.phases)
        runs = tuple(WordRun(run.phase, run.first, run.words) for run in fields.runs)
        layouts = {name: Layout(order) for name, order in fields.layouts.items()}
        manifest = cls(
            fields.pes, fields.group_pes, fields.port_bits, fields.weights, phases, runs, layouts,
            fields.layout_of, fields.parameters, fields.interface, fields.kernel, fields.golden,
            fields.loops,
        )  # fmt: skip
        if [run.first_beat for run in fields.runs] != manifest.beat_offsets()[:-1]:
            raise ValueError("the runs do not follow one another")
        return manifest


def beat_offsets(
    runs: Sequence[WordRun], phases: Sequence[PhaseCode], group_pes: int, port_bits: int
) -> list[int]:
    """First beat of each run in a group's file, and the end."""
    offsets = [0]
    for run in runs:
        entry_bits = phases[run.phase].entry_bits
        offsets.append(offsets[-1] + beats_of(run.words, group_pes * entry_bits, port_bits))
    return offsets


def sha256_of(content: bytes) -> str:
    """Hex digest of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def pack_group(manifest: Manifest, entries: list[Entries], group: int) -> bytes:
    """The weight file of one group: its share of every phase."""
    members = manifest.pe_groups.members(group)
    parts = []
    for run in manifest.runs:
        own = entries[run.phase].of_words(run.first, run.words).of_pes(members)
        parts.append(pack_words(own, manifest.phases[run.phase].fields, manifest.port_bits))
    return b"".join(parts)


def unpack_phase(manifest: Manifest, files: list[bytes], index: int) -> Entries:
    """The words of one phase from the files of all ports. Raises ValueError for short files."""
    phase, offsets = manifest.phases[index], manifest.beat_offsets()
    beat_bytes = manifest.port_bits // 8

    def unpacked(content: bytes, run: int) -> Entries:
        own = content[offsets[run] * beat_bytes : offsets[run + 1] * beat_bytes]
        return unpack_words(own, manifest.runs[run].words, manifest.group_pes, phase.fields)

    runs = manifest.runs_of(index)
    parts = [
        Entries.in_a_row([unpacked(content, run) for run in runs])
        for content in manifest.of_groups(files)
    ]
    order = np.concatenate([manifest.pe_groups.members(g) for g in range(manifest.groups)])
    return Entries.joined(parts).of_pes(np.argsort(order))


def decode_matrices(manifest: Manifest, phase: PhaseCode, entries: Entries) -> Matrices:
    """Every weight matrix of a phase from its words.

    Raises ValueError for an entry outside the matrices or a weight that is written twice.
    """
    nonzeros, _ = phase.format.decode(phase, entries)
    return phase.format.matrices(phase, manifest.layouts, manifest.pes, nonzeros)
