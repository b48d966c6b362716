"""The pictures of the page: points by two of their figures. Templates draw them.

Across, places are in percent of the picture's width, so that it fits every screen while its text
keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.exploration.result import Exploration, Found, State
from penstock.exploration.texts import settings_of
from penstock.machine.resources import NAMES
from penstock.report.text import percent, significant

HEIGHT, TOP, BOTTOM = 300, 22, 268
"""Of a picture, and of the highest and the lowest point in it, in pixels."""
LEFT, RIGHT = 9.0, 95.0
"""Of the points, in percent."""
LOGARITHMIC = 8.0
"""From this ratio of the greatest to the least on, a scale is logarithmic."""
MOST_TICKS = 5
MOST_NUMBERED = 12
"""So many points of the front have their numbers beside them."""
NUMBER = (8.0, 15.0)
"""What a number takes up, in percent across and in pixels down: another would cover it."""


@dataclass(frozen=True)
class Quantity:
    """What a scale shows. of: a point's figure, or None; shown: a tick's label."""

    title: str
    of: Callable[[Found], float | None]
    shown: Callable[[float], str]


def _time(one: Found) -> float | None:
    return one.figures.microseconds_per_step if one.figures else None


def _share(one: Found) -> float | None:
    found = one.figures.share if one.figures else math.inf
    return found if math.isfinite(found) else None


def _error(one: Found) -> float | None:
    return one.error.relative_error if one.error else None


def _million_bits(one: Found) -> float | None:
    return one.figures.stored_bits / 1e6 if one.figures else None


def _round(value: float) -> str:
    """A round number, with all of its digits: neighbours differ."""
    return f"{value:,.9g}"


def _percent(value: float) -> str:
    return f"{_round(100 * value)} %"


TIME = Quantity("us a step", _time, _round)
ROOM = Quantity("fullest resource, of what should be planned for", _share, _percent)
ERROR = Quantity("RMS error of the outputs", _error, _percent)
LOSS = Quantity("loss", lambda one: one.loss, _round)
BITS = Quantity("million bits of weights", _million_bits, _round)


def charts(found: Exploration) -> list[dict[str, Any]]:
    """Time against room; time and bits against the loss or, where none is known, the error."""
    pairs = [("Time and room", TIME, ROOM)]
    for name, quality in (("loss", LOSS), ("error", ERROR)):
        if len({quality.of(one) for one in found.points if one.figures}) > 1:
            pairs += [(f"Time and {name}", TIME, quality), (f"Bits and {name}", BITS, quality)]
            break
    made = (_chart(found, title, x, y) for title, x, y in pairs)
    return [chart for chart in made if chart is not None]


def _chart(found: Exploration, title: str, x: Quantity, y: Quantity) -> dict[str, Any] | None:
    placed = [
        (one, across, up)
        for one in found.points
        if one.state in (State.FRONT, State.DOMINATED, State.MISSES) and not one.is_estimate
        for across, up in [(x.of(one), y.of(one))]
        if across is not None and up is not None
    ]
    if not placed:
        return None
    horizontal = Scale.of([across for _, across, _ in placed], x)
    vertical = Scale.of([up for _, _, up in placed], y)
    devices = devices_of(found)
    marks: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one, across, up in sorted(placed, key=lambda row: row[0].state is State.FRONT):
        state = one.state.value
        kind = f"front d{devices.index(_part(one)) % 4}" if state == "front" else state
        at = f"{LEFT + (RIGHT - LEFT) * horizontal.place(across):.1f}"
        down = f"{BOTTOM - (BOTTOM - TOP) * vertical.place(up):.0f}"
        marks.setdefault((at, down, kind), {
            "x": at, "y": down, "kind": kind, "r": 5 if state == "front" else 3,
            "label": _label(found, one), "title": _title(found, one),
        })  # fmt: skip
    return {
        "title": title, "x_title": x.title, "y_title": y.title, "height": HEIGHT,
        "bottom": BOTTOM + 12, "marks": list(marks.values()), "numbers": _apart(marks.values()),
        "x_ticks": [{"x": f"{LEFT + (RIGHT - LEFT) * horizontal.place(v):.2f}", "label": x.shown(v)}
                    for v in horizontal.ticks],
        "y_ticks": [{"y": f"{BOTTOM - (BOTTOM - TOP) * vertical.place(v):.0f}",
                     "label": y.shown(v)} for v in vertical.ticks],
    }  # fmt: skip


def _apart(marks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The marks whose numbers do not cover another's."""
    found: list[dict[str, Any]] = []
    across, down = NUMBER
    for mark in marks:
        if mark["label"] and not any(
            abs(float(mark["x"]) - float(one["x"])) < across
            and abs(float(mark["y"]) - float(one["y"])) < down
            for one in found
        ):
            found.append(mark)
    return found


def devices_of(found: Exploration) -> list[str]:
    """Parts on the front, in its order."""
    return list(dict.fromkeys(_part(one) for one in found.front))


def _part(one: Found) -> str:
    assert one.figures is not None
    return one.figures.part


def _label(found: Exploration, one: Found) -> str:
    is_numbered = one.state is State.FRONT and len(found.front) <= MOST_NUMBERED
    return str(one.point.number) if is_numbered else ""


def _title(found: Exploration, one: Found) -> str:
    figures, error = one.figures, one.error
    assert figures is not None and error is not None
    return (
        f"{one.point.number}: {settings_of(found, one)}; {significant(TIME.of(one), 3)} us, "
        f"{NAMES[figures.fullest]} {percent(figures.share, 0)}, "
        f"error {percent(error.relative_error, 2)}"
    )


@dataclass(frozen=True)
class Scale:
    """From 0 at ``low`` to 1 at ``high``. ticks: values within, in ascending order."""

    low: float
    high: float
    is_logarithmic: bool
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], quantity: Quantity) -> Scale:
        """One that holds all values; with a logarithm where they are far apart."""
        low, high = min(values), max(values)
        if low == high:
            return cls(low - 1, high + 1, False, (low,))
        if low > 0 and high / low >= LOGARITHMIC:
            return cls(low, high, True, tuple(_decades(low, high)))
        return cls(low, high, False, tuple(_even(low, high)))

    def place(self, value: float) -> float:
        """0 to 1."""
        if self.is_logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def _decades(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 ..., or fewer of them."""
    for digits in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [digit * 10.0**power for power in powers for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) <= MOST_TICKS + 1:
            return found
    return found


def _even(low: float, high: float) -> list[float]:
    """Round numbers, at most ``MOST_TICKS`` of them."""
    steps = (digit * 10.0**power for power in range(-9, 12) for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= MOST_TICKS)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]
