"""What every PYNQ driver must do, whatever moves its frames and results."""

from __future__ import annotations

import sys

import numpy as np

from penstock.ir.evaluate import evaluate


def frames(project, steps, seed):
    (source,) = project.compiled.graph.of_kind("input")
    kind, lanes = source.tensor.type, project.compiled.manifest.interface.lanes
    shape = (lanes, steps, source.tensor.length)
    return np.random.default_rng(seed).integers(kind.raw_min, kind.raw_max, shape, endpoint=True)


def assert_driver_agrees(project, accelerator):
    """Calls of all kinds give the interpreter's bits; buffers grow, parameters are read once."""
    graph = project.compiled.graph
    x = frames(project, 5, seed=1)
    lengths = np.maximum(5 - np.arange(len(x)), 0)
    first = evaluate(graph, x, lengths)
    assert_equal(accelerator.run(x, lengths), accelerator.state, first)
    parameters = accelerator._buffers["parameters"]  # they are in the kernel now
    sys.modules["pynq"].CARD[parameters.device_address][:] = 0
    more = frames(project, 8, seed=2)  # needs larger buffers
    full = np.full(len(x), 8)
    second = evaluate(graph, more, full, first.state)
    assert_equal(accelerator.run(more, start="carried"), accelerator.state, second)
    given = accelerator.run(more, start="given", state=first.state)
    assert_equal(given, accelerator.state, second)
    short = frames(project, 2, seed=3)
    third = evaluate(graph, short, np.full(len(x), 2))
    assert_equal(accelerator.run(short), accelerator.state, third)


def assert_equal(y, state, expected):
    assert np.array_equal(y, expected.y)
    assert list(state) == list(expected.state)
    assert all(np.array_equal(state[name], expected.state[name]) for name in state)
