"""The text of number formats in a checkpoint's metadata: its fields, and the bounds of each."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from penstock.bounds import MAX_MULTIPLIERS, MAX_PES
from penstock.calibration import NEGLIGIBLE, Ranges
from penstock.compress.network_text import NetworkText, text_of_network
from penstock.fixed import MAX_WIDTH, Fixed, IntArray, Overflow, Rounding
from penstock.frontend.state_dict import ASSUMED, HeadOptions
from penstock.layers.ranges import BINS
from penstock.model import RecurrentModel
from penstock.settings import Precision

SCHEMA = 4
Name = Annotated[str, Meta(min_length=1, max_length=1000)]
Peak = Annotated[float, Meta(ge=0, lt=1e300)]
"""Reached in calibration."""
Width = Annotated[int, Meta(ge=1, le=MAX_WIDTH)]
Frac = Annotated[int, Meta(ge=-1000, le=1000)]
Exponent = Annotated[int, Meta(ge=0, le=7)]
Bin = tuple[Annotated[int, Meta(ge=0, le=BINS)], Annotated[int, Meta(ge=1, lt=1 << 53)]]
"""Number of a bin of magnitudes, and how many values lay in it."""


class Metadata(msgspec.Struct):
    """What stands in a checkpoint. formats: a ``FormatsText``; sha256: over it and all tensors.

    Fields that an older schema has not are empty, so that its number is what is told.
    """

    schema: int
    formats: msgspec.Raw = msgspec.Raw(b"")
    sha256: str = ""


class FixedText(msgspec.Struct, forbid_unknown_fields=True):
    """``Fixed``."""

    width: Width
    frac: Frac
    signed: bool
    rounding: Rounding
    overflow: Overflow

    def to_fixed(self) -> Fixed:
        """The type itself."""
        return Fixed(self.width, self.frac, self.signed, self.rounding, self.overflow)


Setting = Width | FixedText
"""A width whose binary point calibration places, or a type."""


class PrecisionText(msgspec.Struct, forbid_unknown_fields=True):
    """``Precision``, without what belongs to single tensors. It checks its own bounds when made."""

    weights: Setting
    biases: Setting
    inputs: Setting
    gates: Setting
    cell_state: Setting
    outputs: Setting
    logits: Setting
    accumulators: Width | None
    table_entries: Annotated[int, Meta(ge=1, le=1 << 16)]
    interpolate_bits: Annotated[int, Meta(ge=0, le=16)]
    row_scales: bool
    range_method: Literal["error", "peak", "percentile"]


class FormatsText(msgspec.Struct, forbid_unknown_fields=True):
    """All of it. counts: see ``Ranges``, without empty bins. head: (at, activation); pes, banks:
    that the pattern is balanced for; network: if the tensors don't say it; is_regression: its task.
    """

    peak: dict[Name, Peak]
    counts: dict[Name, Annotated[list[Bin], Meta(max_length=BINS + 1)]]
    precision: PrecisionText
    overrides: dict[Name, FixedText]
    row_exponents: dict[Name, list[Exponent]]
    head: tuple[Literal["step", "last", "final"], Literal["none", "sigmoid", "argmax"]] | None
    pes: Annotated[int, Meta(ge=1, le=MAX_PES)] | None
    banks: Annotated[int, Meta(ge=1, le=MAX_MULTIPLIERS)] | None
    network: NetworkText | None
    is_regression: bool

    def __post_init__(self) -> None:
        if any(0 < peak < NEGLIGIBLE for peak in self.peak.values()):
            raise ValueError("a peak is too small")
        if self.banks is not None and self.banks & (self.banks - 1):
            raise ValueError("the banks are no power of two")

    def to_ranges(self) -> Ranges:
        """What calibration saw."""
        found = Ranges(self.peak)
        for name, bins in self.counts.items():
            found.counts[name] = np.zeros(BINS + 1, dtype=np.int64)
            for index, count in bins:
                found.counts[name][index] = count
        return found

    def to_precision(self) -> Precision:
        """Raises PenstockError for what can't be built."""
        settings: dict[str, Any] = {
            name: value.to_fixed() if isinstance(value, FixedText) else value
            for name, value in msgspec.structs.asdict(self.precision).items()
        }
        overrides = {name: dtype.to_fixed() for name, dtype in self.overrides.items()}
        return Precision(**settings, overrides=overrides, row_exponents=self.row_exponents)

    def to_head(self) -> HeadOptions | None:
        """None if the network has no head."""
        return None if self.head is None else HeadOptions(*self.head)


def text_of(
    ranges: Ranges, precision: Precision, head: HeadOptions | None, pes: int | None = None,
    banks: int | None = None, network: RecurrentModel | None = None, is_regression: bool = False,
) -> str:  # fmt: skip
    """The text, of sorted keys. Raises ValueError or TypeError for what could not be read back."""
    single = ("overrides", "row_exponents")
    settings = {
        one.name: _plain(getattr(precision, one.name))
        for one in fields(precision)
        if one.name not in single
    }
    content = {
        "peak": ranges.peak, "precision": settings,
        "counts": {name: _filled(counts) for name, counts in ranges.counts.items()},
        "overrides": {name: dtype.to_json() for name, dtype in precision.overrides.items()},
        "row_exponents": precision.row_exponents,
        "head": None if head is None else [head.at or ASSUMED, head.activation],
        "pes": pes, "banks": banks,
        "network": None if network is None else text_of_network(network),
        "is_regression": is_regression,
    }  # fmt: skip
    text = msgspec.json.encode(content, order="sorted")
    msgspec.json.decode(text, type=FormatsText)
    return text.decode()


def _filled(counts: IntArray) -> list[tuple[int, int]]:
    return [(int(index), int(counts[index])) for index in np.flatnonzero(counts)]


def _plain(value: Any) -> Any:
    return value.to_json() if isinstance(value, Fixed) else value
