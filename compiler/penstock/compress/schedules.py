"""When and how far to prune: the density at each update of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from penstock.errors import PenstockError


class Schedule(Protocol):
    """What the pruner asks of a schedule; a step is one update of the weights, the first is 1."""

    @property
    def last(self) -> int:
        """The step from which the masks stay as they are."""

    def is_due(self, step: int) -> bool:
        """Whether masks are computed anew after ``step``."""

    def density(self, step: int, final: float) -> float:
        """The density wanted after ``step`` of a matrix that shall end at ``final``."""


@dataclass(frozen=True)
class OneShot:
    """Prune to the final density at once, after step ``at``; 0 is when the pruner attaches."""

    at: int = 0

    def __post_init__(self) -> None:
        _check("at", self.at, 0)

    @property
    def last(self) -> int:
        """As Schedule.last."""
        return self.at

    def is_due(self, step: int) -> bool:
        """As Schedule.is_due."""
        return step == self.at

    def density(self, step: int, final: float) -> float:
        """As Schedule.density."""
        return final if step >= self.at else 1.0


@dataclass(frozen=True)
class Cubic:
    """From dense at ``start`` to the final density at ``end``, quickly at first.

    density = final + (1 - final) * (1 - progress)^3 (Zhu and Gupta 2017, equation 1), anew
    ``every`` so many steps.
    """

    start: int
    end: int
    every: int = 1

    def __post_init__(self) -> None:
        _check("start", self.start, 0)
        _check("every", self.every, 1)
        _check("end", self.end, self.start + 1)

    @property
    def last(self) -> int:
        """As Schedule.last."""
        return self.end

    def is_due(self, step: int) -> bool:
        """As Schedule.is_due."""
        if not self.start <= step <= self.end:
            return False
        return step == self.end or (step - self.start) % self.every == 0

    def density(self, step: int, final: float) -> float:
        """As Schedule.density."""
        progress = min(max((step - self.start) / (self.end - self.start), 0.0), 1.0)
        return final + (1.0 - final) * (1.0 - progress) ** 3


def _check(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise PenstockError(
            f"{name} is {value!r}, but must be an int of at least {least}",
            "pruning schedule",
            "it counts updates of the weights",
        )
