"""What a check feeds to the kernel: ordinary, random and extreme inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from penstock.fixed import Fixed, IntArray
from penstock.packing.vectors import START_CARRIED, START_GIVEN, START_ZERO


@dataclass(frozen=True)
class Stimulus:
    """One call: x (lanes, steps, inputs) raw, lengths (lanes), and where the state comes from."""

    name: str
    x: IntArray
    lengths: IntArray
    start: int
    state: dict[str, IntArray] | None = None


def stimuli(
    dtype: Fixed,
    inputs: int,
    lanes: int,
    steps: int,
    states: dict[str, tuple[int, Fixed]],
    seed: int,
) -> Iterator[Stimulus]:
    """Pairs of consecutive calls; the second of a pair carries the state of the first on.

    ``states``: name -> (length, type). Lengths differ between lanes in every second call.
    """
    generator = np.random.default_rng(seed)
    shape = (lanes, steps, inputs)
    low, high = dtype.raw_min, dtype.raw_max
    quiet = np.clip(np.rint(generator.normal(0, high / 8, shape)), low, high).astype(np.int64)
    flips = (np.indices(shape).sum(axis=0) % 2).astype(bool)
    frames = {
        "ordinary": quiet,
        "random": generator.integers(low, high, shape, endpoint=True),
        "all-max": np.full(shape, high),
        "all-min": np.full(shape, low),
        "alternating": np.where(flips, high, low),
    }
    full = np.full(lanes, steps)
    for name, x in frames.items():
        ragged = generator.integers(0, steps, lanes, endpoint=True)
        yield Stimulus(name, x, full, START_ZERO)
        yield Stimulus(f"{name}, carried on", x[:, ::-1], ragged, START_CARRIED)
    given = {
        state: generator.integers(form.raw_min, form.raw_max, (lanes, length), endpoint=True)
        for state, (length, form) in states.items()
    }
    for edge in ("max", "min"):
        extreme = {
            state: np.full((lanes, length), form.raw_max if edge == "max" else form.raw_min)
            for state, (length, form) in states.items()
        }
        yield Stimulus(f"random from an all-{edge} state", frames["random"], full, START_GIVEN,
                       extreme)  # fmt: skip
    yield Stimulus("random from a given state", frames["random"], full, START_GIVEN, given)
    yield Stimulus("random from a given state, carried on", frames["random"][:, ::-1], full,
                   START_CARRIED)  # fmt: skip


def own_stimuli(x: IntArray, lengths: IntArray, lanes: int) -> Iterator[Stimulus]:
    """The user's sequences, ``lanes`` in a call; lanes left over have no steps.

    x: (sequences, steps, inputs) raw; lengths: (sequences).
    """
    for start in range(0, len(x), lanes):
        part, counts = x[start : start + lanes], lengths[start : start + lanes]
        idle = lanes - len(part)
        yield Stimulus(
            f"input, sequences from {start}", np.pad(part, ((0, idle), (0, 0), (0, 0))),
            np.pad(counts, (0, idle)), START_ZERO,
        )  # fmt: skip
