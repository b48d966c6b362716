"""A followed network against what it was followed from: in structure, and in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.frontend.follow.network import Network
from penstock.layers import DenseHead
from penstock.model import HEAD, RecurrentModel
from penstock.ops.lut import sigma

NOISE, LEAST = 2000.0, 1e-9
"""Ours may differ by so many steps of the model's floats, at its greatest result, and so much."""
MOST = 0.02
"""However coarse the model's floats are."""


@dataclass
class Ours:
    """A network at work on frames (lanes, steps, inputs): its results, arranged as the model's."""

    network: Network
    frames: FloatArray
    lengths: IntArray
    given: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def when(self) -> str:
        """What is special about these frames."""
        return (
            "" if (self.lengths == self.lengths[0]).all() else " for sequences of unequal lengths"
        )

    def results(self) -> list[FloatArray | None]:
        """One for each result of the program; None where the network gives none."""
        model = self.network.model
        state = {
            name: self.given[source].ravel()[element]
            for name, (source, element) in self.network.states.items()
        }
        y = model.run(self.frames, self.lengths, state=state)
        head = model.find(HEAD)
        if isinstance(head, DenseHead) and head.activation == "sigmoid":
            y = sigma(y)
        found: list[FloatArray | None] = []
        for item in self.network.results:
            if item is None:
                found.append(None)
                continue
            result, call = item
            values = result.of(y)
            if call is not None:
                values = np.asarray(call(values))
            found.append(values)
        return found

    def counts(self, index: int) -> Any:
        """Which elements of a result belong to a step that the sequence has."""
        item = self.network.results[index]
        assert item is not None
        result, call = item
        if call is not None and (self.lengths == self.lengths[0]).all():
            return True
        return result.step < self.lengths[result.lane]


def check_same_network(a: RecurrentModel, b: RecurrentModel, where: str) -> None:
    """Raise PenstockError unless two traces of different lengths give one network."""
    fault = _difference(a, b)
    if fault:
        raise PenstockError(
            f"what it computes depends on the number of steps or sequences: {fault}", where,
            "a network does the same with every step of every sequence",
        )  # fmt: skip


def _difference(a: RecurrentModel, b: RecurrentModel) -> str:
    if [place.name for place in a.places] != [place.name for place in b.places]:
        return "it has other layers"
    for mine, theirs in zip(a.places, b.places, strict=True):
        if (mine.sources, mine.is_backward) != (theirs.sources, theirs.is_backward):
            return f"{mine.name} reads other values"
        ours, others = mine.layer.parameters(), theirs.layer.parameters()
        if mine.layer.describe() != theirs.layer.describe() or ours.keys() != others.keys():
            return f"{mine.name} is another layer"
        for name, parameter in ours.items():
            if not np.allclose(parameter.values, others[name].values, rtol=1e-9, atol=1e-12):
                return f"{mine.name}.{name} has other values"
    return "" if a.outputs == b.outputs else "it has other results"


def check_same_numbers(
    theirs: Sequence[FloatArray], ours: Ours, where: str, step: float, what: str = "module"
) -> None:
    """Raise PenstockError where the model's results are not the network's.

    step: between 1 and the next number of the model's floats; what: the model is.
    """
    noise = min(NOISE * step, MOST)
    for index, (expected, own) in enumerate(zip(theirs, ours.results(), strict=False)):
        if own is None:
            continue
        name = f"result {index}" if len(theirs) > 1 else "the result"
        if expected.shape != own.shape:
            fault = f"has shape {expected.shape}, not {own.shape}"
        else:
            counts = ours.counts(index)
            expected, own = (np.where(counts, values, 0.0) for values in (expected, own))
            _check_finite(expected, f"{name} of the {what}", where)
            error, peak = np.abs(expected - own).max(), np.abs(expected).max()
            if error <= noise * peak + LEAST:
                continue
            fault = f"differs by {error:.3g} where it reaches {peak:.3g}"
        raise PenstockError(
            f"the network that was followed does not compute what the {what} does{ours.when}: "
            f"{name} {fault}", where, "compile a part of it, and report this",
        )  # fmt: skip


def _check_finite(expected: FloatArray, what: str, where: str) -> None:
    if not np.isfinite(expected).all():
        raise PenstockError(
            f"{what} has NaN or infinite values on sample frames", where,
            "did training diverge? or give calibration frames of the usual range",
        )  # fmt: skip
