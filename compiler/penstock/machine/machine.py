"""The machine description: what the hardware is and when it does what, below every back end.

Computed once from a graph and its schedule. Emitters, the report, the manifest and the project's
README read it, so that nothing is derived twice. It names no C++ type, identifier or pragma.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from penstock.bounds import PORT_BITS
from penstock.errors import PenstockError
from penstock.ir import Direction, Graph, Node
from penstock.machine.arrays import Array
from penstock.machine.depths import BROADCAST_DEPTH, COPY_DEPTH, LOOP_CYCLES, STREAM_DEPTH
from penstock.machine.loops import Loop, loops
from penstock.machine.memories import (
    AccumulatorRows,
    Memory,
    accumulator_bits,
    accumulator_rows,
    activation_bits,
    copy_pes,
    memories,
)
from penstock.machine.order import Order, issue_order, program_order
from penstock.machine.parts import Parts, parts
from penstock.machine.phases import Load, Phase, loads, phases
from penstock.machine.ports import Port, group, kernel_ports, most_weight_ports
from penstock.machine.program import Program, programs
from penstock.machine.runs import (
    RUN_CYCLES,
    Run,
    SweepRuns,
    file_order,
    overlapped_runs,
    placed,
    plain_runs,
)
from penstock.machine.storage import Storage, signed_bits, store
from penstock.machine.streams import Stream, streams
from penstock.machine.timeline import Timeline, timeline
from penstock.ops.capture import LONGEST
from penstock.packing.groups import PeGroups
from penstock.packing.vectors import Ports
from penstock.schedule import Schedule
from penstock.schedule.partition import result_vectors
from penstock.settings import Hardware


@dataclass(frozen=True)
class Result:
    """A vector that leaves the network. start: its first place among the results of a step."""

    node: Node
    positions: int
    start: int


@dataclass(frozen=True)
class Drain:
    """The adder trees of all PEs for phases of as many ways. siblings, rows: of any, the most."""

    ways: int
    siblings: int
    rows: int


@dataclass(frozen=True)
class Machine:
    """One network's accelerator.

    beats: how elements lie in the beats of the ports. phases, loads, order: what a step does; runs:
    of each sweep, how its phases' words go through the PE array; rows: where in the accumulators.
    results: the vectors of the output in the order in which they arrive; output_order: of each
    element of the output, its place among them; result_chunk: elements that leave in one cycle.
    on_chip: the weights stay in memories of the groups, and are loaded with the parameters;
    copy_pes: PEs that read one copy of the activation memory. programs: of every sweep, what its
    pipeline does, in the bank dataflow.
    """

    graph: Graph
    plan: Schedule
    kept: Storage
    beats: Ports
    groups: PeGroups
    phases: tuple[Phase, ...]
    loads: tuple[Load, ...]
    runs: dict[int, SweepRuns]
    rows: AccumulatorRows
    order: Order
    ports: tuple[Port, ...]
    streams: tuple[Stream, ...]
    memories: tuple[Memory, ...]
    results: tuple[Result, ...]
    output_order: tuple[int, ...]
    result_chunk: int
    on_chip: bool
    copy_pes: int
    programs: dict[int, Program]

    @property
    def hardware(self) -> Hardware:
        """The settings that it was made for."""
        return self.plan.hardware

    @property
    def products(self) -> list[Phase]:
        """The phases that use the PE array."""
        return [phase for phase in self.phases if phase.product is not None]

    @property
    def input(self) -> Node:
        """The input frame."""
        return self.graph.of_kind("input")[0]

    @property
    def output(self) -> Node:
        """The output frame."""
        return self.graph.of_kind("output")[0]

    @property
    def tables(self) -> list[Node]:
        """The constants that hold a function's table, each once, in graph order."""
        names = {source for node in self.graph.of_kind("lut") for source in node.inputs[1:]}
        return [node for node in self.graph.of_kind("const") if node.name in names]

    @property
    def drains(self) -> list[Drain]:
        """How sums leave the accumulators, if products overlap with the cell units."""
        if not self.hardware.overlaps:
            return []
        found: dict[int, Drain] = {}
        for phase in self.products:
            assert phase.product is not None
            code = phase.product.code
            known = found.get(code.ways, Drain(code.ways, 0, 0))
            found[code.ways] = Drain(
                code.ways, max(known.siblings, code.siblings),
                max(known.rows, phase.unit.rows_per_pe),
            )  # fmt: skip
        return list(found.values())

    def table_copies(self, table: str) -> int:
        """Memories of a function's table, in the unit that calls it most."""
        return max(memory.count for memory in self.memories_of("tables") if memory.name == table)

    @property
    def is_argmax(self) -> bool:
        """True if the output is the index of the greatest result."""
        return any(node.op.kind == "argmax" for node in self.graph.inputs(self.output))

    @property
    def result_positions(self) -> int:
        """Elements that arrive as results of a step."""
        return sum(result.positions for result in self.results)

    @property
    def max_steps(self) -> int | None:
        """Longest sequence, where frames are buffered or sums over time must fit; None: any."""
        if self.kept.frames:
            return self.hardware.max_steps
        is_summed = any(node.op.when == "sum" for node in self.graph.of_kind("capture"))
        return LONGEST if is_summed else None

    @property
    def state_beats(self) -> int:
        """Beats of all states at their ports."""
        return sum(state.beats for state in self.kept.states)

    @property
    def accumulator_bits(self) -> int:
        """Width of every accumulator."""
        return accumulator_bits(self.graph)

    @property
    def activation_bits(self) -> int:
        """Width of the activation memory."""
        return activation_bits(self.kept)

    def is_once(self, sweep: int) -> bool:
        """True for a sweep that runs once, after the last step."""
        return self.graph.sweeps[sweep] is Direction.ONCE

    @property
    def memory_ports(self) -> tuple[Port, ...]:
        """The ports that lead to memory."""
        return tuple(port for port in self.ports if not port.is_stream)

    @property
    def streams_io(self) -> bool:
        """True if frames and results are AXI streams."""
        return self.hardware.streams_io

    def port(self, name: str) -> Port:
        """A port by its name."""
        return next(port for port in self.ports if port.name == name)

    def stream(self, name: str) -> Stream:
        """A stream by its name."""
        return next(stream for stream in self.streams if stream.name == name)

    def memory(self, kind: str) -> Memory:
        """The first memory of a kind."""
        return next(memory for memory in self.memories if memory.kind == kind)

    def memories_of(self, kind: str) -> list[Memory]:
        """All memories of a kind."""
        return [memory for memory in self.memories if memory.kind == kind]

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """The pipelined loops."""
        return loops(self)

    @cached_property
    def timeline(self) -> Timeline:
        """How long a step and a call take."""
        return timeline(self)

    def memory_of(self, array: Array) -> Memory:
        """The memory of a vector."""
        return next(
            memory for memory in self.memories
            if (memory.kind, memory.name) == (str(array.role), array.name)
        )  # fmt: skip

    @property
    def stored_runs(self) -> list[Run]:
        """Every run that has words, in the order of the weight files."""
        return file_order(self.runs, self.phases)

    @property
    def weight_beats(self) -> int:
        """Beats of each group's words."""
        return self.stored_runs[-1].end_beat

    @property
    def weight_ports(self) -> int:
        """Ports for weights: one for each group, or one for all if they stay on chip."""
        return 1 if self.on_chip else self.groups.groups

    @property
    def weight_files(self) -> list[str]:
        """The file in weights/ behind each of these ports."""
        if self.on_chip:
            return ["words.bin"]
        return [f"group_{group}.bin" for group in range(self.groups.groups)]

    @property
    def stored_words(self) -> dict[tuple[str, int], int]:
        """Where each run's words begin in a group's memory: (phase, first word) -> address."""
        found, address = {}, 0
        for run in self.stored_runs:
            found[run.phase, run.first] = address
            address += run.words
        return found

    @cached_property
    def parts(self) -> tuple[Parts, ...]:
        """Of shared rows, for each phase that has any."""
        return parts(self.plan, self.rows)

    @property
    def accumulator_arrays(self) -> list[range]:
        """The groups of each array of accumulators."""
        return self.groups.in_arrays(self.plan.banks)

    @property
    def sums_arrays(self) -> list[range]:
        """The groups of each array of sums, if products overlap with the cell units."""
        return self.groups.in_arrays(max(product.code.siblings for product in self.plan.products))

    @property
    def regions_read(self) -> tuple[int, ...]:
        """Of each product phase, the region that its words gather from, in the bank dataflow."""
        if not self.programs:
            return ()
        found = []
        for phase in self.products:
            segment = self.kept.segment(phase.sweep, phase.nodes.operands[0])
            assert segment is not None
            found.append(self.kept.activations.region_of(segment))
        return tuple(found)

    @property
    def shared_banks(self) -> int:
        """Accumulator banks that hold parts of shared rows, in any phase."""
        return max((p.code.banks for p in self.plan.products if p.code.shared), default=0)

    @property
    def every_run(self) -> list[Run]:
        """All runs, those before the steps as well."""
        return [
            run
            for sweep, own in self.runs.items()
            for run in (*own.ahead, *own.in_step([p for p in self.phases if p.sweep == sweep]))
        ]

    @property
    def pausing(self) -> list[str]:
        """The phases whose words are not all run at once."""
        split = {run.phase for own in self.runs.values() for run in own.beside.values()}
        return [phase.name for phase in self.products if phase.name in split]

    @property
    def max_packets(self) -> int:
        """Packets of the longest vector that is gathered, as the cell unit makes them."""
        return max(self.kept.packets().values()) // self.hardware.cell_units

    @property
    def copy_turns(self) -> int:
        """Cycles in which one of them is written into the copies of the activations."""
        return self.hardware.cell_units // self.hardware.copied_elements

    def idle(self, run: Run) -> str:
        """A segment for a run that writes none: none that the unit beside it makes."""
        made: set[str | None] = set()
        if run.beside is not None:
            made = {line.segment for line in self.phase(run.beside).unit.lines}
        return next(name for name in self.kept.activations.base if name not in made)

    def phase(self, name: str) -> Phase:
        """A phase by its name."""
        return next(phase for phase in self.phases if phase.name == name)

    def beats_of(self, phase: str) -> int:
        """Beats of a phase in each weight port's memory."""
        own = [run for run in self.stored_runs if run.phase == phase]
        return sum(run.end_beat - run.first_beat for run in own)

    @property
    def step_weight_beats(self) -> int:
        """Beats that each weight port streams in every step."""
        if self.on_chip:
            return 0
        return sum(
            self.beats_of(phase.name) for phase in self.products if not self.is_once(phase.sweep)
        )


def describe(graph: Graph, plan: Schedule, on_chip: bool = False) -> Machine:
    """The machine of a graph under its schedule. Raises PenstockError for what can't be built.

    on_chip: the weights stay on chip, and are loaded with the parameters.
    """
    from penstock.machine.placement import fitted  # it prices machines

    hardware = plan.hardware
    beats = Ports(hardware.beat_bits, io_bits(graph), hardware.lanes, hardware.interleave)
    _check_beats(beats)
    kept = store(graph, plan, beats)
    others = len(kernel_ports(graph, plan, beats, 0, 0, kept.states))
    groups = group(
        plan.products, hardware.pes, hardware.beat_bits,
        1 if hardware.is_bank else hardware.cell_units, on_chip,
        most_weight_ports(hardware.device.memory, others),
    )  # fmt: skip
    stages, frames = phases(kept), loads(kept)
    runs = placed(_runs(kept, stages, frames), stages, groups.group_pes, hardware.beat_bits)
    rows = accumulator_rows(kept, runs)
    shared = copy_pes(kept, [stage.unit for stage in stages])
    found = programs(kept, stages, frames, on_chip) if hardware.is_bank else {}
    order = program_order(
        graph, found, stages, hardware.cell_units, hardware.interleave
    ) if found else issue_order(
        graph, [*frames], [*stages], kept.states, runs, hardware.overlaps,
        rows.depth + COPY_DEPTH + LOOP_CYCLES, hardware.cell_units,
        RUN_CYCLES + BROADCAST_DEPTH * hardware.is_broadcast,
    )  # fmt: skip
    results, output_order = _results(graph, plan, frames, stages)
    positions = sum(result.positions for result in results)
    chunk = result_chunk(
        graph, beats, hardware.cell_units, positions, order.step_cycles // hardware.interleave
    )
    between = streams(
        plan.products, groups, beats, hardware.cell_units,
        plan.positions(graph.of_kind("input")[0].name), positions, bool(kept.states),
        bool(kept.parameters), on_chip, hardware.streams_io, _queue(kept, stages),
    )  # fmt: skip
    in_file = file_order(runs, stages)
    weight_beats = in_file[-1].end_beat
    weight_ports = 1 if on_chip else groups.groups
    ports = kernel_ports(
        graph, plan, beats, weight_ports, weight_beats * groups.groups // weight_ports, kept.states
    )
    machine = Machine(
        graph, plan, kept, beats, groups, stages, frames, runs, rows, order, ports, between,
        memories(
            kept, groups, beats, between, ports, positions, chunk, rows,
            sum(run.words for run in in_file) if on_chip else 0, shared,
            max((program.slots for program in found.values()), default=0),
        ),
        results, output_order, chunk, on_chip, shared, found,
    )  # fmt: skip
    return fitted(machine)


def _runs(
    kept: Storage, stages: tuple[Phase, ...], frames: tuple[Load, ...]
) -> dict[int, SweepRuns]:
    """The runs of every sweep."""
    found = {}
    for sweep in range(len(kept.graph.sweeps)):
        mine = [phase for phase in stages if phase.sweep == sweep]
        own = [load for load in frames if load.sweep == sweep]
        is_plain = not kept.plan.hardware.overlaps or not mine
        found[sweep] = plain_runs(mine) if is_plain else overlapped_runs(kept, mine, own)
    return found


def _queue(kept: Storage, stages: tuple[Phase, ...]) -> tuple[int, int] | None:
    """Depth and width of the activation queues, if there are any: with the number of the vector,
    where products of different scales meet.
    """
    hardware = kept.plan.hardware
    if not hardware.is_broadcast:
        return None
    bits = activation_bits(kept) * hardware.lanes_at_once
    if any(shift for stage in stages for row in stage.aligns for shift in row):
        bits += operand_bits(stages)
    return hardware.activation_queue, bits


def operand_bits(stages: Iterable[Phase]) -> int:
    """Bits of the number of one of a phase's vectors."""
    return max((max(len(stage.operand_ends) for stage in stages) - 1).bit_length(), 1)


def _results(
    graph: Graph, plan: Schedule, frames: tuple[Load, ...], stages: tuple[Phase, ...]
) -> tuple[tuple[Result, ...], tuple[int, ...]]:
    """The output's vectors as they arrive: frames that pass through, then what phases compute."""
    arriving = [load.vector for load in frames if load.to_results]
    arriving += [name for phase in stages for name in phase.nodes.results]
    found: dict[str, Result] = {}
    start = 0
    for name in arriving:
        found[name] = Result(graph[name], plan.positions(name), start)
        start += found[name].positions
    order: list[int] = []
    for node in result_vectors(graph):
        first = found[node.name].start
        order += [first + int(position) for position in plan.layout(node.name).position_of]
    return tuple(found.values()), tuple(order)


def result_chunk(
    graph: Graph, beats: Ports, per_cycle: int, positions: int, step_cycles: int
) -> int:
    """Elements of the result that leave in one cycle: so many that no step waits for them."""
    (output,) = graph.of_kind("output")
    chunk, most = 1, math.gcd(per_cycle, beats.per_beat)
    before = positions // per_cycle + 2 * (STREAM_DEPTH + LOOP_CYCLES)
    while chunk < most and before + output.tensor.length // chunk > step_cycles:
        chunk *= 2
    return min(chunk, most)


def io_bits(graph: Graph) -> int:
    """Bits of an element at the ports: 16, or 32 if a raw integer with its sign is wider."""
    nodes = [*graph.of_kind("input"), *graph.of_kind("state_read"), *graph.of_kind("output")]
    nodes += result_vectors(graph)
    return 16 if max(signed_bits(node.tensor.type) for node in nodes) <= 16 else 32


def _enough_bits(beats: Ports) -> str:
    needed = beats.io_bits * beats.lanes_at_once
    wide = next((bits for bits in PORT_BITS if bits >= needed), None)
    return "use fewer lanes" if wide is None else f"use fewer lanes, or --port-bits {wide}"


def _check_beats(beats: Ports) -> None:
    """One element with all its lanes must fit a beat."""
    if beats.per_beat < 1:
        raise PenstockError(
            f"{beats.lanes_at_once} lanes of {beats.io_bits} bits do not fit a port of "
            f"{beats.port_bits}",
            "hardware settings",
            _enough_bits(beats),
        )
