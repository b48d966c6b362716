"""The schedule of a whole network: its phases, each PE's rows, and the words of every product.

Knows PEs, slots and words, but no memory, no port and no cycle: those are ``penstock.machine``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import IntArray
from penstock.formats import Entries, Gap, Layout, NonZeros, PhaseCode
from penstock.formats.phase import siblings_of
from penstock.formats.protocol import Matrices
from penstock.ir import Graph
from penstock.ir.matrix import Matrix
from penstock.schedule.ahead import in_order_of_readiness
from penstock.schedule.arrange import Arrangement, Rows, arrange
from penstock.schedule.encode import choose_format, loads_by_row
from penstock.schedule.partition import Partition, PhaseNodes, partition
from penstock.settings import Hardware

BANK_CHOICES = (4, 8, 16)
BUBBLES_TOLERATED = 0.01


@dataclass(frozen=True)
class Product:
    """One phase's products, ready to be packed: their words on the PE array.

    waste: entries without a non-zero, by cause. bound: ceil(non-zeros / PEs); no schedule on these
    PEs needs fewer words.
    """

    nodes: PhaseNodes
    code: PhaseCode
    entries: Entries
    nonzeros: int
    waste: dict[str, int]
    bound: int


@dataclass(frozen=True)
class Schedule:
    """All decisions about one network on one hardware.

    phases: all of them, in the order in which they run; products: of those that have any.
    layouts: name -> order of a vector in hardware; layout_of: vector -> name.
    """

    hardware: Hardware
    banks: int
    phases: tuple[PhaseNodes, ...]
    products: tuple[Product, ...]
    layouts: dict[str, Layout]
    layout_of: dict[str, str]

    def layout(self, vector: str) -> Layout:
        """The order in hardware of a vector."""
        return self.layouts[self.layout_of[vector]]

    def positions(self, vector: str) -> int:
        """A vector's length in hardware, with the empty positions."""
        return self.layout(vector).positions


def schedule(graph: Graph, hardware: Hardware, share: bool = False) -> Schedule:
    """Place and order the whole network.

    share: rows may be shared by all PEs where that is estimated to take fewer cycles; a kernel must
    be able to sum their parts, and that of the broadcast dataflow is not. Raises PenstockError if
    the PEs do not suit the network, or no phase can hold one of its nodes.
    """
    parts = partition(graph, hardware.accumulator_banks or BANK_CHOICES[0])
    parts = replace(parts, phases=in_order_of_readiness(graph, parts.phases))
    arranged = _arrange_all(graph, parts, hardware, share and not hardware.is_broadcast)
    shared = _shared_rows(parts, arranged)
    _check_pes(parts, hardware, shared)
    layouts = _layouts(graph, parts, hardware, arranged)
    products = [phase for phase in parts.phases if phase.matvecs]
    codes, nonzeros = {}, {}
    for phase in products:
        code = _blank_code(graph, phase, layouts, parts.order_of, hardware)
        code = replace(code, shared=shared[phase.name])
        matrices = weight_matrices(graph, phase.matvecs)
        nonzeros[phase.name] = code.format.place(code, layouts, hardware.pes, matrices)
        chosen = choose_format(code, nonzeros[phase.name], hardware)
        codes[phase.name] = replace(code, format=chosen)
    banks, entries = _encode_all(codes, nonzeros, hardware)
    if hardware.overlaps:
        for phase in products:
            code = replace(codes[phase.name], banks=banks)
            code = _with_starts(
                phase, code, nonzeros[phase.name], entries[phase.name].words, hardware
            )
            codes[phase.name] = code
            entries[phase.name] = code.format.encode(
                code, hardware.pes, nonzeros[phase.name], hardware.hazard_distance
            )
    done = tuple(
        _product(phase, replace(codes[phase.name], banks=banks), entries[phase.name],
                 len(nonzeros[phase.name].pe), hardware)
        for phase in products
    )  # fmt: skip
    return Schedule(hardware, banks, parts.phases, done, layouts, parts.order_of)


def weight_matrices(graph: Graph, matvecs: tuple[str, ...]) -> Matrices:
    """(matvec, operand index) -> raw weights, (rows, columns)."""
    found = {}
    for name in matvecs:
        for index, weights in enumerate(graph[name].inputs[1::2]):
            matrix = graph[weights].tensor.constant
            assert isinstance(matrix, Matrix), f"{weights} is not a constant matrix"
            found[name, index] = matrix
    return found


def constant_of(graph: Graph, name: str) -> IntArray:
    """The raw integers of a constant vector or table."""
    constant = graph[name].tensor.constant
    assert isinstance(constant, np.ndarray), f"{name} is not a constant vector"
    return constant


def _check_pes(parts: Partition, hardware: Hardware, shared: dict[str, tuple[int, ...]]) -> None:
    """Refuse more PEs than any phase has work for: more than rows, and none of them shared."""
    most = max(phase.rows for phase in parts.phases if phase.matvecs)
    if hardware.pes > most and not any(shared.values()):
        raise PenstockError(
            f"{hardware.pes} PEs can't share {most} cells: a PE owns whole cells",
            "hardware settings",
            f"choose {most} PEs or fewer (--pes)",
        )


def _arrange_all(
    graph: Graph, parts: Partition, hardware: Hardware, share: bool
) -> dict[str, Arrangement]:
    """Order -> where its rows go, for every order that a phase computes."""
    phases_of: dict[str, list[PhaseNodes]] = {}
    for phase in parts.phases:
        phases_of.setdefault(parts.order(phase), []).append(phase)
    return {
        order: arrange(_rows(graph, phases, order in parts.in_callers_order), hardware, share)
        for order, phases in phases_of.items()
    }


def _rows(graph: Graph, phases: list[PhaseNodes], is_fixed: bool) -> Rows:
    """What is asked of an order; without products, any order is as good as the caller's."""
    products = [phase for phase in phases if phase.matvecs]
    loads = [
        loads_by_row(list(weight_matrices(graph, phase.matvecs).values())) for phase in products
    ]
    columns = [sum(graph[x].tensor.length for x in phase.operands) for phase in products]
    return Rows(
        np.array(loads, dtype=np.int64).reshape(len(products), phases[0].rows),
        tuple(siblings_of(len(phase.matvecs)) for phase in products), tuple(columns),
        len(phases), is_fixed or not products,
    )  # fmt: skip


def _shared_rows(parts: Partition, arranged: dict[str, Arrangement]) -> dict[str, tuple[int, ...]]:
    """Phase -> its shared rows."""
    left = {order: iter(found.shared) for order, found in arranged.items()}
    return {phase.name: next(left[parts.order(phase)]) for phase in parts.phases if phase.matvecs}


def _layouts(
    graph: Graph, parts: Partition, hardware: Hardware, arranged: dict[str, Arrangement]
) -> dict[str, Layout]:
    """Every order in hardware: as arranged; an input frame that no phase computes as it comes."""
    layouts = {
        parts.order_of[node.name]: Layout.plain(node.tensor.length, hardware.cell_units)
        for node in graph.of_kind("input")
    }
    for order, found in arranged.items():
        layouts.pop(order, None)
        layouts[order] = Layout.from_assignment(found.pe_of_row, hardware.pes)
    return layouts


def _blank_code(
    graph: Graph, phase: PhaseNodes, layouts: dict[str, Layout], order_of: dict[str, str],
    hardware: Hardware,
) -> PhaseCode:  # fmt: skip
    operands = tuple((order_of[s], layouts[order_of[s]].positions) for s in phase.operands)
    rows = order_of[phase.matvecs[0]]
    weight_bits = max(
        graph[weights].tensor.type.width
        for name in phase.matvecs
        for weights in graph[name].inputs[1::2]
    )
    return PhaseCode(
        phase.name, phase.sweep, phase.matvecs, rows, layouts[rows].positions // hardware.pes,
        operands, phase.gathers, weight_bits, Gap(index_bits=1),
        banks=hardware.accumulator_banks or BANK_CHOICES[0], words=0,
    )  # fmt: skip


def _encode_all(
    codes: dict[str, PhaseCode], nonzeros: dict[str, NonZeros], hardware: Hardware
) -> tuple[int, dict[str, Entries]]:
    """Words of all phases with the fewest accumulator banks that keep bubbles under 1 %."""
    asked = hardware.accumulator_banks
    for banks in (asked,) if asked else BANK_CHOICES:
        entries = {
            name: code.format.encode(
                replace(code, banks=banks), hardware.pes, nonzeros[name], hardware.hazard_distance
            )
            for name, code in codes.items()
        }
        words = sum(entry.words for entry in entries.values())
        without_bubbles = sum(
            code.format.min_words(code, nonzeros[name], hardware.pes)
            for name, code in codes.items()
        )
        if words <= (1 + BUBBLES_TOLERATED) * without_bubbles:
            break
    return banks, entries


def _with_starts(
    phase: PhaseNodes, code: PhaseCode, nonzeros: NonZeros, words: int, hardware: Hardware
) -> PhaseCode:
    """When each vector may begin to be written: as late as costs no word if others are earlier."""
    starts: list[int] = []
    for k, ready in enumerate(phase.ready):
        if k == 0 or ready == phase.ready[k - 1]:
            starts.append(starts[-1] if starts else 0)
        else:
            starts.append(max(starts[-1], code.format.head_words(code, nonzeros, k, words)))
    return replace(code, starts=tuple(starts), packet=hardware.cell_units)


def _product(
    phase: PhaseNodes, code: PhaseCode, entries: Entries, nonzeros: int, hardware: Hardware
) -> Product:
    waste = code.format.waste(code, entries)
    return Product(
        nodes=phase,
        code=replace(code, words=entries.words),
        entries=entries,
        nonzeros=nonzeros,
        waste={cause: int(counts.sum()) for cause, counts in waste.items()},
        bound=-(-nonzeros // hardware.pes),
    )
