"""Types of a layer's tensors: widths from Precision, binary points from calibration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import Fixed, FloatArray, IntArray, Overflow, Rounding, largest_frac
from penstock.layers.ranges import Ranges
from penstock.settings import Precision

SIGMA_REACH = (4.0, 8.0)
TANH_REACH = (2.0, 4.0)
"""Least and greatest range of a table; beyond the greatest, the function is within 0.07 % of 1."""
FINEST = 60
"""Most fraction bits of any tensor."""
FINEST_CELL = 30
"""Most fraction bits of a cell: those of i . g, which it sums up."""
EXPONENT_BITS = 3
"""A row of a matrix may be stored up to 2**7 times as great as it is."""
HEADROOM = 1.25
"""Unseen data may reach this much further than calibration did."""


@dataclass(frozen=True)
class Types:
    """Chooses types by name; every choice can be overridden through ``precision.overrides``."""

    precision: Precision
    ranges: Ranges
    overridden: set[str] = field(default_factory=set)

    def check_overrides(self) -> None:
        """Refuse an override that named no tensor. Raises PenstockError."""
        for name in [*self.precision.overrides, *self.precision.row_exponents]:
            if name not in self.overridden:
                raise PenstockError(
                    f"there is no tensor {name} to override",
                    "precision",
                    "tensors are named as in report.json, such as l0.W_ix or l0.c",
                )

    def _choose(
        self,
        name: str,
        setting: int | Fixed,
        peak: float,
        signed: bool = True,
        max_frac: int = FINEST,
    ) -> Fixed:
        if name in self.precision.overrides:
            self.overridden.add(name)
            return self.precision.overrides[name]
        if isinstance(setting, Fixed):
            return setting
        frac = min(largest_frac(peak, setting, signed), max_frac)
        return Fixed(setting, frac, signed, Rounding.RND, Overflow.SAT)

    def weight(self, name: str, values: FloatArray, max_frac: int = FINEST) -> Fixed:
        """A weight matrix or peephole vector: the finest scale that holds its greatest weight.

        max_frac: fraction bits beyond which nothing would be gained.
        """
        dtype = self._choose(
            name, self.precision.weights, float(np.abs(values).max()), max_frac=max_frac
        )
        if not dtype.signed:
            raise PenstockError(
                f"{name} can't have the unsigned type {dtype}", "precision", "weights are signed"
            )
        return dtype

    def row_exponents(self, matrices: dict[str, FloatArray], dtypes: list[Fixed]) -> IntArray:
        """For each row, how many times it can be doubled in all of ``matrices``; else zeros.

        matrices: name -> (rows, columns); dtypes: their types.
        """
        given = [self.precision.row_exponents.get(name) for name in matrices]
        rows = len(next(iter(matrices.values())))
        if given[0] is not None:
            self.overridden.update(matrices)
            return np.asarray(given[0], dtype=np.int64)
        if not self.precision.row_scales:
            return np.zeros(rows, dtype=np.int64)
        room = np.full(rows, (1 << EXPONENT_BITS) - 1)
        is_used = np.zeros(rows, dtype=bool)
        for values, dtype in zip(matrices.values(), dtypes, strict=True):
            peaks = np.abs(values).max(axis=1)
            fracs = np.array([largest_frac(float(peak), dtype.width) for peak in peaks])
            room = np.where(peaks > 0, np.minimum(room, fracs - dtype.frac), room)
            is_used |= peaks > 0
        return np.where(is_used, np.maximum(room, 0), 0)

    def bias(self, name: str, values: FloatArray, max_frac: int = FINEST) -> Fixed:
        """A bias vector."""
        return self._choose(
            name, self.precision.biases, float(np.abs(values).max()), max_frac=max_frac
        )

    def input(self) -> Fixed:
        """The input frame: as far as calibration reached."""
        return self._choose("x", self.precision.inputs, self.ranges.peak["x"])

    def gate(self, name: str, function: str) -> Fixed:
        """The result of sigma, unsigned with 1.0 exact, or tanh, signed and just below 1."""
        signed = function == "tanh"
        width = self.precision.gates
        return self._choose(name, width, 0.0 if signed else 1.0, signed)

    def cell(self, name: str) -> Fixed:
        """Cell state: twice as far as calibration reached, for it is a sum over time."""
        peak = 2.0 * self.ranges.peak[name]
        return self._choose(name, self.precision.cell_state, peak, max_frac=FINEST_CELL)

    def product(self, name: str) -> Fixed:
        """A product or mean of results of sigma and tanh, below 1 by its nature."""
        return self._choose(name, self.precision.outputs, 0.0)

    def output(self, name: str) -> Fixed:
        """The output of a matrix product: one type for both directions, with headroom."""
        both = [
            peak
            for tensor, peak in self.ranges.peak.items()
            if _undirected(tensor) == _undirected(name)
        ]
        return self._choose(name, self.precision.outputs, HEADROOM * max(both))

    def activation(self, name: str) -> Fixed:
        """A value between two operations of a step, with headroom."""
        return self._choose(name, self.precision.outputs, HEADROOM * self.ranges.peak[name])

    def logits(self, name: str) -> Fixed:
        """The head's results, with headroom."""
        return self._choose(name, self.precision.logits, HEADROOM * self.ranges.peak[name])

    def reach(self, name: str, function: str) -> float:
        """How far a table must reach for pre-activation ``name``: a power of two."""
        least, greatest = SIGMA_REACH if function == "sigma" else TANH_REACH
        peak = max(HEADROOM * self.ranges.peak.get(name, greatest), least)
        return float(min(2.0 ** np.ceil(np.log2(peak)), greatest))


def _undirected(name: str) -> str:
    return name.replace("_reverse.", ".")
