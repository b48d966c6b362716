"""How far every tensor of a float network reaches: what number formats are chosen by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.fixed import Fixed, FloatArray, IntArray
from penstock.thresholds import SATURATED

OCTAVES = (-64, 64)
"""Magnitudes below the first power of two count as zero, those above the last as the last."""
PARTS = 8
"""Bins of an octave, of equal width."""
POINTS = 8
"""Magnitudes that stand for a bin where its middle does not."""
BINS = (OCTAVES[1] - OCTAVES[0]) * PARTS


@dataclass
class Ranges:
    """What calibration saw of each tensor, by name (``x``, ``l0.c``, ``l0.pre_i``, ...).

    peak: the greatest magnitude. counts: how many values lay in each bin of magnitudes, see
    ``bins_of``; a tensor without is judged by its peak. columns: the peak of each input.
    """

    peak: dict[str, float] = field(default_factory=dict)
    is_synthetic: bool = False
    counts: dict[str, IntArray] = field(default_factory=dict, compare=False)
    columns: tuple[float, ...] = ()

    def watch(self, name: str, step: int, values: FloatArray) -> None:
        """Take in one step's values, or those of many."""
        magnitudes = np.abs(values)
        peak = magnitudes.max(initial=0.0)
        self.peak[name] = float(np.maximum(self.peak.get(name, 0.0), peak))  # NaN stays
        if np.isfinite(peak):
            now = np.bincount(bins_of(magnitudes.ravel()), minlength=BINS + 1)
            self.counts[name] = self.counts.get(name, 0) + now

    def magnitudes(self, *names: str) -> Magnitudes | None:
        """The values of these tensors together; None unless all were counted."""
        if not all(name in self.counts for name in names):
            return None
        peak = max(self.peak[name] for name in names)
        if not 2.0 ** OCTAVES[0] < peak < 2.0 ** OCTAVES[1]:
            return None
        found = np.sum([self.counts[name] for name in names], axis=0)[1:]
        used = np.flatnonzero(found)
        return Magnitudes(np.minimum(CENTRES[used], peak), found[used], peak)


@dataclass(frozen=True)
class Magnitudes:
    """Magnitudes other than zero, in ascending order, and how often each was seen."""

    values: FloatArray
    counts: IntArray
    peak: float

    def percentile(self, share: float) -> float:
        """The magnitude that this share of the values does not exceed."""
        if not len(self.values):
            return 0.0
        seen = np.cumsum(self.counts)
        index = int(np.searchsorted(seen, share * seen[-1]))
        is_last = index >= len(seen) - 1
        return self.peak if is_last else float(self.values[index])

    def points(self) -> FloatArray:
        """Some magnitudes from each bin, a row each."""
        within = (np.arange(POINTS) - (POINTS - 1) / 2) / POINTS
        width = 2.0 ** np.floor(np.log2(self.values)) / PARTS
        return np.minimum(self.values[:, None] + width[:, None] * within, self.peak)

    def error(self, dtype: Fixed, stretch: float) -> float:
        """Summed squared error of a type for these values, ``stretch`` times as great.

        A value that is held is rounded; one beyond the type becomes the greatest that it has.
        """
        values = stretch * self.values
        top = float(dtype.to_float(dtype.raw_max))
        rounded = np.minimum(dtype.step**2 / 12, values**2)
        errors = np.where(values > top, (values - top) ** 2, rounded)
        return float(self.counts @ errors)

    def is_just_missed_by(self, dtype: Fixed) -> bool:
        """True if the peak is one step beyond the type, and no outlier."""
        top = float(dtype.to_float(dtype.raw_max))
        often = self.counts[self.values > top].sum() > SATURATED * self.counts.sum()
        return bool(often and top < self.peak <= top + dtype.step)


def bins_of(magnitudes: FloatArray) -> IntArray:
    """The bin of each magnitude: 0 for what counts as zero, else 1 .. BINS."""
    part, exponent = np.frexp(magnitudes)  # part in 0.5 .. 1
    octave = exponent.astype(np.int64) - 1 - OCTAVES[0]
    within = ((2 * part - 1) * PARTS).astype(np.int64)
    bins = np.where(magnitudes == 0, 0, octave * PARTS + within + 1)
    return np.clip(bins, 0, BINS)


CENTRES = np.array([
    2.0 ** (OCTAVES[0] + index // PARTS) * (1 + (index % PARTS + 0.5) / PARTS)
    for index in range(BINS)
])  # fmt: skip
"""The middle of each bin."""
