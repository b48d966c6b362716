"""Phases and non-zeros to try formats on."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

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


@st.composite
def phases(draw):
    """(code, layouts, matrices, pes): one or four siblings over two vectors, some rows shared."""
    pes, rows = draw(st.integers(1, 40)), draw(st.integers(1, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = [draw(st.integers(1, 30)) for _ in range(2)]
    matvecs = draw(st.sampled_from([("m",), ("i", "f", "g", "o")]))
    layouts = {
        "rows": Layout.from_assignment(generator.permutation(rows) % pes, pes),
        "x": Layout.plain(widths[0], 4),
        "h": Layout.from_assignment(generator.permutation(widths[1]) % 3, 3),
    }
    is_shared = generator.random(rows) < draw(st.sampled_from([0, 0.1, 0.5, 1]))
    code = phase_code(
        Gap(draw(st.integers(1, 8))), layouts["rows"].positions // pes, matvecs=matvecs,
        operands=tuple((name, layouts[name].positions) for name in ("x", "h")),
        gathers=((0, 1),) * len(matvecs), banks=draw(st.sampled_from([4, 8])),
        shared=tuple(np.flatnonzero(is_shared).tolist()),
    )  # fmt: skip
    density = draw(st.sampled_from([0, 0.1, 0.5, 1]))
    matrices = {
        (matvec, k): Matrix.of(
            generator.integers(1, 2000, (rows, width)) * (generator.random((rows, width)) < density)
        )
        for matvec in matvecs
        for k, width in enumerate(widths)
    }
    return code, layouts, matrices, pes
