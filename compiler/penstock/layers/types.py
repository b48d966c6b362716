"""Types of a layer's tensors: widths from Precision, binary points from calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import (
    MAX_FRAC,
    Fixed,
    FloatArray,
    IntArray,
    Overflow,
    Rounding,
    largest_frac,
)
from penstock.layers.ranges import Magnitudes, Ranges
from penstock.ops.lut import table_error
from penstock.settings import EXPONENT_BITS, Precision

REACHES = {"sigma": (4.0, 8.0, 16.0), "tanh": (2.0, 4.0, 8.0)}
"""How far a table can reach. Beyond the second, the function is within 0.07 % of its limit."""
EXACT = 2.0**-30 / 12
"""A mean squared error that nobody sees behind 15 fraction bits."""
FINEST = 60
"""Most fraction bits of any tensor."""
FINEST_CELL = 30
"""Most fraction bits of a cell: those of i . g, which it sums up."""
HEADROOM = 1.25
"""Unseen data may reach this much further than calibration did."""
PERCENTILE = 0.999
"""The share of the values that the method ``percentile`` holds."""


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
        frac_of: Callable[[int], int],
        signed: bool = True,
        max_frac: int = FINEST,
    ) -> Fixed:
        """frac_of: the fraction bits of so many bits in all."""
        if name in self.precision.overrides:
            self.overridden.add(name)
            return self.precision.overrides[name]
        if isinstance(setting, Fixed):
            return setting
        frac = min(frac_of(setting), max_frac)
        return Fixed(setting, frac, signed, Rounding.RND, Overflow.SAT)

    def _calibrated(
        self, *names: str, headroom: float = HEADROOM, is_state: bool = False
    ) -> Callable[[int], int]:
        """The fraction bits of a signed type for tensors, by ``precision.range_method``.

        A state is never so fine that it would clip a value that calibration saw: a clipped value
        would be wrong in every step that follows, which no error of the tensor shows.
        """
        peak = max(self.ranges.peak[name] for name in names)
        seen, method = self.ranges.magnitudes(*names), self.precision.range_method

        def frac_of(width: int) -> int:
            frac = largest_frac(headroom * peak, width)
            if method == "percentile" and seen is not None:
                frac = largest_frac(headroom * seen.percentile(PERCENTILE), width)
            if method == "error" and seen is not None:
                frac = _of_least_error(seen, width, frac, headroom)
            return min(frac, largest_frac(peak, width)) if is_state else frac

        return frac_of

    def weight(self, name: str, values: FloatArray, max_frac: int = FINEST) -> Fixed:
        """A weight matrix or peephole vector: the finest scale that holds its greatest weight.

        max_frac: fraction bits beyond which nothing would be gained.
        """
        dtype = self._choose(name, self.precision.weights, _holding(values), max_frac=max_frac)
        if not dtype.signed:
            raise PenstockError(
                f"{name} can't have the unsigned type {dtype}", "precision", "weights are signed"
            )
        return dtype

    def row_exponents(self, matrices: dict[str, FloatArray], dtypes: list[Fixed]) -> IntArray:
        """For each row, how many times it can be doubled in all of ``matrices``; else zeros.

        matrices: name -> (rows, columns); dtypes: their types.
        """
        rows = len(next(iter(matrices.values())))
        given = {
            name: self.precision.row_exponents[name]
            for name in matrices
            if name in self.precision.row_exponents
        }
        if given:
            self.overridden.update(given)
            return _of_rows(given, rows)
        if not self.precision.row_scales:
            return np.zeros(rows, dtype=np.int64)
        room = np.full(rows, (1 << EXPONENT_BITS) - 1)
        is_used = np.zeros(rows, dtype=bool)
        for values, dtype in zip(matrices.values(), dtypes, strict=True):
            peaks = np.maximum(values.max(axis=1), -values.min(axis=1))
            fracs = np.array([largest_frac(float(peak), dtype.width) for peak in peaks])
            room = np.where(peaks > 0, np.minimum(room, fracs - dtype.frac), room)
            is_used |= peaks > 0
        return np.where(is_used, np.maximum(room, 0), 0)

    def bias(self, name: str, values: FloatArray, max_frac: int = FINEST) -> Fixed:
        """A bias vector."""
        return self._choose(name, self.precision.biases, _holding(values), max_frac=max_frac)

    def input(self) -> Fixed:
        """The input frame, without headroom."""
        return self._choose("x", self.precision.inputs, self._calibrated("x", headroom=1.0))

    def gate(self, name: str, function: str, *states: str) -> Fixed:
        """The result of sigma, unsigned with 1.0 exact, or tanh, signed and just below 1.

        states: see ``product``.
        """
        signed = function == "tanh"
        return self._choose(name, self.precision.gates, self._below_one(*states), signed)

    def cell(self, name: str) -> Fixed:
        """Cell state, with headroom; it holds all that calibration saw."""
        frac_of = self._calibrated(name, is_state=True)
        return self._choose(name, self.precision.cell_state, frac_of, max_frac=FINEST_CELL)

    def product(self, name: str, *states: str) -> Fixed:
        """A product or mean of results of sigma and tanh, below 1 by its nature.

        states: those that it is written to. A sequence may begin with any values in them, and what
        calibration saw there must fit.
        """
        return self._choose(name, self.precision.outputs, self._below_one(*states))

    def _below_one(self, *states: str) -> Callable[[int], int]:
        peak = max((self.ranges.peak[state] for state in states), default=0.0)
        return lambda bits: min(bits - 1, largest_frac(peak, bits)) if peak > 1 else bits - 1

    def output(self, name: str) -> Fixed:
        """The output of a matrix product: one type for both directions, with headroom."""
        both = [tensor for tensor in self.ranges.peak if _undirected(tensor) == _undirected(name)]
        return self._choose(name, self.precision.outputs, self._calibrated(*both, is_state=True))

    def activation(self, name: str) -> Fixed:
        """A value between two operations of a step, with headroom."""
        return self._choose(name, self.precision.outputs, self._calibrated(name))

    def pooled(self, name: str) -> Fixed:
        """A mean over the steps of values of a type."""
        return self._choose(name, self.precision.outputs, self._calibrated(name))

    def logits(self, name: str) -> Fixed:
        """The head's results, with headroom."""
        return self._choose(name, self.precision.logits, self._calibrated(name))

    @staticmethod
    def common(types: list[Fixed]) -> Fixed:
        """A type that reaches as far as any of these, of the bits of the widest."""
        width = max(dtype.width for dtype in types)
        signed = any(dtype.signed for dtype in types)
        ahead = max(dtype.width - dtype.signed - dtype.frac for dtype in types)
        return Fixed(width, width - signed - ahead, signed, Rounding.RND, Overflow.SAT)

    def reach(self, name: str, function: str) -> float:
        """How far a table must reach for pre-activation ``name``: a power of two.

        By error: where the table is closest to the function for what calibration saw; if that is
        no matter, the middle one. Else the least that covers it with headroom, up to where the
        function is almost at its limit.
        """
        least, greatest, further = REACHES[function]
        seen = self.ranges.magnitudes(name)
        if self.precision.range_method == "error" and seen is not None:
            return min(
                (greatest, least, further),
                key=lambda reach: max(self._table_error(seen, function, reach), EXACT),
            )
        peak = self.ranges.peak.get(name, greatest)
        if self.precision.range_method == "percentile" and seen is not None:
            peak = seen.percentile(PERCENTILE)
        peak = max(HEADROOM * peak, least)
        return float(min(2.0 ** np.ceil(np.log2(peak)), greatest))

    def _table_error(self, seen: Magnitudes, function: str, reach: float) -> float:
        entries, bits = self.precision.table_entries, self.precision.interpolate_bits
        points = HEADROOM * seen.points()
        errors = table_error(function, points, entries, bits, reach)
        return float(np.average(errors.mean(axis=1), weights=seen.counts)) if len(errors) else 0.0


def _of_rows(given: dict[str, list[int]], rows: int) -> IntArray:
    """The exponents of rows that are summed up in one accumulator. Raises PenstockError."""
    name, exponents = next(iter(given.items()))
    if len(exponents) != rows:
        raise PenstockError(
            f"{name} has {rows} rows, but {len(exponents)} row exponents", "precision",
            "give one for each row",
        )  # fmt: skip
    for other, more in given.items():
        if list(more) != list(exponents):
            raise PenstockError(
                f"{name} and {other} have different row exponents, but one sum", "precision",
                "give them for one of the two",
            )  # fmt: skip
    return np.asarray(exponents, dtype=np.int64)


def _of_least_error(seen: Magnitudes, width: int, coarsest: int, headroom: float) -> int:
    """The fraction bits whose type has the least error; the fewest of equals.

    One that misses the peak by a step alone, and often, is none: with 1.0 among the values, s16.15.
    """
    if not len(seen.values):
        return coarsest

    def dtype_of(frac: int) -> Fixed:
        return Fixed(width, frac, overflow=Overflow.SAT)

    candidates = (
        frac
        for frac in range(coarsest, min(coarsest + width, MAX_FRAC))
        if frac == coarsest or not seen.is_just_missed_by(dtype_of(frac))
    )
    return min(candidates, key=lambda frac: seen.error(dtype_of(frac), headroom), default=coarsest)


def _holding(values: FloatArray) -> Callable[[int], int]:
    peak = max(abs(float(values.max())), abs(float(values.min())))
    return lambda width: largest_frac(peak, width)


def _undirected(name: str) -> str:
    return name.replace("_reverse.", ".")
