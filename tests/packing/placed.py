"""Phases and non-zeros to try formats on."""

from __future__ import annotations

import numpy as np

from penstock.formats import Gap, Layout, NonZeros, PhaseCode
from penstock.ir.matrix import Matrix


def phase_code(format=None, rows_per_pe=1, banks=4, **changes):
    """A phase of one matrix with as many slots as ``rows_per_pe``; of ``banks`` ways."""
    fields = {
        "name": "p", "sweep": 0, "matvecs": ("m",), "rows": "rows", "rows_per_pe": rows_per_pe,
        "operands": (("x", 40),), "gathers": ((0,),), "weight_bits": 12,
        "format": format or Gap(3), "banks": banks, "words": 0, **changes,
    }  # fmt: skip
    return PhaseCode(**fields)


def random_nonzeros(pes, slots, columns, density, seed=0):
    generator = np.random.default_rng(seed)
    filled = generator.random((pes, columns * slots)) < density
    pe, position = np.nonzero(filled)
    weight = generator.integers(1, 2000, len(pe)) * generator.choice([-1, 1], len(pe))
    return NonZeros(pe, position, weight)


def siblings_of_their_own_vectors(format, pes=3):
    """A phase of three matvecs over two vectors, and its layouts and matrices.

    The first reads both, the second one only, the third both in the other order.
    """
    generator = np.random.default_rng(5)
    layouts = {
        "rows": Layout.from_assignment(np.array([0, 2, 1, 1, 0, 2, 2, 0]) % pes, pes),
        "x": Layout.plain(5, 4),
        "h": Layout.from_assignment(np.arange(8) % 2, 2),
    }
    code = phase_code(
        format, rows_per_pe=layouts["rows"].positions // pes, matvecs=("a", "b", "c"),
        operands=(("x", layouts["x"].positions), ("h", layouts["h"].positions)),
        gathers=((0, 1), (1,), (1, 0)),
    )  # fmt: skip
    matrices = {}
    for matvec, gathered in zip(code.matvecs, code.gathers, strict=True):
        for k, operand in enumerate(gathered):
            shape = (8, layouts[code.operands[operand][0]].length)
            weights = generator.integers(-2048, 2048, shape)
            matrices[matvec, k] = Matrix.of(weights * (generator.random(shape) < 0.4))
    return code, layouts, matrices
