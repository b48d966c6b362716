"""What is added up of a tensor, of the outputs and of decisions, run by run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import Fixed, FloatArray, IntArray

BINS = 40
"""Of a histogram, over the range of the type."""


@dataclass
class ErrorSum:
    """Errors of fixed point against float, over any number of values; or of n columns.

    All fields are (n) for n columns, or (1) for a tensor as a whole.
    """

    columns: int = 1
    count: int = 0
    peak: FloatArray = field(init=False)
    squares: FloatArray = field(init=False)
    float_squares: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.peak, self.squares, self.float_squares = (np.zeros(self.columns) for _ in range(3))

    def add(self, real: FloatArray, fixed: FloatArray) -> None:
        """real, fixed: (rows, n); for a tensor as a whole, of any shape."""
        real = real.reshape(-1, self.columns)
        if not len(real):
            return
        error = fixed.reshape(-1, self.columns) - real
        self.count += len(real)
        self.peak = np.maximum(self.peak, np.abs(error).max(axis=0))
        self.squares = self.squares + np.square(error).sum(axis=0)
        self.float_squares = self.float_squares + np.square(real).sum(axis=0)

    @property
    def rms(self) -> FloatArray:
        """Root of the mean square of each column."""
        rms: FloatArray = np.sqrt(self.squares / max(self.count, 1))
        return rms

    @property
    def float_rms(self) -> float:
        """Of all float values."""
        return float(np.sqrt(self.float_squares.sum() / max(self.count * self.columns, 1)))

    @property
    def relative(self) -> float | None:
        """RMS error over RMS of the float values, of all columns; None if they are all zero."""
        whole = float(self.float_squares.sum())
        return float(np.sqrt(self.squares.sum() / whole)) if whole else None


@dataclass
class Histogram:
    """Where float values lie in the range of the type that they are given."""

    type: Fixed
    counts: IntArray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    below: int = 0
    above: int = 0
    peak: float = 0.0

    @property
    def ends(self) -> tuple[float, float]:
        """Least and greatest value of the type."""
        dtype = self.type
        return dtype.raw_min * dtype.step, dtype.raw_max * dtype.step

    def add(self, values: FloatArray) -> None:
        """Take in values of any shape; within half a step of the ends they are in range."""
        lo, hi = self.ends
        half = self.type.step / 2
        self.below += int(np.count_nonzero(values < lo - half))
        self.above += int(np.count_nonzero(values > hi + half))
        inside = values[(values >= lo - half) & (values <= hi + half)]
        self.counts += np.histogram(np.clip(inside, lo, hi), BINS, (lo, hi))[0]
        self.peak = max(self.peak, float(np.abs(values).max(initial=0.0)))


@dataclass
class TensorError:
    """A tensor that both networks have. histogram: of one whose type calibration chose."""

    name: str
    type: Fixed
    errors: ErrorSum = field(default_factory=ErrorSum)
    histogram: Histogram | None = None

    def add(self, real: FloatArray, raw: IntArray) -> None:
        """real, raw: the same values, in the same order."""
        self.errors.add(real, self.type.to_float(raw))
        if self.histogram is not None:
            self.histogram.add(real)


@dataclass
class Tally:
    """Decisions, counted. rule: how one is made, in words."""

    rule: str
    of: int = 0
    agree: int = 0
    labels: int = 0
    float_right: int = 0
    fixed_right: int = 0

    def add(self, real: IntArray, fixed: IntArray, labels: IntArray | None) -> None:
        """Decisions of any shape; labels of the same, negative where there is none."""
        self.of += real.size
        self.agree += int(np.count_nonzero(real == fixed))
        if labels is None:
            return
        known: NDArray[np.bool_] = labels >= 0
        self.labels += int(np.count_nonzero(known))
        self.float_right += int(np.count_nonzero((real == labels) & known))
        self.fixed_right += int(np.count_nonzero((fixed == labels) & known))

    @property
    def agreement(self) -> float:
        """Share of decisions that are the same."""
        return self.agree / self.of if self.of else 1.0
