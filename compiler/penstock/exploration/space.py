"""All points of a space: every combination of the values of its axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from penstock.errors import PenstockError
from penstock.exploration.axes import Axis, Field, known_fields
from penstock.exploration.rows import Refusal
from penstock.settings import Hardware, Precision

MOST_POINTS = 100_000
FEWEST_PES, MOST_PES = 4, 128
"""Of the powers of two that are tried where no axis is given."""
USUAL_WEIGHT_BITS = (6, 8, 10, 12)
"""Where none is given, either."""


@dataclass(frozen=True)
class Point:
    """A combination. values: by the names of the axes, of those with one value as well.

    hardware is None, and refusal says why, if the settings contradict each other. trained: what the
    network was trained for (density, weights), where it was.
    """

    number: int
    values: Mapping[str, Any]
    hardware: Hardware | None
    precision: Precision
    refusal: Refusal | None = None
    trained: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Base:
    """Settings that are the same at all points. Only what is not the default is kept."""

    hardware: Mapping[str, Any]
    precision: Mapping[str, Any]

    @classmethod
    def of(cls, hardware: Hardware | None, precision: Precision | None) -> Base:
        """Of settings as ``compile`` takes them; a clock that is the board's is no choice."""
        own = hardware or Hardware()
        given = {
            item.name: getattr(own, item.name)
            for item in fields(Hardware) if getattr(own, item.name) != item.default
        }  # fmt: skip
        if own.clock_mhz == replace(own, clock_mhz=None).clock_mhz:  # type: ignore[arg-type]
            given.pop("clock_mhz")
        formats = precision or Precision()
        default = Precision()
        return cls(given, {
            item.name: getattr(formats, item.name)
            for item in fields(Precision)
            if getattr(formats, item.name) != getattr(default, item.name)
        })  # fmt: skip


def points_of(axes: Sequence[Axis], base: Base, fixed: Precision | None = None) -> list[Point]:
    """Every combination, the last axis running fastest.

    fixed: the number formats of all points, where a checkpoint carries them. Raises PenstockError
    for too many points, and for number formats that no point can have.
    """
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_POINTS:
        raise PenstockError(
            f"a space of {count:,} points", "axes",
            f"explore {MOST_POINTS:,} at most: fewer values, or one axis after the other",
        )  # fmt: skip
    names = [axis.field.name for axis in axes]
    return [
        _point(number, dict(zip(names, values, strict=True)), base, fixed)
        for number, values in enumerate(itertools.product(*(axis.values for axis in axes)), 1)
    ]


def _point(number: int, values: Mapping[str, Any], base: Base, fixed: Precision | None) -> Point:
    known = known_fields()
    own: dict[str, dict[str, Any]] = {
        "hardware": dict(base.hardware), "precision": dict(base.precision),
    }  # fmt: skip
    for name, value in values.items():
        if name in known and not (known[name].of == "precision" and fixed):
            own[known[name].of][name] = value
    trained = {name: value for name, value in values.items() if fixed and not _is_hardware(name)}
    try:
        precision = fixed or Precision(**own["precision"])
        return Point(number, values, Hardware(**own["hardware"]), precision, trained=trained)
    except PenstockError as error:
        refusal = Refusal(error.what, error.where, error.hint)
        return Point(number, values, None, fixed or Precision(), refusal, trained)


def _is_hardware(name: str) -> bool:
    found = known_fields().get(name)
    return found is not None and found.of == "hardware"


def usual_axes(most_rows: int, precision_is_free: bool) -> dict[str, Sequence[int]]:
    """What is explored where nobody says what: PEs, and bits of weights if they are free.

    most_rows: of the phase with the most; more PEs than that have no row each.
    """
    pes = [FEWEST_PES]
    while 2 * pes[-1] <= min(MOST_PES, most_rows):
        pes.append(2 * pes[-1])
    found: dict[str, Sequence[int]] = {"pes": pes}
    return found | {"weights": USUAL_WEIGHT_BITS} if precision_is_free else found


def options_of(point: Point, base: Base) -> list[str]:
    """The options of ``penstock compile`` for a point; none for number formats that are trained."""
    known = known_fields()
    settings = {**base.hardware, **({} if point.trained else base.precision), **point.values}
    words: list[str] = []
    for name, value in settings.items():
        if name in known and name not in point.trained and _is_option(known[name], value):
            words += known[name].words(value)
    return words


def _is_option(found: Field, value: Any) -> bool:
    """False for what only Python can give: a Fixed in place of a width."""
    return value is None or isinstance(value, bool | int | float | str)
