"""Golden vectors: the calls that the emitted test bench checks on its own."""

from __future__ import annotations

import numpy as np

from penstock.fixed import IntArray
from penstock.ir.evaluate import evaluate
from penstock.machine import Machine
from penstock.packing.vectors import START_CARRIED, START_GIVEN, START_ZERO, Call, vector_file

MOST_STEPS = 3
GOLDEN_SEED = 7
GOLDEN_STARTS = (START_ZERO, START_CARRIED, START_GIVEN)
"""So that co-simulation goes every way that a call can begin and end."""


def golden_vectors(machine: Machine) -> bytes:
    """The vector file: a call from zero that keeps its state to itself, one that goes on from
    there, and one that is given a state and, if there are several lanes, one without a step.
    """
    graph, beats = machine.graph, machine.beats
    generator = np.random.default_rng(GOLDEN_SEED)
    source = machine.input.tensor
    steps = golden_steps(machine)
    shape = (beats.lanes, steps, source.length)
    layouts = {state.name: state.layout for state in machine.kept.states}
    calls, state = [], None
    for start in GOLDEN_STARTS:
        low, high = source.type.raw_min // 2, source.type.raw_max // 2
        x = generator.integers(low, high, shape, endpoint=True)
        if start == START_GIVEN:
            state = _any_state(machine, generator)
        given = beats.state_to_beats(state, layouts) if start == START_GIVEN and state else b""
        lengths = _lengths(beats.lanes, steps, start)
        result = evaluate(graph, x, lengths, state)
        state = {name: result.state[name] for name in layouts}
        store = start != START_ZERO
        final = beats.state_to_beats(state, layouts) if store else b""
        calls.append(
            Call(x, lengths, start, start == START_ZERO, given, beats.to_beats(result.y), final,
                 store)
        )  # fmt: skip
    return vector_file(calls, beats)


def golden_steps(machine: Machine) -> int:
    """Steps of each call: three, or as many as the kernel takes."""
    return min(MOST_STEPS, machine.max_steps or MOST_STEPS)


def _lengths(lanes: int, steps: int, start: int) -> IntArray:
    lengths = np.maximum(steps - np.arange(lanes), 1)
    if start == START_GIVEN and lanes > 1:
        lengths[-1] = 0
    return lengths


def _any_state(machine: Machine, generator: np.random.Generator) -> dict[str, IntArray]:
    return {
        state.name: generator.integers(
            state.type.raw_min // 2, state.type.raw_max // 2,
            (machine.beats.lanes, state.layout.length), endpoint=True,
        )
        for state in machine.kept.states
    }  # fmt: skip
