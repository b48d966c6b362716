"""The stages of a step as the hardware has them: frames that come in, products and their units."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.bounds import MOST_PARTITIONS
from penstock.ir import Direction
from penstock.machine import arrays
from penstock.machine.arrays import Array
from penstock.machine.depths import (
    ADDER_TREE_CYCLES,
    BANK_DEPTH,
    BLOCK_DEPTH,
    CALL_CYCLES,
    LOOP_CYCLES,
    MOVE_DEPTH,
    PARTS_DEPTH,
    PARTS_INTERVAL,
)
from penstock.machine.storage import Storage
from penstock.machine.units import Unit, build_unit
from penstock.ops.matvec import MatVec
from penstock.schedule import PhaseNodes, Product
from penstock.schedule.partition import result_vectors
from penstock.settings import Hardware


@dataclass(frozen=True)
class Load:
    """A frame comes in, from the input port or a buffer, in every step of a sweep.

    source: the buffer, or None for the input. It goes to the buffer of all steps, to an array for
    element-wise readers of this step, to a segment of the activation memory, to the results.
    is_ahead: it comes in while the step before runs, as soon as its place is free.
    """

    vector: str
    sweep: int
    positions: int
    source: Array | None
    to_frames: Array | None
    to_carry: Array | None
    to_segment: str | None
    to_results: bool
    is_ahead: bool = False


@dataclass(frozen=True)
class Phase:
    """One phase: its products on the PE array, if it has any, then its element-wise unit.

    aligns: for each product, the left shift of each operand's terms (see MatVec); 0 where it reads
    another. operand_ends: the column behind each operand. operand_bases: of each operand, the
    address of a column less the column's number. per_cycle: elements that its unit takes at a time,
    every ``interval`` cycles; depth: pipeline cycles of the unit.
    """

    index: int
    nodes: PhaseNodes
    product: Product | None
    unit: Unit
    positions: int
    per_cycle: int
    interval: int
    depth: int
    aligns: tuple[tuple[int, ...], ...] = ()
    operand_ends: tuple[int, ...] = ()
    operand_bases: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The phase's name."""
        return self.nodes.name

    @property
    def unit_cycles(self) -> int:
        """Cycles of its unit, from the call to the last element."""
        turns = self.positions // self.per_cycle
        return turns * self.interval + self.depth + LOOP_CYCLES + CALL_CYCLES

    @property
    def shared(self) -> tuple[int, ...]:
        """The rows whose parts all PEs sum."""
        return self.product.code.shared if self.product is not None else ()

    @property
    def parts_cycles(self) -> int:
        """Cycles in which the parts of its shared rows are added up; 0 if it has none."""
        if not self.shared:
            return 0
        pes = self.positions // self.unit.rows_per_pe
        turns = len(self.shared) * PARTS_INTERVAL
        return turns + PARTS_DEPTH + tree_levels(pes) + LOOP_CYCLES + CALL_CYCLES

    @property
    def words(self) -> int:
        """Words of its products; 0 if it has none."""
        return self.product.code.words if self.product is not None else 0

    @property
    def sweep(self) -> int:
        """The sweep that it belongs to."""
        return self.nodes.sweep

    @property
    def is_scattered(self) -> bool:
        """True if its operands do not lie side by side."""
        return len(set(self.operand_bases)) > 1


def block_depth(hardware: Hardware) -> int:
    """Cycles to the registers of the blocks of rows, if there are several."""
    rows, banks = hardware.shape
    return BLOCK_DEPTH * (rows * banks > MOST_PARTITIONS)


def tree_levels(inputs: int) -> int:
    """Levels of a tree of adders with two inputs each."""
    return (inputs - 1).bit_length()


def loads(kept: Storage) -> tuple[Load, ...]:
    """All frames that come in, sweep after sweep."""
    (output,) = kept.graph.of_kind("output")
    results = result_vectors(kept.graph)
    return tuple(
        _load(kept, sweep, source, sweep == output.sweep and kept.graph[source] in results)
        for sweep in range(len(kept.graph.sweeps))
        for source in arrays.loaded_frames(kept.graph, sweep, results)
    )


def _load(kept: Storage, sweep: int, source: str, to_results: bool) -> Load:
    node = kept.graph[source]
    is_input = node.op.kind == "input" and node.sweep == sweep
    frames = kept.find(kept.frames, node)
    is_gathered = any(
        user.op.kind == "matvec" and user.sweep == sweep for user in kept.graph.users(source)
    )
    return Load(
        source, sweep, kept.plan.positions(source),
        source=None if is_input else frames,
        to_frames=frames if is_input else None,
        to_carry=kept.find(kept.carries, node) if is_input else None,
        to_segment=kept.segment(sweep, source) if is_gathered else None,
        to_results=to_results,
        is_ahead=_is_ahead(kept, sweep, source)
        or (_programs_load_ahead(kept, sweep) and not to_results),
    )  # fmt: skip


def _is_ahead(kept: Storage, sweep: int, source: str) -> bool:
    """True if the one phase that gathers it finds it there in all of the units before."""
    mine = [phase for phase in kept.plan.phases if phase.sweep == sweep]
    if not kept.plan.hardware.overlaps:
        return False
    return any(
        source in phase.operands and phase.ready[phase.operands.index(source)] == len(mine)
        for phase in mine
    )


def _programs_load_ahead(kept: Storage, sweep: int) -> bool:
    """True where the program of the step before has the frame come in, as soon as its place is
    free."""
    hardware = kept.plan.hardware
    is_once = kept.graph.sweeps[sweep] is Direction.ONCE
    return hardware.is_bank and hardware.overlap is not False and not is_once


def phases(kept: Storage) -> tuple[Phase, ...]:
    """All phases, in the order in which they run."""
    plan = kept.plan
    products = {product.nodes.name: k for k, product in enumerate(plan.products)}
    found, per_cycle = [], plan.hardware.cell_units
    blocks = block_depth(plan.hardware)
    written = MOVE_DEPTH + blocks
    for index, nodes in enumerate(plan.phases):
        positions = plan.positions((*nodes.nodes, *nodes.results)[0])
        unit = build_unit(kept, nodes, positions // plan.hardware.pes)
        if nodes.name not in products:
            depth = unit.depth + (written if plan.hardware.is_bank else ADDER_TREE_CYCLES)
            interval = _interval(kept, unit)
            found.append(Phase(index, nodes, None, unit, positions, per_cycle, interval, depth))
            continue
        number = products[nodes.name]
        product = plan.products[number]
        levels = product.code.ways.bit_length() - 1
        depth = unit.depth + levels + ADDER_TREE_CYCLES
        if plan.hardware.is_bank:
            depth = unit.depth + tree_levels(plan.hardware.shape[1]) + BANK_DEPTH + blocks
        ends, bases = _columns(kept, nodes)
        found.append(
            Phase(
                index, nodes, product, unit, positions, per_cycle, _interval(kept, unit),
                depth, _aligns(kept, nodes), ends, bases,
            )
        )  # fmt: skip
    return tuple(found)


def _interval(kept: Storage, unit: Unit) -> int:
    """Cycles between two turns of a unit: a memory with two ports takes two writes in one.

    Where products overlap with units, each vector has packets of its own.
    """
    return 1 if kept.plan.hardware.overlaps else max(-(-len(unit.segments) // 2), 1)


def _aligns(kept: Storage, nodes: PhaseNodes) -> tuple[tuple[int, ...], ...]:
    rows = []
    for name, gathers in zip(nodes.matvecs, nodes.gathers, strict=True):
        row = [0] * len(nodes.operands)
        tensors = [source.tensor for source in kept.graph.inputs(kept.graph[name])]
        for operand, shift in zip(gathers, MatVec.aligns(*tensors), strict=True):
            row[operand] = shift
        rows.append(tuple(row))
    return tuple(rows)


def _columns(kept: Storage, nodes: PhaseNodes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ends, bases, column = [], [], 0
    banks = kept.plan.hardware.shape[1]
    for source in nodes.operands:
        segment = kept.segment(nodes.sweep, source)
        assert segment is not None, f"{source} is gathered, and has no segment"
        bases.append(kept.activations.base[segment] // banks - column)
        column += -(-kept.plan.layout(source).columns // banks)
        ends.append(column)
    return tuple(ends), tuple(bases)
