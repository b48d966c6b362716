"""Where the non-zeros of every matrix are: figures, and pictures with the rows sorted by PE."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.formats.bank import Bank
from penstock.ir.matrix import Matrix
from penstock.machine import Machine
from penstock.report.drawing.axes import step_of
from penstock.report.png import Colour, png
from penstock.report.text import ratio
from penstock.schedule import Product
from penstock.schedule.plan import weight_matrices

PIXELS = 3 << 19
"""Of the pictures of all matrices together, at most, whatever the network; one of a matrix that is
nine tenths zeros takes a fifth of a byte a pixel."""
SMALL = 256
"""Pixels of the longest side that a picture keeps, however many there are."""
BAND = 6
"""Lines that have one colour, at least."""
HUES = ((45, 116, 190), (214, 120, 24), (22, 140, 110), (170, 80, 160))
"""Of one PE, or some, and the next ones, in turn; to be told apart by all eyes, on white and on
black."""
SHARED_HUE = (120, 130, 140)
OPACITIES = (150, 205, 255)
"""Of a pixel in which few, more, most elements are non-zeros."""
PALETTE: list[Colour] = [
    (0, 0, 0, 0),
    *((*hue, a) for hue in (*HUES, SHARED_HUE) for a in OPACITIES),
]


@dataclass(frozen=True)
class Picture:
    """Of a matrix. content: a PNG file in base64; a pixel stands for side x side elements.

    pes: that have one colour together, or rows of multipliers. ticks: (line, name) of some lines in
    which a PE's rows begin; lines are as many as rows of the matrix.
    """

    content: str
    side: int
    pes: int
    ticks: tuple[tuple[int, str], ...]
    is_in_banks: bool = False


@dataclass(frozen=True)
class Placed:
    """A matrix, and where its rows are.

    line: (rows) each row's line in the picture: PE after PE, in a PE by slot, shared rows last.
    pe_of_line: (rows) the PE of each line; as many as there are PEs: shared by all.

    In banks, a PE is a row of multipliers: PE p of this matrix is row p * stride + first of all.
    bank: (columns) the multiplier of such a row that takes a column, of so many banks.
    """

    name: str
    phase: str
    matrix: Matrix
    pes: int
    line: IntArray
    pe_of_line: IntArray
    bank: IntArray | None = None
    banks: int = 1
    first: int = 0
    stride: int = 1


def placed_matrices(machine: Machine) -> list[Placed]:
    """Every weight matrix of the PE array, in the order of the phases."""
    return [placed for product in machine.plan.products for placed in _placed(machine, product)]


def _placed(machine: Machine, product: Product) -> Iterator[Placed]:
    code, layouts = product.code, machine.plan.layouts
    layout, pes = layouts[code.rows], code.format.owners(code, machine.hardware.pes)
    pe, slot = layout.place(np.arange(layout.length), pes)
    pe[list(code.shared)] = pes
    order = np.lexsort((slot, pe))
    line = np.empty_like(order)
    line[order] = np.arange(len(order))
    for (matvec, operand), matrix in weight_matrices(machine.graph, code.matvecs).items():
        found = Placed(
            machine.graph[matvec].inputs[2 * operand + 1], code.name, matrix, pes, line, pe[order]
        )
        if isinstance(code.format, Bank):
            m, banks = code.matvecs.index(matvec), code.format.banks
            vector, _ = code.operands[code.gathers[m][operand]]
            bank = layouts[vector].position_of % banks
            found = replace(found, bank=bank, banks=banks, first=m, stride=code.siblings)
        yield found


def sparsity_section(matrices: list[Placed]) -> list[dict[str, Any]]:
    """One row for each matrix: how its non-zeros lie over rows, columns and PEs."""
    return [_figures(placed) for placed in matrices]


def _figures(placed: Placed) -> dict[str, Any]:
    matrix = placed.matrix
    by_row, by_column = matrix.row_counts, np.bincount(matrix.columns, minlength=matrix.shape[1])
    own = placed.pe_of_line[placed.line][matrix.rows] * placed.banks
    if placed.bank is not None:
        own += placed.bank[matrix.columns]
    multipliers = placed.pes * placed.banks
    by_pe = np.bincount(own, minlength=multipliers)[:multipliers]
    return {
        "name": placed.name, "phase": placed.phase, "shape": list(matrix.shape),
        "nonzeros": matrix.count, "density": ratio(matrix.count, matrix.size),
        "by_row": _spread(by_row), "by_column": _spread(by_column), "by_pe": _spread(by_pe),
        "shared_rows": int(np.count_nonzero(placed.pe_of_line == placed.pes)),
    }  # fmt: skip


def _spread(counts: NDArray[Any]) -> dict[str, Any]:
    return {
        "least": int(counts.min()), "mean": float(counts.mean()), "most": int(counts.max()),
        "empty": int(np.count_nonzero(counts == 0)),
    }  # fmt: skip


def pictures(matrices: list[Placed]) -> dict[str, Picture]:
    """Every matrix's picture, by its name."""
    sides = _sides([placed.matrix.shape for placed in matrices])
    found = {}
    for placed, side in zip(matrices, sides, strict=True):
        pes = _pes_of_a_colour(placed, side)
        content = b64encode(_png(placed, side, pes)).decode()
        is_in_banks = placed.bank is not None
        found[placed.name] = Picture(content, side, pes, _ticks(placed), is_in_banks)
    return found


def _ticks(placed: Placed) -> tuple[tuple[int, str], ...]:
    """Where the rows of a few PEs begin, evenly spread by number; and those that are shared."""
    step = step_of(placed.pes)
    wanted = [*range(0, placed.pes, step), placed.pes]
    first = np.searchsorted(placed.pe_of_line, wanted)
    return tuple(
        (int(line), _called(placed, pe)) for line, pe in zip(first, wanted, strict=True)
        if line < len(placed.pe_of_line)
    )  # fmt: skip


def _called(placed: Placed, pe: int) -> str:
    if pe == placed.pes:
        return "shared"
    kind = "PE" if placed.bank is None else "row"
    return f"{kind} {pe * placed.stride + placed.first:,}"


def _sides(shapes: list[tuple[int, int]]) -> list[int]:
    """All pictures become coarser, but for small ones, until together they have ``PIXELS``."""
    side = 0
    while True:
        side += 1
        sides = [min(side, -(-max(shape) // SMALL)) for shape in shapes]
        pixels = sum(-(-h // k) * -(-w // k) for (h, w), k in zip(shapes, sides, strict=True))
        if pixels <= PIXELS or side >= max(map(max, shapes)) / SMALL:
            return sides


def _pes_of_a_colour(placed: Placed, side: int) -> int:
    """So many, a power of two, that a colour is ``BAND`` lines high: less would blur."""
    lines = placed.matrix.shape[0] / (placed.pes * side)
    pes = 1
    while pes < placed.pes and pes * lines < BAND:
        pes *= 2
    return pes


def _png(placed: Placed, side: int, pes: int) -> bytes:
    matrix = placed.matrix
    height, width = (-(-length // side) for length in matrix.shape)
    pixel = placed.line[matrix.rows] // side * width + matrix.columns // side
    counts = np.bincount(pixel, minlength=height * width).reshape(height, width)
    level = -(-counts * len(OPACITIES) // side**2)
    of_pes = placed.pe_of_line // pes % len(HUES)
    hue = np.where(placed.pe_of_line == placed.pes, len(HUES), of_pes)
    colour = hue[::side, None] * len(OPACITIES) + level
    return png(np.where(level > 0, colour, 0).astype(np.uint8), PALETTE)
