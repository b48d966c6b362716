"""The search: errors of all number formats, then the points, in jobs that share their schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from penstock.exploration.evaluate import of_schedule
from penstock.exploration.jobs import Job
from penstock.exploration.network import Network, digest_of, versions
from penstock.exploration.result import Constraints, Found, State, judged, loss_of
from penstock.exploration.rows import Error, Figures, Refusal, Row, Training
from penstock.exploration.space import Point
from penstock.exploration.store import Store
from penstock.settings import Hardware

POINTS_OF_JOB = 32
"""At most: what is being computed is lost where a worker dies or a user interrupts."""
NEAREST_TRIED = 16
"""Estimates that are scheduled to find the nearest point, where none meets the constraints."""

Progress = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is, and of how much."""


class Pool(Protocol):
    """What does jobs, in any order."""

    def run(self, jobs: Sequence[Job], networks: dict[str, Network]) -> Iterator[dict[str, Row]]:
        """What each job gives, as soon as it is done."""


@dataclass
class Search:
    """One run. networks: of each point, by its number; trainings: of those that were trained.

    Results go to the store as they come, and are taken from there where they are.
    """

    points: Sequence[Point]
    networks: Mapping[int, Network]
    trainings: Mapping[int, Training]
    constraints: Constraints
    store: Store
    pool: Pool
    progress: Progress
    rows: dict[str, Row] = field(default_factory=dict)

    def run(self) -> list[Found]:
        """Every point with its state."""
        sound = [point for point in self.points if point.hardware is not None]
        self._do("errors of number formats", _distinct([self._error_job(p) for p in sound]))
        if self.constraints.max_error is not None or self.constraints.max_loss is not None:
            sound = [point for point in sound if self._may_meet(point)]
        else:
            sound = [point for point in sound if isinstance(self._error(point), Error)]
        self._do("points", self._jobs(sound, self.constraints.target_us))
        return self.found()

    def found(self) -> list[Found]:
        """What is known now."""
        figures: dict[int, Figures | Refusal] = {}
        errors: dict[int, Error | Refusal] = {}
        for point in self.points:
            if point.hardware is None:
                continue
            row = self.rows.get(self._key(point))
            if isinstance(row, Figures | Refusal):
                figures[point.number] = row
            errors[point.number] = self._error(point)
        return judged(self.points, figures, errors, self.trainings, self.constraints)

    def nearest(self, found: Sequence[Found]) -> Found | None:
        """Of points that miss the constraints, the one that misses them by least, by a schedule;
        None if a point meets them."""
        for _ in range(NEAREST_TRIED):
            if any(one.state is State.FRONT for one in found):  # an outline was too slow
                return None
            missing = [one for one in found if one.state is State.MISSES]
            best = min(missing, key=self._miss, default=None)
            if best is None or best.is_scheduled:
                return best
            self.rows.pop(self._key(best.point), None)
            self._do("the nearest point", self._jobs([best.point], None))
            found = self.found()
        scheduled = [one for one in found if one.state is State.MISSES and one.is_scheduled]
        return min(scheduled, key=self._miss, default=None)

    def _miss(self, one: Found) -> float:
        """The greatest excess over a limit, as far as it is known."""
        assert one.error is not None
        if one.figures is None:
            return max(self.constraints.excess_of_error(one.error, one.loss).values())
        return max(self.constraints.excess(one.figures, one.error, one.loss).values())

    def _may_meet(self, point: Point) -> bool:
        error = self._error(point)
        if isinstance(error, Refusal):
            return False
        loss = loss_of(error, self.trainings.get(point.number))
        return not self.constraints.excess_of_error(error, loss)

    def _error(self, point: Point) -> Error | Refusal:
        row = self.rows[self._error_key(point)]
        assert isinstance(row, Error | Refusal)
        return row

    def _error_key(self, point: Point) -> str:
        network = self.networks[point.number]
        return digest_of((versions(), network.digest, "error", repr(point.precision)))

    def _key(self, point: Point) -> str:
        network = self.networks[point.number]
        settings = repr(point.precision), repr(point.hardware)
        return digest_of((versions(), network.digest, "figures", *settings))

    def _error_job(self, point: Point) -> Job:
        network = self.networks[point.number]
        return Job((self._error_key(point),), network.digest, point.precision, (), versions())

    def _jobs(self, points: Sequence[Point], target_us: float | None) -> list[Job]:
        """Points of one precision whose schedules are the same are one job, or a few."""
        groups: dict[tuple[str, str, str], dict[str, Hardware]] = {}
        for point in points:
            assert point.hardware is not None
            network = self.networks[point.number].digest
            group = network, repr(point.precision), _shared(point.hardware)
            groups.setdefault(group, {})[self._key(point)] = point.hardware
        precisions = {repr(point.precision): point.precision for point in points}
        return [
            Job(tuple(keys[start : start + POINTS_OF_JOB]), network, precisions[formats],
                tuple(own[key] for key in keys[start : start + POINTS_OF_JOB]), versions(),
                target_us)
            for (network, formats, _), own in groups.items()
            for keys in [list(own)]
            for start in range(0, len(keys), POINTS_OF_JOB)
        ]  # fmt: skip

    def _do(self, work: str, jobs: Sequence[Job]) -> None:
        """Jobs whose results are not there yet."""
        wanted = [key for job in jobs for key in job.keys]
        self.rows |= self.store.find(key for key in wanted if key not in self.rows)
        left = [one for job in jobs if (one := _without(job, self.rows)) is not None]
        settings = {key: _settings(job, key) for job in left for key in job.keys}
        done = sum(key in self.rows for key in wanted)
        self.progress(work, done, len(wanted))
        if not left:
            return
        networks = {network.digest: network for network in self.networks.values()}
        needed = {job.network for job in left}
        networks = {digest: one for digest, one in networks.items() if digest in needed}
        for found in self.pool.run(left, networks):
            self.rows |= found
            self.store.keep(
                {key: (settings[key], row) for key, row in found.items() if _is_kept(row)}
            )
            done += len(found)
            self.progress(work, done, len(wanted))


def _shared(hardware: Hardware) -> str:
    """What points have in common that are priced by one process, one after the other."""
    if hardware.pes is None:
        return repr(hardware)
    return repr(of_schedule(hardware))


def _distinct(jobs: Sequence[Job]) -> list[Job]:
    return list({job.keys: job for job in jobs}.values())


def _without(job: Job, known: Mapping[str, Row]) -> Job | None:
    """A job without what is known; None if nothing is left."""
    if not job.hardwares:
        return None if job.keys[0] in known else job
    left = [(k, h) for k, h in zip(job.keys, job.hardwares, strict=True) if k not in known]
    if not left:
        return None
    keys, hardwares = zip(*left, strict=True)
    return Job(keys, job.network, job.precision, hardwares, job.versions, job.target_us)


def _settings(job: Job, key: str) -> str:
    """For whoever looks into the store."""
    if not job.hardwares:
        return repr(job.precision)
    return f"{job.precision!r} {job.hardwares[job.keys.index(key)]!r}"


def _is_kept(row: Row) -> bool:
    """Not what was left out for being slower than this run's target: another may want it."""
    is_slow = isinstance(row, Figures) and row.is_estimate and row.verdict != "does not fit"
    return not is_slow
