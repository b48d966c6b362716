"""The figures of a point as people read them: of the table on the terminal and on the page."""

from __future__ import annotations

from penstock.exploration.axes import AUTO, Axis
from penstock.exploration.result import Exploration, Found
from penstock.machine.resources import NAMES
from penstock.report.text import number, percent, significant

CHOSEN = ("pes", "elements_per_cycle", "overlap", "weight_storage", "dataflow")
"""Settings of which the compiler's choice is known."""
LARGE_US = 100.0
"""From here on, a time needs no second decimal."""


def shown_axes(found: Exploration) -> list[Axis]:
    """Those with several values: the others are the same for all points."""
    return [axis for axis in found.axes if len(axis.values) > 1]


def columns(found: Exploration) -> list[str]:
    """Headings of a row for each point."""
    titles = ["point", *(axis.field.title for axis in shown_axes(found))]
    if "pes" not in titles and len({one.figures.pes for one in found.front if one.figures}) > 1:
        titles.insert(1, "pes")  # the compiler's choice
    titles += ["us/step", "cycles", "fullest", "bits", "bits/weight", "error"]
    if _has_lanes(found):
        titles.insert(titles.index("cycles"), "steps/s")
    if any(one.loss is not None for one in found.points):
        titles.append("loss")
    if any(one.figures is not None and one.figures.verdict == "unsure" for one in found.front):
        titles.append("fits")
    return titles


def row(found: Exploration, one: Found) -> list[str]:
    """A point, under ``columns``."""
    figures, error = one.figures, one.error
    assert figures is not None and error is not None
    us = figures.microseconds_per_step
    cells = {
        "point": str(one.point.number), "pes": str(figures.pes),
        **{axis.field.title: _value(one, axis) for axis in shown_axes(found)},
        "us/step": number(us, 2 if us < LARGE_US else 1),
        "steps/s": number(figures.steps_per_second),
        "cycles": number(figures.cycles_per_step),
        "fullest": f"{NAMES[figures.fullest]} {percent(figures.share, 0)}",
        "bits": number(figures.stored_bits),
        "bits/weight": number(figures.bits_per_nonzero, 2),
        "error": percent(error.relative_error, 2),
        "loss": significant(one.loss, 3),
        "fits": "yes" if figures.verdict == "fits" else figures.verdict,
    }  # fmt: skip
    return [cells[title] for title in columns(found)]


def _value(one: Found, axis: Axis) -> str:
    """What an axis has at a point; where that is open, what was chosen: ``auto: 8``."""
    value, name = one.point.values[axis.field.name], axis.field.name
    shown = axis.field.shown(value)
    if shown != AUTO or name not in CHOSEN or one.figures is None:
        return shown
    return f"{shown}: {axis.field.shown(getattr(one.figures, name))}"


def missed(found: Exploration) -> str:
    """Which limits the nearest point passes: ``12.3 us (target 10)``."""
    one, limits = found.nearest, found.constraints
    assert one is not None and one.figures is not None and one.error is not None
    told = {
        "time": f"{significant(one.figures.microseconds_per_step)} us a step, more than "
        f"{significant(limits.target_us)}",
        "fit": f"{NAMES[one.figures.fullest]} at {percent(one.figures.share, 0)} of what should be "
        "planned for",
        "error": f"an error of {percent(one.error.relative_error, 2)}, more than "
        f"{percent(limits.max_error, 2)}",
        "loss": f"a loss of {significant(one.loss, 3)}, more than "
        f"{significant(limits.max_loss, 3)}",
    }
    return ", ".join(told[name] for name in one.reason.split(", "))


def settings_of(found: Exploration, one: Found) -> str:
    """``pes 8, weight-bits 10``."""
    return ", ".join(
        f"{axis.field.title} {axis.field.shown(one.point.values[axis.field.name])}"
        for axis in shown_axes(found)
    ) or "the only one"  # fmt: skip


def _has_lanes(found: Exploration) -> bool:
    return any(axis.field.name == "lanes" for axis in shown_axes(found))
