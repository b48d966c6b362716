"""Where the non-zeros of every matrix are, in figures and as pictures with the rows sorted by PE."""

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

PIXELS = 1 << 20
"""Of the pictures of all matrices: less than 700 kB of the page, whatever the network; a picture in
which one pixel in ten is set takes 0.2 bytes a pixel."""
HUES = ((45, 116, 190), (214, 120, 24), (22, 140, 110), (170, 80, 160))
"""Of one PE and the next ones, in turn; to be told apart by all eyes, on white and on black."""
SHARED_HUE = (120, 130, 140)
OPACITIES = (105, 170, 255)
"""Of a pixel in which few, more, most elements are non-zeros."""
PALETTE: list[Colour] = [(0, 0, 0, 0), *((*hue, a) for hue in (*HUES, SHARED_HUE) for a in OPACITIES)]


@dataclass(frozen=True)
class Picture:
    """Of a matrix. content: a PNG file in base64; a pixel stands for side x side elements.

    ticks: (line, PE) of some lines in which a PE's rows begin; of lines, as in the matrix.
    """

    content: str
    side: int
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
    return {
        placed.name: Picture(b64encode(_png(placed, side)).decode(), side, _ticks(placed))
        for placed, side in zip(matrices, sides, strict=True)
    }


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
    """The pictures that are largest become coarser until all of them have ``PIXELS``."""
    sides = {shape: 1 for shape in shapes}

    def pixels(shape: tuple[int, int]) -> int:
        return -(-shape[0] // sides[shape]) * -(-shape[1] // sides[shape])

    while sum(pixels(shape) for shape in shapes) > PIXELS:
        sides[max(sides, key=pixels)] += 1
    return [sides[shape] for shape in shapes]


def _png(placed: Placed, side: int) -> bytes:
    matrix = placed.matrix
    height, width = (-(-length // side) for length in matrix.shape)
    pixel = placed.line[matrix.rows] // side * width + matrix.columns // side
    counts = np.bincount(pixel, minlength=height * width).reshape(height, width)
    steps = len(OPACITIES)
    level = -(-counts * steps // side**2)
    hue = np.where(placed.pe_of_line == placed.pes, len(HUES), placed.pe_of_line % len(HUES))
    colour = hue[::side, None] * steps + level
    return png(np.where(level > 0, colour, 0).astype(np.uint8), PALETTE)
