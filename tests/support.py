"""Random models, pruned and quantizable, without torch; runs of the examples and the program."""

from __future__ import annotations

import contextlib
import io
from collections import namedtuple

import numpy as np
import pytest

from penstock.compress import pe_balanced_mask
from penstock.layers import DenseHead, Lstm
from penstock.layers.lstm import GATES, PEEPHOLES
from penstock.model import stack

Done = namedtuple("Done", "status out err")
"""A run of the program: its exit status, and what it wrote."""


def random_direction(
    generator,
    inputs,
    cells,
    outputs=None,
    peephole=False,
    density=0.4,
    pes=4,
    g_function="tanh",
    bias=0.5,
):
    def weights(rows, columns):
        values = generator.normal(0, 1.2 / np.sqrt(columns), (rows, columns))
        if density == 0:
            return values * 0
        return values * pe_balanced_mask(values, density, pes)

    width = outputs or cells
    return Lstm(
        {gate: weights(cells, inputs) for gate in GATES},
        {gate: weights(cells, width) for gate in GATES},
        {gate: bias * generator.uniform(-1, 1, cells) for gate in GATES},
        {gate: generator.uniform(-0.5, 0.5, cells) for gate in PEEPHOLES} if peephole else {},
        weights(outputs, cells) if outputs else None,
        g_function,
    )


def random_model(
    inputs=5, cells=(8,), outputs=None, bidirectional=False, peephole=False, density=0.4, pes=4,
    head=None, at="last", activation="none", g_function="tanh", seed=0, bias=0.5, full_cell=None,
):  # fmt: skip
    """``cells``: one number a layer; ``outputs``: projection; ``head``: classes.

    ``bidirectional``: for all layers, or a list with a flag for each. ``full_cell``: of every
    layer, one, or a list of some, whose rows have no zero.
    """
    generator = np.random.default_rng(seed)
    flags = bidirectional if isinstance(bidirectional, list) else [bidirectional] * len(cells)
    layers, width = [], inputs
    for count, both in zip(cells, flags, strict=True):
        parts = [
            random_direction(
                generator, width, count, outputs, peephole, density, pes, g_function, bias
            )
            for _ in range(2 if both else 1)
        ]
        for part in parts if full_cell is not None else ():
            for matrix in (*part.w_x.values(), *part.w_r.values()):
                matrix[full_cell] = np.where(matrix[full_cell] == 0, 0.1, matrix[full_cell])
        layers.append(tuple(parts))
        width = sum(part.outputs for part in parts)
    dense = None
    if head:
        dense = DenseHead(
            generator.normal(0, 1, (head, width)), generator.normal(0, 0.2, head), activation
        )
    return stack(layers, dense, at)


def run_example(example, *arguments):
    """(exit status, what was printed, outcome) of an example's ``main``; its module."""
    printed, outcomes = io.StringIO(), []
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        run = example.run
        patch.setattr(example, "run", lambda *a: outcomes.append(run(*a)) or outcomes[-1])
        status = example.main(list(arguments))
    return status, printed.getvalue(), outcomes[0]


def is_silent(said):
    """True if a page said nothing, and asked for nothing but itself. said: see ``open_page``."""
    return said[0].startswith("file:") and all(text.startswith("data:") for text in said[1:])


def barriers(page):
    """What axe finds in a page: the rule, and the first place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found]
