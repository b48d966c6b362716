"""Where the non-zeros of every matrix are: figures, and pictures with the rows sorted by PE."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
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

    pes: that have one colour together. ticks: (line, PE) of some lines in which a PE's rows begin;
    lines are as many as rows of the matrix.
    """

    content: str
    side: int
    pes: int
    ticks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Placed:
    """A matrix, and where its rows are.

    line: (rows) each row's line in the picture: PE after PE, in a PE by slot, shared rows last.
    pe_of_line: (rows) the PE of each line; as many as there are PEs: shared by all.
    """

    name: str
    phase: str
    matrix: Matrix
    pes: int
    line: IntArray
    pe_of_line: IntArray


def placed_matrices(machine: Machine) -> list[Placed]:
    """Every weight matrix of the PE array, in the order of the phases."""
    return [placed for product in machine.plan.products for placed in _placed(machine, product)]


def _placed(machine: Machine, product: Product) -> Iterator[Placed]:
    pes, layout = machine.hardware.pes, machine.plan.layouts[product.code.rows]
    pe, slot = layout.place(np.arange(layout.length), pes)
    pe[list(product.code.shared)] = pes
    order = np.lexsort((slot, pe))
    line = np.empty_like(order)
    line[order] = np.arange(len(order))
    matvecs = product.code.matvecs
    for (matvec, operand), matrix in weight_matrices(machine.graph, matvecs).items():
        name = machine.graph[matvec].inputs[2 * operand + 1]
        yield Placed(name, product.code.name, matrix, pes, line, pe[order])


def sparsity_section(matrices: list[Placed]) -> list[dict[str, Any]]:
    """One row for each matrix: how its non-zeros lie over rows, columns and PEs."""
    return [_figures(placed) for placed in matrices]


def _figures(placed: Placed) -> dict[str, Any]:
    matrix = placed.matrix
    by_row, by_column = matrix.row_counts, np.bincount(matrix.columns, minlength=matrix.shape[1])
    by_pe = np.bincount(placed.pe_of_line[placed.line], by_row, placed.pes)[: placed.pes]
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
        found[placed.name] = Picture(content, side, pes, _ticks(placed))
    return found


def _ticks(placed: Placed) -> tuple[tuple[int, int], ...]:
    """Where the rows of a few PEs begin, evenly spread by number; and those that are shared."""
    step = step_of(placed.pes)
    wanted = [*range(0, placed.pes, step), placed.pes]
    first = np.searchsorted(placed.pe_of_line, wanted)
    return tuple(
        (int(line), pe) for line, pe in zip(first, wanted, strict=True)
        if line < len(placed.pe_of_line)
    )  # fmt: skip


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
