"""The schedule of a whole network: phases in order, their codes and words, memory, timeline."""

from __future__ import annotations

from dataclasses import dataclass, replace

from penstock.errors import PenstockError
from penstock.fixed import IntArray
from penstock.formats import Entries, Gap, Layout, NonZeros, PhaseCode
from penstock.ir import Direction, Graph
from penstock.ops.matvec import MatVec
from penstock.schedule import timeline
from penstock.schedule.assign import assign_rows
from penstock.schedule.encode import choose_format, loads_by_row
from penstock.schedule.memory import Memory, allocate, segment_of
from penstock.schedule.partition import Part, partition
from penstock.settings import Hardware

MOST_GROUP_PES = 32
BUBBLES_TOLERATED = 0.01


@dataclass(frozen=True)
class Phase:
    """One phase, ready to be packed and emitted.

    waste: entries without a non-zero, by cause.
    aligns: for each matvec, the left shift of each operand's products (see MatVec).
    base: address of the first column in the activation memory.
    """

    part: Part
    code: PhaseCode
    entries: Entries
    nonzeros: int
    waste: dict[str, int]
    aligns: tuple[tuple[int, ...], ...]
    base: int


@dataclass(frozen=True)
class Schedule:
    """All decisions about one network on one hardware."""

    hardware: Hardware
    banks: int
    group_pes: int
    phases: tuple[Phase, ...]
    layouts: dict[str, Layout]
    layout_of: dict[str, str]
    memory: Memory
    stretches: tuple[timeline.Stretch, ...]

    def step_cycles(self, graph: Graph) -> int:
        """Cycles of one step, through all sweeps that run every step."""
        return sum(
            stretch.cycles
            for stretch in self.stretches
            if graph.sweeps[stretch.sweep] is not Direction.ONCE
        )

    def bound_cycles(self, graph: Graph) -> int:
        """ceil(non-zeros / PEs) of the same phases: no schedule on these PEs can do with fewer."""
        return sum(
            stretch.bound
            for stretch in self.stretches
            if graph.sweeps[stretch.sweep] is not Direction.ONCE
        )


def schedule(graph: Graph, hardware: Hardware) -> Schedule:
    """Place and order the whole network.

    Raises PenstockError if the PEs do not suit the network.
    """
    parts = [part for sweep in range(len(graph.sweeps)) for part in partition(graph, sweep)]
    _check_pes(parts, hardware)
    layouts, layout_of = _lay_out(graph, parts, hardware)
    nonzeros = {}
    codes = {}
    for part in parts:
        code = _blank_code(graph, part, layouts, layout_of, hardware)
        nonzeros[part.name] = code.format.place(
            code, layouts, hardware.pes, weight_matrices(graph, part.matvecs)
        )
        chosen = choose_format(nonzeros[part.name], code.weight_bits, hardware)
        codes[part.name] = replace(code, format=chosen)
    banks, entries = _encode_all(codes, nonzeros, hardware)
    positions = {name: layouts[layout].positions for name, layout in layout_of.items()}
    memory = allocate(graph, parts, positions, hardware.elements_per_cycle)
    phases = tuple(
        _phase(graph, part, replace(codes[part.name], banks=banks), entries[part.name],
               nonzeros[part.name], memory)
        for part in parts
    )  # fmt: skip
    return Schedule(
        hardware, banks, _group_pes(phases, hardware), phases, layouts, layout_of, memory,
        tuple(_stretches(graph, phases, positions, hardware)),
    )  # fmt: skip


def weight_matrices(graph: Graph, matvecs: tuple[str, ...]) -> dict[tuple[str, int], IntArray]:
    """(matvec, operand index) -> raw weights, (rows, columns)."""
    return {
        (name, index): constant_of(graph, weights)
        for name in matvecs
        for index, weights in enumerate(graph[name].inputs[1::2])
    }


def constant_of(graph: Graph, name: str) -> IntArray:
    """The raw integers of a constant node."""
    constant = graph[name].tensor.constant
    assert constant is not None, f"{name} is not a constant"
    return constant


def _check_pes(parts: list[Part], hardware: Hardware) -> None:
    most = max(part.rows for part in parts)
    if hardware.pes > most:
        raise PenstockError(
            f"{hardware.pes} PEs can't share {most} cells: a PE owns whole cells",
            "hardware settings",
            f"choose {most} PEs or fewer (--pes)",
        )


def _lay_out(
    graph: Graph, parts: list[Part], hardware: Hardware
) -> tuple[dict[str, Layout], dict[str, str]]:
    """A layout for every vector: by the rows of its phase; the input frame in plain order."""
    layouts: dict[str, Layout] = {}
    layout_of: dict[str, str] = {}
    for node in graph.of_kind("input"):
        layouts[node.name] = Layout.plain(node.tensor.length, hardware.elements_per_cycle)
        layout_of[node.name] = node.name
    for part in parts:
        loads = loads_by_row(list(weight_matrices(graph, part.matvecs).values()))
        pe_of_row = assign_rows(loads, hardware.pes, hardware.assign)
        layouts[part.name] = Layout.from_assignment(pe_of_row, hardware.pes)
        for name in part.matvecs + part.elementwise:
            layout_of[name] = part.name
        for name in part.elementwise:
            for source in graph.vectors(graph[name]):
                if source.op.kind in ("state_read", "const"):
                    layout_of[source.name] = part.name
    for node in graph.of_kind("state_write"):
        for read in graph.of_kind("state_read"):
            if vars(read.op)["state"] == vars(node.op)["state"]:
                layout_of[read.name] = layout_of[node.name]
    return layouts, layout_of


def _blank_code(
    graph: Graph, part: Part, layouts: dict[str, Layout], layout_of: dict[str, str],
    hardware: Hardware,
) -> PhaseCode:  # fmt: skip
    operands = tuple((layout_of[s], layouts[layout_of[s]].positions) for s in part.operands)
    weight_bits = max(
        graph[weights].tensor.type.width
        for name in part.matvecs
        for weights in graph[name].inputs[1::2]
    )
    rows_per_pe = layouts[part.name].positions // hardware.pes
    return PhaseCode(
        part.name, part.sweep, part.matvecs, part.name, rows_per_pe, operands,
        (tuple(range(len(operands))),) * len(part.matvecs), weight_bits, Gap(index_bits=1),
        banks=hardware.accumulator_banks or 4, words=0,
    )  # fmt: skip


def _encode_all(
    codes: dict[str, PhaseCode], nonzeros: dict[str, NonZeros], hardware: Hardware
) -> tuple[int, dict[str, Entries]]:
    """Words of all phases with the fewest accumulator banks that keep bubbles under 1 %."""
    choices = [hardware.accumulator_banks] if hardware.accumulator_banks else [4, 8, 16]
    for banks in choices:
        entries = {
            name: code.format.encode(
                replace(code, banks=banks), hardware.pes, nonzeros[name], hardware.raw_distance
            )
            for name, code in codes.items()
        }
        words = sum(entry.words for entry in entries.values())
        without_bubbles = sum(
            code.format.least_words(nonzeros[name], hardware.pes) for name, code in codes.items()
        )
        if words <= (1 + BUBBLES_TOLERATED) * without_bubbles:
            break
    return banks, entries


def _phase(
    graph: Graph, part: Part, code: PhaseCode, entries: Entries, nonzeros: NonZeros,
    memory: Memory,
) -> Phase:  # fmt: skip
    waste = code.format.waste(code, entries)
    return Phase(
        part=part,
        code=replace(code, words=entries.words),
        entries=entries,
        nonzeros=len(nonzeros.pe),
        waste={cause: int(counts.sum()) for cause, counts in waste.items()},
        aligns=tuple(
            MatVec.aligns(*(source.tensor for source in graph.inputs(graph[name])))
            for name in part.matvecs
        ),
        base=memory.base[segment_of(graph, part.sweep, part.operands[0])],
    )


def _group_pes(phases: tuple[Phase, ...], hardware: Hardware) -> int:
    """PEs behind one port: as many as one beat a cycle can feed, and no more than 32."""
    entry_bits = max(phase.code.entry_bits for phase in phases)
    most = min(hardware.port_bits // entry_bits, MOST_GROUP_PES)
    return next(size for size in range(most, 0, -1) if hardware.pes % size == 0)


def _stretches(
    graph: Graph, phases: tuple[Phase, ...], positions: dict[str, int], hardware: Hardware
) -> list[timeline.Stretch]:
    per_cycle = hardware.elements_per_cycle
    found = []
    for sweep in range(len(graph.sweeps)):
        for source in frames_loaded(graph, sweep):
            length = positions[source]
            found.append(timeline.load_stretch(source, sweep, length, per_cycle))
        for phase in phases:
            part = phase.part
            if part.sweep == sweep:
                rows = phase.code.rows_per_pe * hardware.pes
                found += [
                    timeline.spmv_stretch(part, phase.code.words, phase.nonzeros, hardware.pes),
                    timeline.cell_stretch(graph, part, rows, per_cycle, phase.code.ways),
                ]
    return found


def frames_loaded(graph: Graph, sweep: int) -> list[str]:
    """Vectors that a step of ``sweep`` takes from outside: the input, or another sweep's."""
    found = [node.name for node in graph.nodes(sweep) if node.op.kind == "input"]
    for node in graph.nodes(sweep):
        for source in graph.inputs(node):
            is_frame = source.sweep != sweep and source.op.kind not in ("const", "capture")
            if is_frame and source.name not in found:
                found.append(source.name)
    return found
