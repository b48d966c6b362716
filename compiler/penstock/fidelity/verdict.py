"""What a comparison found, and what it warns of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.fidelity.errors import ErrorSum, Tally, TensorError
from penstock.fidelity.trial import Source
from penstock.fixed import FloatArray
from penstock.ir.saturation import Kind, Saturation
from penstock.thresholds import AGREEMENT, OUTPUT_ERROR, SATURATED

WORST = 3
"""So many tensors are named as those that cost most."""
MEASURE = (
    "RMS of (fixed point - float) over RMS of the float tensor, with all that came from the "
    "tensors before it"
)


@dataclass
class Targets:
    """Real targets: squared distance of both networks' outputs from them."""

    count: int = 0
    float_squares: float = 0.0
    fixed_squares: float = 0.0

    def add(self, real: FloatArray, fixed: FloatArray, right: FloatArray) -> None:
        """All (rows, n)."""
        self.count += right.size
        self.float_squares += float(np.square(real - right).sum())
        self.fixed_squares += float(np.square(fixed - right).sum())


@dataclass(frozen=True)
class Fidelity:
    """How far a graph is from its float network, on frames of ``source``.

    steps: of all sequences together; of_sequences, of_steps: how many there were to choose from.
    outputs: error of each output; decisions: None where nothing is decided; targets: None unless
    real targets were given; saturations: of every tensor that can be out of range; logits: what
    labels are made of.
    """

    source: Source
    sequences: int
    steps: int
    of_sequences: int
    of_steps: int
    outputs: ErrorSum = field(repr=False)
    decisions: Tally | None
    targets: Targets | None
    tensors: tuple[TensorError, ...] = field(repr=False)
    saturations: tuple[Saturation, ...] = field(repr=False)
    logits: TensorError | None = field(default=None, repr=False)

    @property
    def output_error(self) -> ErrorSum:
        """Of the outputs; of the logits where these are labels."""
        return self.outputs if self.logits is None else self.logits.errors

    @property
    def worst(self) -> list[TensorError]:
        """The tensors that cost most, by ``MEASURE``; in the order of the graph where equal."""
        known = [one for one in self.tensors if one.errors.relative]
        return sorted(known, key=lambda one: -(one.errors.relative or 0.0))[:WORST]

    @property
    def clipped(self) -> tuple[int, int]:
        """(n, N): values that were out of range, of all that could be; without tables' inputs."""
        found = [one for one in self.saturations if one.kind in (Kind.INPUT, Kind.VALUE)]
        return sum(one.count for one in found), sum(one.of for one in found)

    @property
    def warnings(self) -> list[str]:
        """A sentence for each threshold that is passed; see ``penstock.thresholds``."""
        return [*self._error_warnings(), *self._saturation_warnings()]

    def _error_warnings(self) -> list[str]:
        found, relative = [], self.output_error.relative
        if relative is not None and not relative <= OUTPUT_ERROR:
            tensors = ", ".join(f"{one.name} {_percent(one.errors.relative)}" for one in self.worst)
            found.append(
                f"the outputs' RMS error is {_percent(relative)} of the float outputs, above "
                f"{_percent(OUTPUT_ERROR)}, on {self.source}; tensors that cost most: {tensors}"
            )
        tally = self.decisions
        if tally is not None and self.targets is None and tally.agreement < AGREEMENT:
            found.append(
                f"{tally.of - tally.agree:,} of {tally.of:,} decisions ({tally.rule}) are not "
                f"those of the float network, more than {_percent(1 - AGREEMENT)}, on {self.source}"
            )
        return found

    def _saturation_warnings(self) -> list[str]:
        return [
            f"out of range and cut off, more than {_percent(SATURATED)} of the values: {one}, on "
            f"{self.source}"
            for one in self.saturations
            if one.kind is not Kind.TABLE and one.share > SATURATED
        ]


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.3g} %"
