"""Golden vectors: the calls that the emitted test bench checks on its own."""

from __future__ import annotations

import numpy as np

from penstock.ir.evaluate import evaluate
from penstock.machine import Machine
from penstock.packing.vectors import START_CARRIED, START_ZERO, Call, vector_file

GOLDEN_STEPS = 3
GOLDEN_SEED = 7


def golden_vectors(machine: Machine) -> bytes:
    """The vector file: two calls, the second going on where the first ended."""
    graph, beats = machine.graph, machine.beats
    source = machine.input.tensor
    generator = np.random.default_rng(GOLDEN_SEED)
    shape = (beats.lanes, GOLDEN_STEPS, source.length)
    lengths = np.maximum(GOLDEN_STEPS - np.arange(beats.lanes), 1)
    layouts = {state.name: state.layout for state in machine.kept.states}
    calls, state = [], None
    for start in (START_ZERO, START_CARRIED):
        low, high = source.type.raw_min // 2, source.type.raw_max // 2
        x = generator.integers(low, high, shape, endpoint=True)
        result = evaluate(graph, x, lengths, state)
        state = result.state
        calls.append(
            Call(x, lengths, start, start == START_ZERO, b"", beats.to_beats(result.y),
                 beats.state_to_beats({name: state[name] for name in layouts}, layouts))
        )  # fmt: skip
    return vector_file(calls, beats)
