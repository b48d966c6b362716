"""The schema of weights/manifest.json: every field named, typed and bounded.

A manifest is decoded into these types before anything is computed or allocated from it. So a field
that is missing, unknown, of another type or out of bounds is an error that names it. What one
field says of another is checked in ``check_sizes``. What no bound can show (the manifest against
the graph, the weights and the kernel) is left to the runtime and to ``penstock check``.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from penstock.bounds import (
    LANE_CHOICES,
    MAX_CELL_UNITS,
    MAX_LENGTH,
    MAX_MULTIPLIERS,
    MAX_STEPS,
    PORT_BITS,
)
from penstock.formats import Bank
from penstock.formats.known import AnyFormat
from penstock.formats.phase import siblings_of

SCHEMA: Final = 3
MAX_WORDS = 1 << 31
IO_BITS = (16, 32)

Name = Annotated[str, Meta(min_length=1)]
Length = Annotated[int, Meta(ge=1, le=MAX_LENGTH)]
Steps = Annotated[int, Meta(ge=1, le=MAX_STEPS)]
Address = Annotated[int, Meta(ge=0, le=1 << 31)]
Base = Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)]
Operand = Annotated[int, Meta(ge=0, lt=1 << 10)]
Exponent = Annotated[int, Meta(ge=0, le=24)]
Element = Annotated[int, Meta(ge=-1, lt=MAX_LENGTH)]
Row = Annotated[int, Meta(ge=0, lt=MAX_LENGTH)]


class PhaseFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One SpMV phase; see ``formats.PhaseCode``."""

    name: Name
    sweep: Annotated[int, Meta(ge=0, le=1 << 10)]
    matvecs: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=16)]
    rows: Name
    rows_per_pe: Length
    operands: Annotated[tuple[tuple[Name, Length], ...], Meta(min_length=1, max_length=1 << 10)]
    gathers: Annotated[tuple[tuple[Operand, ...], ...], Meta(min_length=1, max_length=16)]
    weight_bits: Annotated[int, Meta(ge=1, le=18)]
    format: AnyFormat
    banks: Literal[0, 4, 8, 16]
    words: Annotated[int, Meta(ge=1, le=MAX_WORDS)]
    starts: Annotated[tuple[Base, ...], Meta(max_length=1 << 10)]
    packet: Annotated[int, Meta(ge=0, le=MAX_CELL_UNITS)]
    shared: Annotated[tuple[Row, ...], Meta(max_length=MAX_LENGTH)]


class RunFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that are run in one go; see ``manifest.WordRun``. first_beat: in a group's file."""

    phase: Annotated[int, Meta(ge=0, lt=1 << 10)]
    first: Annotated[int, Meta(ge=0, le=MAX_WORDS)]
    words: Annotated[int, Meta(ge=1, le=MAX_WORDS)]
    first_beat: Address


class Interface(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What who calls the kernel must know.

    interleave: so many of the lanes take turns. io: x and y pass memory ports, or AXI streams.
    io_bits: one element of x, y or the state in one lane. batch_first: the source model's order of
    arrays. max_steps: longest sequence, or None if no frames are buffered and nothing is summed
    over time. states: name -> layout, in the order of the state port. input_exponents: k_j of each
    input, whose raw integer stands for 2**k_j times its value; empty if all are zero.
    """

    lanes: Annotated[int, Meta(ge=1, le=max(LANE_CHOICES))]
    interleave: Annotated[int, Meta(ge=1, le=max(LANE_CHOICES))]
    io: Literal["memory", "stream"]
    io_bits: Annotated[int, Meta(ge=16, le=32)]
    batch_first: bool
    max_steps: Steps | None
    states: dict[Name, Name]
    input_exponents: Annotated[tuple[Exponent, ...], Meta(max_length=MAX_LENGTH)]


MOST_CYCLES = 1 << 24
Column = Annotated[tuple[Annotated[int, Meta(ge=0, le=MAX_LENGTH)], ...],
                   Meta(min_length=1, max_length=MOST_CYCLES)]  # fmt: skip


class WorkFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a unit or a move does to memories: segments that it writes, and which of them for the
    next step; arrays that it reads and writes element by element."""

    segments: tuple[Name, ...]
    reads: tuple[Name, ...]
    writes: tuple[Name, ...]
    later: tuple[Name, ...]


class ProgramFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the pipeline of a sweep does in each cycle of a step; see ``machine.program``.

    phase: 1 + the number of the phase whose word is multiplied; ends: it is the last of its turn;
    where a turn's words do not follow one another, begins: it is the first, slot: where the sums
    are meanwhile, and at: the address of the word among all that are kept;
    acting: 1 + the number of the unit that takes sums, of those of the sweep, part: which of the
    turn's; move: 1 + the number of what comes in or takes effect; index: of which elements, as many
    as there are cell units; 0 for nothing. word_sequence, sequence: of the sequences that take
    turns, the one whose activations the word takes, and the one of unit or move; with them there is
    at, too. units, moves: what each of them does.
    sums: of each unit, 1 + the number of the phase whose sums it takes; 0: of none.
    promises: of each region and array, the cycles between a write and the first read of it that the
    kernel promises the synthesis tool.
    """

    phase: Column
    begins: Column
    ends: Column
    slot: Column
    acting: Column
    part: Column
    move: Column
    index: Column
    word_sequence: Column
    sequence: Column
    at: Column
    units: tuple[WorkFields, ...]
    sums: tuple[Annotated[int, Meta(ge=0, le=1 << 10)], ...]
    moves: tuple[WorkFields, ...]
    promises: dict[Name, Annotated[int, Meta(ge=1, le=1 << 16)]]


class KernelChoices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the kernel is built with that follows neither from the graph nor from the weights.

    hazard_distance: words between two uses of an accumulator address. elements_per_cycle: of the
    cell unit. segments: name -> first address in the activation memory, which has
    vector_depth addresses, and a copy for each copy_pes PEs. result_chunk: elements of the result
    that leave in one cycle. operand_bases: for each phase and operand, the address of a column less
    the column's number. beat_depth, word_depth: depths of the streams of weights. results: the
    vectors of the output, in the order in which they arrive. accumulator_rows: of each PE;
    first_rows: where those of each phase begin. runs, if any overlap: name -> its phase, first
    word, words, packets, the place of the first packet, cycles before the first word, and which of
    the kept places it goes on from. regions: segments that share memories, where each multiplier
    has its own; reads: which of them the words of each phase do; programs: of each sweep there.
    """

    hazard_distance: Annotated[int, Meta(ge=2, le=16)]
    elements_per_cycle: Annotated[int, Meta(ge=1, le=MAX_CELL_UNITS)]
    vector_depth: Address
    copy_pes: Annotated[int, Meta(ge=1, le=2)]
    result_chunk: Annotated[int, Meta(ge=1, le=MAX_CELL_UNITS)]
    segments: dict[Name, Address]
    operand_bases: tuple[tuple[Base, ...], ...]
    beat_depth: Annotated[int, Meta(ge=2, le=1 << 16)]
    word_depth: Annotated[int, Meta(ge=2, le=1 << 16)]
    results: Annotated[tuple[Name, ...], Meta(min_length=1)]
    accumulator_rows: Length
    first_rows: tuple[Address, ...]
    runs: dict[Name, Annotated[tuple[Address, ...], Meta(min_length=7, max_length=7)]]
    regions: tuple[tuple[Name, ...], ...] = ()
    reads: tuple[Annotated[int, Meta(ge=0, lt=1 << 10)], ...] = ()
    programs: tuple[ProgramFields, ...] = ()


class When(StrEnum):
    """What a loop runs for."""

    STEP = "step"  # every step of the sequence
    CALL = "call"  # once in every call
    RELOAD = "reload"  # calls that take the parameters
    GIVEN = "given"  # calls that are given a state
    ZERO = "zero"  # calls that start at zero
    STORE = "store"  # calls that give the state back


class LoopFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pipelined loop of the kernel: how often all its copies go round together.

    name: what it works on, as ``kind`` or ``kind subject``; names follow one another in the order
    in which the kernel counts them, one with several ``when`` counts all of them.
    """

    name: Name
    process: Name
    when: When
    iterations: Annotated[int, Meta(ge=1, le=1 << 40)]


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What tb/vectors.dat holds: so many calls of so many steps."""

    calls: Annotated[int, Meta(ge=1, le=1 << 10)]
    steps: Steps


class ManifestFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; see ``manifest.Manifest``."""

    schema: Literal[3]
    pes: Annotated[int, Meta(ge=1, le=MAX_MULTIPLIERS)]
    group_pes: Annotated[int, Meta(ge=1, le=MAX_MULTIPLIERS)]
    port_bits: Annotated[int, Meta(ge=64, le=512)]
    weights: Literal["stream", "onchip"]
    entry: str
    phases: Annotated[tuple[PhaseFields, ...], Meta(min_length=1, max_length=1 << 10)]
    runs: Annotated[tuple[RunFields, ...], Meta(min_length=1, max_length=1 << 12)]
    layout_of: dict[Name, Name]
    parameters: tuple[Name, ...]
    interface: Interface
    kernel: KernelChoices
    golden: Golden
    loops: Annotated[tuple[LoopFields, ...], Meta(min_length=1, max_length=1 << 16)]
    layouts: dict[Name, Annotated[tuple[Element, ...], Meta(min_length=1, max_length=MAX_LENGTH)]]


def decode_manifest(content: bytes | str) -> ManifestFields:
    """The fields of a manifest. Raises ValueError naming the field that can't be."""
    try:
        fields = msgspec.json.decode(content, type=ManifestFields)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_sizes(fields)
    return fields


def check_sizes(fields: ManifestFields) -> None:
    """Raise ValueError unless the fields agree with one another."""
    claims = {
        "an impossible number of lanes": fields.interface.lanes in LANE_CHOICES,
        "interleave does not divide the lanes": (
            fields.interface.lanes % fields.interface.interleave == 0
        ),
        "impossible io_bits": fields.interface.io_bits in IO_BITS,
        "impossible port_bits": fields.port_bits in PORT_BITS,
        "group_pes does not divide pes": fields.pes % fields.group_pes == 0,
        "elements_per_cycle does not divide pes": fields.pes % fields.kernel.elements_per_cycle
        == 0,
        "an element with all its lanes does not fit port_bits": (
            fields.interface.lanes // fields.interface.interleave * fields.interface.io_bits
            <= fields.port_bits
        ),
        "two phases have one name": (
            len({phase.name for phase in fields.phases}) == len(fields.phases)
        ),
        "operand_bases are not those of the phases' operands": (
            [len(bases) for bases in fields.kernel.operand_bases]
            == [len(phase.operands) for phase in fields.phases]
        ),
        "first_rows are not those of the phases": (
            len(fields.kernel.first_rows) == len(fields.phases)
        ),
        "the phases differ in formats": len({phase.format.name for phase in fields.phases}) == 1,
        "a node has a layout that does not exist": (
            set(fields.layout_of.values()) <= fields.layouts.keys()
        ),
        "a parameter has no layout": set(fields.parameters) <= fields.layout_of.keys(),
        "a state has no layout": set(fields.interface.states.values()) <= fields.layouts.keys(),
    }
    for index, phase in enumerate(fields.phases):
        claims |= _phase_claims(fields, phase)
        claims[f"the runs do not hold each word of phase {phase.name} once"] = _covers(
            fields, index
        )
    claims["a run is of no phase"] = all(run.phase < len(fields.phases) for run in fields.runs)
    for otherwise, holds in claims.items():
        if not holds:
            raise ValueError(otherwise)


def _phase_claims(fields: ManifestFields, phase: PhaseFields) -> dict[str, bool]:
    known = {name: len(order) for name, order in fields.layouts.items()}
    return {
        f"the rows of phase {phase.name} are not those of its layout": (
            known.get(phase.rows) == phase.rows_per_pe * _owners(fields, phase)
        ),
        f"the operands of phase {phase.name} are not those of their layouts": all(
            name in known and _columns(fields.layouts[name]) == count
            for name, count in phase.operands
        ),
        f"the shared rows of phase {phase.name} are not rows of its layout, each once, ascending": (
            _is_ascending(phase.shared)
            and set(phase.shared) <= set(fields.layouts.get(phase.rows, ()))
        ),
        f"phase {phase.name} has more accumulators than a vector elements": (
            (phase.rows_per_pe + len(phase.shared)) * _owners(fields, phase) <= MAX_LENGTH
        ),
        f"the starts of phase {phase.name} are not those of its operands, in their order": (
            not phase.starts
            or (
                len(phase.starts) == len(phase.operands)
                and phase.packet > 0
                and sorted(phase.starts) == list(phase.starts)
            )
        ),
        f"phase {phase.name} has more matrices than banks": (
            len(phase.matvecs) <= phase.banks or isinstance(phase.format, Bank)
        ),
        f"phase {phase.name} has accumulators where there are none, or none where there are": (
            (phase.banks == 0) == isinstance(phase.format, Bank)
        ),
        f"the multipliers of phase {phase.name} are not the kernel's": (
            not isinstance(phase.format, Bank)
            or phase.format.rows * phase.format.banks == fields.pes
        ),
        f"a product of phase {phase.name} gathers what is no operand": (
            len(phase.gathers) == len(phase.matvecs)
            and all(0 <= k < len(phase.operands) for own in phase.gathers for k in own)
        ),
    }


def _owners(fields: ManifestFields, phase: PhaseFields) -> int:
    """See ``Format.owners``."""
    form = phase.format
    siblings = siblings_of(len(phase.matvecs))
    return max(form.rows // siblings, 1) if isinstance(form, Bank) else fields.pes


def _covers(fields: ManifestFields, phase: int) -> bool:
    """Every word of the phase stands in one run."""
    runs = sorted((run.first, run.words) for run in fields.runs if run.phase == phase)
    end = 0
    for first, words in runs:
        if first != end:
            return False
        end += words
    return end == fields.phases[phase].words


def _columns(order: tuple[int, ...]) -> int:
    """See ``Layout.columns``."""
    return next((at + 1 for at in reversed(range(len(order))) if order[at] >= 0), 0)


def _is_ascending(rows: tuple[int, ...]) -> bool:
    return all(row < following for row, following in pairwise(rows))
