"""An engine beside the reference: every value of every step, then all that a run gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.ir.engine import Executable, Result

Told = tuple[str, int, IntArray, NDArray[np.bool_]]
"""What an observer is told."""


@dataclass(frozen=True)
class EngineDifference:
    """The first thing in which an engine is not the reference. what: a node, or a part of a result.

    step: None for what belongs to the whole run.
    """

    engine: str
    what: str
    step: int | None = None

    def __str__(self) -> str:
        where = "" if self.step is None else f", step {self.step}"
        return f"the {self.engine} engine differs from the reference in {self.what}{where}"


def engine_difference(
    name: str,
    engine: Executable,
    reference: Executable,
    x: IntArray,
    lengths: IntArray,
    state: dict[str, IntArray] | None = None,
) -> EngineDifference | None:
    """Run both as ``Executable.run`` does, observed, and the engine once more as users run it."""
    told: list[Told] = []
    wanted = reference.run(x, lengths, state, lambda *value: told.append(value))
    different: list[EngineDifference] = []
    due = iter(told)

    def compare(node: str, step: int, raw: IntArray, counts: NDArray[np.bool_]) -> None:
        if not different and not _is_same(next(due, None), (node, step, raw, counts)):
            different.append(EngineDifference(name, node, step))

    observed = engine.run(x, lengths, state, compare)
    if not different and next(due, None) is not None:
        return EngineDifference(name, "the values that it tells")
    if different:
        return different[0]
    for got in (observed, engine.run(x, lengths, state)):
        part = _different_part(wanted, got)
        if part is not None:
            return EngineDifference(name, part)
    return None


def _is_same(wanted: Told | None, got: Told) -> bool:
    return (
        wanted is not None
        and wanted[:2] == got[:2]
        and np.array_equal(wanted[2], got[2])
        and np.array_equal(wanted[3], got[3])
    )


def _different_part(wanted: Result, got: Result) -> str | None:
    if not np.array_equal(wanted.y, got.y):
        return "the results"
    if wanted.state.keys() != got.state.keys():
        return "the names of the states"
    for name, raw in wanted.state.items():
        if not np.array_equal(raw, got.state[name]):
            return f"the final state {name}"
    return None if wanted.saturations == got.saturations else "the counts of saturated values"
