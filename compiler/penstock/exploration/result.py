"""What an exploration found: which points are on the front, and why the others are not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import IO, Any

from penstock.atomic import write_files
from penstock.exploration.axes import Axis
from penstock.exploration.pareto import front
from penstock.exploration.rows import Error, Figures, Refusal, Training
from penstock.exploration.space import Base, Point, options_of
from penstock.machine.resources import NAMES
from penstock.notebook import table

SCHEMA = 1
"""Of ``as_values``."""


class State(StrEnum):
    """What became of a point."""

    FRONT = "front"
    DOMINATED = "dominated"
    MISSES = "misses"
    DOES_NOT_FIT = "does not fit"
    REFUSED = "refused"


@dataclass(frozen=True)
class Constraints:
    """What a point must meet. target_us: of a step; fits: the device, for certain; max_error: RMS
    error of the outputs over their RMS; max_loss: see ``rows.Error.loss``."""

    target_us: float | None = None
    fits: bool = False
    max_error: float | None = None
    max_loss: float | None = None

    def excess_of_error(self, error: Error, loss: float | None) -> dict[str, float]:
        """By how much of itself each limit is passed that the number formats pass."""
        found = {}
        if self.max_error is not None:
            relative = error.relative_error
            found["error"] = _excess(math.inf if relative is None else relative, self.max_error)
        if self.max_loss is not None:
            found["loss"] = _excess(math.inf if loss is None else loss, self.max_loss)
        return {name: excess for name, excess in found.items() if excess > 0}

    def excess(self, figures: Figures, error: Error, loss: float | None) -> dict[str, float]:
        """The same, of all limits."""
        found = self.excess_of_error(error, loss)
        if self.target_us is not None:
            found["time"] = _excess(figures.microseconds_per_step, self.target_us)
        if self.fits and figures.verdict != "fits":
            found["fit"] = max(figures.share - 1, 1e-9)
        return {name: excess for name, excess in found.items() if excess > 0}

    @property
    def are_any(self) -> bool:
        """True if there is a limit."""
        limits = (self.target_us, self.max_error, self.max_loss)
        return self.fits or any(limit is not None for limit in limits)


def _excess(value: float, limit: float) -> float:
    if value <= limit:
        return 0.0
    return (value - limit) / limit if limit > 0 else math.inf


@dataclass(frozen=True)
class Found:
    """A point and what was found out. figures: None where the error alone rules it out."""

    point: Point
    state: State
    figures: Figures | None
    error: Error | None
    reason: str = ""
    training: Training | None = None

    @property
    def is_estimate(self) -> bool:
        """True if no schedule was made: its figures are an outline's."""
        return self.figures is not None and self.figures.is_estimate

    @property
    def is_scheduled(self) -> bool:
        """True if its figures are those of a schedule."""
        return self.figures is not None and not self.figures.is_estimate

    @property
    def loss(self) -> float | None:
        """See ``loss_of``."""
        return None if self.error is None else loss_of(self.error, self.training)


def judged(
    points: Sequence[Point],
    figures: Mapping[int, Figures | Refusal],
    errors: Mapping[int, Error | Refusal],
    trainings: Mapping[int, Training],
    constraints: Constraints,
) -> list[Found]:
    """Every point with its state. figures, errors, trainings: by the points' numbers."""
    found = []
    for point in points:
        mine, error = figures.get(point.number), errors.get(point.number)
        training = trainings.get(point.number)
        loss = loss_of(error, training) if isinstance(error, Error) else None
        state, reason = _state(point, mine, error, loss, constraints)
        found.append(Found(
            point, state, mine if isinstance(mine, Figures) else None,
            error if isinstance(error, Error) else None, reason, training,
        ))  # fmt: skip
    rivals = [number for number, one in enumerate(found) if one.state is State.FRONT]
    best = {rivals[k] for k in front([costs(found[n]) for n in rivals],
                                     [_device(found[n]) for n in rivals])}  # fmt: skip
    return [
        Found(one.point, State.DOMINATED, one.figures, one.error, "", one.training)
        if one.state is State.FRONT and number not in best else one
        for number, one in enumerate(found)
    ]  # fmt: skip


def _state(
    point: Point, figures: Figures | Refusal | None, error: Error | Refusal | None,
    loss: float | None, constraints: Constraints,
) -> tuple[State, str]:  # fmt: skip
    """Of a point for itself: FRONT, if it may be there."""
    for refusal in (point.refusal, error, figures):
        if isinstance(refusal, Refusal):
            return State.REFUSED, refusal.what
    assert isinstance(error, Error)
    if isinstance(figures, Figures) and figures.verdict == State.DOES_NOT_FIT:
        short = ", ".join(NAMES.get(name, name) for name in figures.short_of)
        return State.DOES_NOT_FIT, f"does not fit: {short}"
    if isinstance(figures, Figures):
        missed = constraints.excess(figures, error, loss)
    else:
        missed = constraints.excess_of_error(error, loss)
    if missed:
        return State.MISSES, ", ".join(missed)
    assert isinstance(figures, Figures)
    return State.FRONT, ""


def costs(found: Found) -> tuple[float, ...]:
    """Lower is better: us of a step, us of a step and sequence, share of the fullest resource, bits
    of the weight files, error, and loss where it is known."""
    figures, error = found.figures, found.error
    assert figures is not None and error is not None
    relative = math.inf if error.relative_error is None else error.relative_error
    return (
        figures.microseconds_per_step, 1e6 / figures.steps_per_second, figures.share,
        float(figures.stored_bits), relative, found.loss or 0.0,
    )  # fmt: skip


def loss_of(error: Error, training: Training | None) -> float | None:
    """What is lost by number formats or, where it was trained, by all of the training."""
    return error.loss if training is None else training.dense - training.trained


def _device(found: Found) -> str:
    """Points of different devices do not compete: neither is a share of the other."""
    assert found.figures is not None
    return found.figures.part


@dataclass(frozen=True, repr=False)
class Exploration:
    """All points of a space. nearest: of those that miss the constraints, if none meets them.

    models: trained checkpoints, by the values that they were trained for. given: the options of
    ``penstock compile`` that read the network as it was read here, where they are known.
    """

    name: str
    axes: tuple[Axis, ...]
    base: Base
    constraints: Constraints
    points: tuple[Found, ...]
    nearest: Found | None = None
    models: Mapping[tuple[Any, ...], Path] = field(default_factory=dict)
    given: tuple[str, ...] = ()

    @cached_property
    def front(self) -> tuple[Found, ...]:
        """The points that no other dominates; of each device, the fastest first."""
        found = [one for one in self.points if one.state is State.FRONT]
        return tuple(sorted(found, key=lambda one: (_device(one), costs(one))))

    @cached_property
    def counts(self) -> dict[State, int]:
        """Points of each state."""
        return {state: sum(one.state is state for one in self.points) for state in State}

    @cached_property
    def reasons(self) -> list[tuple[State, str, int]]:
        """Why points are not on the front and not dominated, and how many; the most first."""
        found: dict[tuple[State, str], int] = {}
        for one in self.points:
            if one.state in (State.MISSES, State.DOES_NOT_FIT, State.REFUSED):
                key = one.state, one.reason + ", by estimate" * one.is_estimate
                found[key] = found.get(key, 0) + 1
        rows = [(state, reason, count) for (state, reason), count in found.items()]
        return sorted(rows, key=lambda row: -row[2])

    def options(self, found: Found) -> list[str]:
        """The options with which ``penstock compile`` makes this point."""
        return [*options_of(found.point, self.base), *self.given]

    def model(self, found: Found) -> str:
        """What is to be compiled."""
        trained = self.models.get(tuple(found.point.trained.values()))
        return self.name if trained is None else str(trained)

    def _repr_html_(self) -> str:
        """Of a notebook: the front."""
        from penstock.exploration.texts import columns, row  # they are about this class

        return table(repr(self), [columns(self), *(row(self, one) for one in self.front)])

    def write(self, page: str | PathLike[str]) -> Path:
        """Write the page with charts, one file of HTML. Raises PenstockError."""
        from penstock.exploration.page import render_page

        path, text = Path(page), render_page(self).encode()

        def save(file: IO[bytes]) -> None:
            file.write(text)

        write_files({path: save})
        return path

    def __repr__(self) -> str:
        counted = ", ".join(f"{count:,} {state}" for state, count in self.counts.items() if count)
        return f"<Exploration of {self.name!r}: {len(self.points):,} points: {counted}>"
