"""The schedule of a whole network: its phases, each PE's rows, and the words of every product.

Knows PEs, slots and words, but no memory, no port and no cycle: those are ``penstock.machine``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import IntArray
from penstock.formats import Bank, Entries, Format, Gap, Layout, NonZeros, PhaseCode
from penstock.formats.phase import siblings_of
from penstock.formats.protocol import Matrices
from penstock.formats.rows import latest_starts
from penstock.ir import Graph
from penstock.ir.matrix import Matrix
from penstock.schedule.ahead import in_order_of_readiness
from penstock.schedule.arrange import Arrangement, Rows, arrange
from penstock.schedule.encode import choose_format, loads_by_row
from penstock.schedule.partition import Partition, PhaseNodes, partition
from penstock.settings import Hardware

BANK_CHOICES = (4, 8, 16)
BUBBLES_TOLERATED = 0.005


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
    if hardware.is_bank:
        return _in_banks(graph, hardware)
    may_share = share and not hardware.is_broadcast
    parts, rows = phases_and_rows(graph, hardware)
    arranged = {order: arrange(own, hardware, may_share) for order, own in rows.items()}
    shared = _shared_rows(parts, arranged)
    _check_pes(parts, hardware, shared)
    layouts = layouts_of(
        graph, parts, hardware, {order: found.pe_of_row for order, found in arranged.items()}
    )
    products = [phase for phase in parts.phases if phase.matvecs]
    codes, nonzeros = {}, {}
    for phase in products:
        code = blank_code(graph, phase, layouts, parts.order_of, hardware)
        code = replace(code, shared=shared[phase.name])
        matrices = weight_matrices(graph, phase.matvecs)
        nonzeros[phase.name] = code.format.place(code, layouts, hardware.pes, matrices)
        chosen = choose_format(code, nonzeros[phase.name], hardware)
        codes[phase.name] = replace(code, format=chosen)
    codes, entries = _encode_all(codes, nonzeros, hardware)
    if hardware.overlaps:
        for phase in products:
            code = _with_starts(codes[phase.name], entries[phase.name], hardware)
            codes[phase.name] = code
            entries[phase.name] = code.format.encode(
                code, hardware.pes, nonzeros[phase.name], hardware.hazard_distance
            )
    done = tuple(
        _product(
            phase, codes[phase.name], entries[phase.name], len(nonzeros[phase.name].pe), hardware
        )
        for phase in products
    )
    banks = max(code.banks for code in codes.values())
    return Schedule(hardware, banks, parts.phases, done, layouts, parts.order_of)


def _in_banks(graph: Graph, hardware: Hardware) -> Schedule:
    """The schedule of the bank dataflow: rows and columns stay in their order, which the mask was
    made for."""
    parts, rows = phases_and_rows(graph, hardware)
    _check_banks(parts, hardware)
    layouts = _plain_layouts(graph, rows, parts, hardware)
    done = []
    for phase in parts.phases:
        if not phase.matvecs:
            continue
        code = blank_code(graph, phase, layouts, parts.order_of, hardware)
        nonzeros = code.format.place(
            code, layouts, hardware.pes, weight_matrices(graph, phase.matvecs)
        )
        code = replace(code, format=choose_format(code, nonzeros, hardware))
        entries = code.format.encode(code, hardware.pes, nonzeros, hardware.hazard_distance)
        done.append(_product(phase, code, entries, len(nonzeros.pe), hardware))
    return Schedule(hardware, 0, parts.phases, tuple(done), layouts, parts.order_of)


def _plain_layouts(
    graph: Graph, rows: dict[str, Rows], parts: Partition, hardware: Hardware
) -> dict[str, Layout]:
    """Every vector in its own order, filled up to whole turns of all phases that compute it."""
    units = hardware.cell_units
    layouts = {
        parts.order_of[node.name]: Layout.plain(node.tensor.length, units)
        for node in graph.of_kind("input")
    }
    for order, own in rows.items():
        turns = [hardware.shape[0] // siblings for siblings in own.siblings]
        layouts[order] = Layout.plain(own.count, max([*turns, units]))
    return layouts


def _check_banks(parts: Partition, hardware: Hardware) -> None:
    """Refuse what no turn of rows can be made of, or no bank be written from."""
    units, (at_a_time, banks) = hardware.cell_units, hardware.shape
    for phase in parts.phases:
        siblings = siblings_of(len(phase.matvecs)) if phase.matvecs else 1
        cells = at_a_time // siblings
        if at_a_time % siblings or (cells % units and units % cells):
            raise PenstockError(
                f"{at_a_time} rows at a time are not whole cells of {phase.name}: "
                f"{siblings} rows each, {units} cells a cycle",
                "hardware settings",
                f"choose a multiple of {siblings * units} (--rows), or fewer --elements-per-cycle",
            )
    if banks % units:
        raise PenstockError(
            f"{units} elements per cycle do not go to {banks} banks, one to each",
            "hardware settings",
            f"choose --banks {units} or more, or fewer --elements-per-cycle",
        )


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


def phases_and_rows(graph: Graph, hardware: Hardware) -> tuple[Partition, dict[str, Rows]]:
    """The phases, and what is asked of every order that they compute."""
    parts = partition(graph, hardware.accumulator_banks or BANK_CHOICES[0])
    parts = replace(parts, phases=in_order_of_readiness(graph, parts.phases))
    phases_of: dict[str, list[PhaseNodes]] = {}
    for phase in parts.phases:
        phases_of.setdefault(parts.order(phase), []).append(phase)
    return parts, {
        order: _rows(graph, phases, order in parts.in_callers_order)
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


def layouts_of(
    graph: Graph, parts: Partition, hardware: Hardware, pe_of_row: dict[str, IntArray]
) -> dict[str, Layout]:
    """Every order in hardware: by its rows' PEs; an input frame that no phase computes as it
    comes."""
    layouts = {
        parts.order_of[node.name]: Layout.plain(node.tensor.length, hardware.cell_units)
        for node in graph.of_kind("input")
    }
    for order, assigned in pe_of_row.items():
        layouts.pop(order, None)
        layouts[order] = Layout.from_assignment(assigned, hardware.pes)
    return layouts


def blank_code(
    graph: Graph, phase: PhaseNodes, layouts: dict[str, Layout], order_of: dict[str, str],
    hardware: Hardware,
) -> PhaseCode:  # fmt: skip
    """A phase's code before its format, its banks and its words are known."""
    operands = tuple((order_of[s], layouts[order_of[s]].columns) for s in phase.operands)
    rows = order_of[phase.matvecs[0]]
    weight_bits = max(
        graph[weights].tensor.type.width
        for name in phase.matvecs
        for weights in graph[name].inputs[1::2]
    )
    form: Format = Gap(index_bits=1)
    banks = hardware.accumulator_banks or BANK_CHOICES[0]
    if hardware.is_bank:
        form, banks = Bank(*hardware.shape, 1, (1,)), 0
    code = PhaseCode(
        phase.name, phase.sweep, phase.matvecs, rows, 1, operands, phase.gathers, weight_bits, form,
        banks=banks, words=0,
    )  # fmt: skip
    owners = form.owners(code, hardware.pes)
    return replace(code, rows_per_pe=layouts[rows].positions // owners)


def _encode_all(
    codes: dict[str, PhaseCode], nonzeros: dict[str, NonZeros], hardware: Hardware
) -> tuple[dict[str, PhaseCode], dict[str, Entries]]:
    """Words of all phases with the fewest accumulator banks that keep bubbles under 0.5 %."""
    asked = hardware.accumulator_banks
    for banks in (asked,) if asked else BANK_CHOICES:
        banked = {name: with_banks(code, banks, hardware) for name, code in codes.items()}
        entries = {
            name: code.format.encode(code, hardware.pes, nonzeros[name], hardware.hazard_distance)
            for name, code in banked.items()
        }
        words = sum(entry.words for entry in entries.values())
        without_bubbles = sum(
            code.format.min_words(code, nonzeros[name], hardware.pes)
            for name, code in codes.items()
        )
        if words <= (1 + BUBBLES_TOLERATED) * without_bubbles:
            break
    return banked, entries


def with_banks(code: PhaseCode, banks: int, hardware: Hardware) -> PhaseCode:
    """With so many accumulator banks, or fewer, unless they were asked for.

    A phase whose ways are as many as the words between two uses of an address has no bubble: it
    takes no further banks.
    """
    enough = 1 << (hardware.hazard_distance - 1).bit_length()
    useful = max(code.siblings * enough, BANK_CHOICES[0])
    return replace(code, banks=hardware.accumulator_banks or min(banks, useful))


def _with_starts(code: PhaseCode, entries: Entries, hardware: Hardware) -> PhaseCode:
    """When each vector may begin to be written: as late as costs no word.

    entries: the words without starts.
    """
    code = replace(code, packet=hardware.copied_elements, words=entries.words)
    return replace(code, starts=latest_starts(code, *code.format.decode(code, entries)))


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
