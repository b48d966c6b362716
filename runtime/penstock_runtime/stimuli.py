"""What a check feeds to the kernel: ordinary, random and extreme inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from penstock.fixed import Fixed, IntArray
from penstock.packing.vectors import START_CARRIED, START_GIVEN, START_ZERO


@dataclass(frozen=True)
class Stimulus:
    """One call: x (lanes, steps, inputs) raw, lengths (lanes), and where the state comes from.

    reload: the kernel reads its parameters again. is_own: the user's sequences, not ours.
    """

    name: str
    x: IntArray
    lengths: IntArray
    start: int
    state: dict[str, IntArray] | None = None
    reload: bool = False
    is_own: bool = False


def stimuli(
    dtype: Fixed,
    inputs: int,
    lanes: int,
    steps: int,
    states: dict[str, tuple[int, Fixed]],
    seed: int,
) -> Iterator[Stimulus]:
    """Pairs of consecutive calls; the second of a pair carries the state of the first on.

    ``states``: name -> (length, type). Lengths differ between lanes in every second call, and where
    states are given, one lane of several has no steps: its state stays as it was given.
    """
    generator = np.random.default_rng(seed)
    frames = _frames(dtype, (lanes, steps, inputs), generator)
    full = np.full(lanes, steps)
    for name, x in frames.items():
        ragged = generator.integers(0, steps, lanes, endpoint=True)
        yield Stimulus(name, x, full, START_ZERO)
        yield Stimulus(f"{name}, carried on", x[:, ::-1], ragged, START_CARRIED)
    x = frames["random"]
    for number, (name, state) in enumerate(_states(states, lanes, generator).items()):
        lengths = np.where(np.arange(lanes) == number, 0, steps) if lanes > 1 else full
        yield Stimulus(f"random from {name} state", x, lengths, START_GIVEN, state, reload=True)
    yield Stimulus(
        "random from a given state, carried on", x[:, ::-1], full, START_CARRIED, reload=True
    )


def _frames(
    dtype: Fixed, shape: tuple[int, ...], generator: np.random.Generator
) -> dict[str, IntArray]:
    low, high = dtype.raw_min, dtype.raw_max
    quiet = np.clip(np.rint(generator.normal(0, high / 8, shape)), low, high).astype(np.int64)
    flips = (np.indices(shape).sum(axis=0) % 2).astype(bool)
    return {
        "ordinary": quiet,
        "random": generator.integers(low, high, shape, endpoint=True),
        "all-max": np.full(shape, high),
        "all-min": np.full(shape, low),
        "alternating": np.where(flips, high, low),
    }


def _states(
    states: dict[str, tuple[int, Fixed]], lanes: int, generator: np.random.Generator
) -> dict[str, dict[str, IntArray]]:
    def every(draw: Callable[[Fixed, tuple[int, int]], IntArray]) -> dict[str, IntArray]:
        return {name: draw(dtype, (lanes, length)) for name, (length, dtype) in states.items()}

    given = every(lambda dtype, shape: generator.integers(
        dtype.raw_min, dtype.raw_max, shape, endpoint=True))  # fmt: skip
    return {
        "an all-max": every(lambda dtype, shape: np.full(shape, dtype.raw_max)),
        "an all-min": every(lambda dtype, shape: np.full(shape, dtype.raw_min)),
        "a given": given,
    }


def own_stimuli(x: IntArray, lengths: IntArray, lanes: int) -> Iterator[Stimulus]:
    """The user's sequences, ``lanes`` in a call; lanes left over have no steps.

    x: (sequences, steps, inputs) raw; lengths: (sequences).
    """
    for start in range(0, len(x), lanes):
        part, counts = x[start : start + lanes], lengths[start : start + lanes]
        idle = lanes - len(part)
        yield Stimulus(
            f"input, sequences from {start}", np.pad(part, ((0, idle), (0, 0), (0, 0))),
            np.pad(counts, (0, idle)), START_ZERO, is_own=True,
        )  # fmt: skip
