"""What each weight matrix, and a whole step, costs on the accelerator, by its timeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from penstock.ir.matrix import Matrix
from penstock_runtime.project import Project

ONCE = "once"
"""Direction of a sweep that is not part of every step."""
STEP = "whole step"


@dataclass(frozen=True)
class Planned:
    """A row of the table; rows, columns: None for a whole step. Times in microseconds, of a step.

    lanes: sequences that one pass over the weights serves. theoretical_us: all PEs busy in every
    cycle. A phase multiplies by several matrices at once, so a matrix has the share of its phase's
    bytes and cycles that it has of the phase's non-zeros.
    """

    name: str
    rows: int | None
    columns: int | None
    weights: int
    nonzeros: int
    bytes: float
    theoretical_us: float
    scheduled_us: float
    lanes: int

    @property
    def density(self) -> float:
        """Share of the weights that are not zero."""
        return self.nonzeros / max(self.weights, 1)

    @property
    def gops(self) -> float:
        """10**9 multiplications and additions a second, of all lanes; zeros are not counted."""
        return 2 * self.nonzeros * self.lanes / self.scheduled_us / 1e3

    @property
    def dense_gops(self) -> float:
        """The same, as if every weight were multiplied."""
        return 2 * self.weights * self.lanes / self.scheduled_us / 1e3

    def values(self) -> dict[str, Any]:
        """As plain values."""
        more = {"density": self.density, "gops": self.gops, "dense_gops": self.dense_gops}
        return {**asdict(self), **more}


def planned_rows(project: Project, report: dict[str, Any]) -> list[Planned]:
    """A row for each matrix, in the order in which they are used, and one of the whole step."""
    hardware, timeline = report["hardware"], report["timeline"]
    per_us = hardware["pes"] * hardware["clock_mhz"]
    rows: list[Planned] = []
    of_step: list[Planned] = []
    for phase in report["phases"]:
        cycles = _cycles(timeline, phase)
        found = [
            Planned(
                name, *matrix.shape, matrix.shape[0] * matrix.shape[1], matrix.count,
                phase["bytes"] * share, matrix.count / per_us,
                cycles * share / hardware["clock_mhz"], hardware["lanes"],
            )
            for name, matrix in matrices_of(project, phase["matvecs"])
            for share in [matrix.count / max(phase["nonzeros"], 1)]
        ]  # fmt: skip
        rows += found
        of_step += found if phase["direction"] != ONCE else []
    whole = Planned(
        STEP, None, None, sum(row.weights for row in of_step),
        sum(row.nonzeros for row in of_step), float(timeline["weight_bytes_per_step"]),
        sum(row.theoretical_us for row in of_step), timeline["microseconds_per_step"],
        hardware["lanes"],
    )  # fmt: skip
    return [*rows, whole]


def matrices_of(project: Project, matvecs: list[str]) -> Iterator[tuple[str, Matrix]]:
    """The weight matrices of these products, by name."""
    for matvec in matvecs:
        for name in project.graph[matvec].inputs[1::2]:
            matrix = project.graph[name].tensor.constant
            assert isinstance(matrix, Matrix)
            yield name, matrix


def _cycles(timeline: dict[str, Any], phase: dict[str, Any]) -> int:
    """Of the PE array, filling and draining its pipeline included."""
    return sum(
        span["cycles"]
        for span in timeline["spans"]
        if (span["kind"], span["name"], span["sweep"]) == ("spmv", phase["name"], phase["sweep"])
    )
