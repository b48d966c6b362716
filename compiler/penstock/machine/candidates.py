"""Hardware that could be built, each with its time and its resources by an outline of the schedule.

Describing a machine takes a millisecond or two; so some dozens are compared, and one is scheduled.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from penstock.bounds import MAX_PES
from penstock.machine.machine import Machine, describe
from penstock.machine.resources import Fit, Resources, Verdict, estimate
from penstock.machine.timeline import LONG
from penstock.schedule.outline import Outline
from penstock.settings import Hardware

COUNTS = frozenset(quarters * 2**k // 4 for k in range(11) for quarters in (4, 5, 6, 7))
"""PEs that are tried: four counts an octave, so that groups, units and rows come out even."""
UNITS = (1, 2, 4, 8, 16)
WITHIN = 0.05
"""More PEs must save more than this share of the time."""
GROWING = ("dsp", "lut")
"""Resources of which more units or overlap never take less."""


@dataclass(frozen=True)
class Candidate:
    """One choice. machine: by the outline, or as scheduled."""

    machine: Machine

    @property
    def hardware(self) -> Hardware:
        """Its settings."""
        return replace(
            self.machine.hardware, elements_per_cycle=self.machine.hardware.cell_units,
            overlap=self.machine.hardware.overlaps,
            weight_storage="onchip" if self.machine.on_chip else "stream",
        )  # fmt: skip

    @cached_property
    def cycles(self) -> int:
        """Of a long sequence."""
        return self.machine.timeline.call(LONG)

    @property
    def step(self) -> int:
        """Cycles of a step."""
        return self.machine.timeline.step

    @property
    def work(self) -> int:
        """Cycles of all PEs in a step."""
        return self.step * self.machine.hardware.pes

    @cached_property
    def resources(self) -> Resources:
        """The estimate."""
        return estimate(self.machine)

    @property
    def verdict(self) -> Verdict:
        """The worst of all resources, ports included."""
        verdicts = {fit.verdict for fit in self.resources.fits.values()}
        if self.resources.bandwidth.are_too_many:
            return Verdict.DOES_NOT_FIT
        return next(verdict for verdict in reversed(Verdict) if verdict in verdicts)

    @property
    def worst(self) -> tuple[str, Fit]:
        """The resource that is nearest to its limit, or the furthest beyond it."""
        fits = self.resources.fits
        name = max(fits, key=lambda name: _share(fits[name]))
        return name, fits[name]

    @property
    def most_share(self) -> tuple[bool, float]:
        """Lower is more room: does it surely not fit, and the worst share of a limit."""
        if self.resources.bandwidth.are_too_many:
            return True, float("inf")
        return _share(self.worst[1])

    @property
    def plainness(self) -> tuple[int, int, bool, bool]:
        """Lower is plainer: PEs, units, overlap, weights on chip."""
        hardware = self.machine.hardware
        return hardware.pes, hardware.cell_units, hardware.overlaps, self.machine.on_chip


def _share(fit: Fit) -> tuple[bool, float]:
    """What surely does not fit before what may not."""
    surely = fit.verdict is Verdict.DOES_NOT_FIT
    return surely, (fit.least if surely else fit.most) / max(fit.limit, 1)


def candidate(outline: Outline, hardware: Hardware, on_chip: bool) -> Candidate:
    """By the outline."""
    return Candidate(describe(outline.graph, outline.schedule(hardware), on_chip))


def counts(hardware: Hardware, most: int) -> list[int]:
    """PEs to be tried, of at most so many, in ascending order."""
    units = hardware.elements_per_cycle or 1
    tried = {*COUNTS, *(units * count for count in COUNTS)}
    return sorted(count for count in tried if count <= min(most, MAX_PES) and count % units == 0)


def explore(outline: Outline, hardware: Hardware, most: int) -> list[Candidate]:
    """Candidates of every count of PEs that can be as fast as the fastest that fits, or nearly."""
    tried = counts(hardware, most)
    possible = bisect_left(tried, True, key=lambda pes: _is_hopeless_on(outline, hardware, pes))
    found: list[Candidate] = []
    for pes in reversed(tried[: max(possible, 1)]):
        fitting = [one.cycles for one in found if one.verdict is Verdict.FITS]
        if fitting and least_cycles(outline, pes) > (1 + WITHIN) * min(fitting):
            break
        found += of_count(outline, replace(hardware, pes=pes))
    return found


def of_count(outline: Outline, hardware: Hardware) -> Iterator[Candidate]:
    """Every choice of what is open beside the PEs.

    More units are left out where fewer do not fit for what only grows.
    """
    asked, pes = hardware.elements_per_cycle, hardware.pes
    for overlap in _overlaps(hardware):
        for on_chip in _storages(hardware):
            for units in (asked,) if asked else (units for units in UNITS if pes % units == 0):
                own = replace(hardware, elements_per_cycle=units, overlap=overlap)
                found = candidate(outline, own, on_chip)
                yield found
                if is_hopeless(found):
                    break


def is_hopeless(found: Candidate) -> bool:
    """True if nothing larger can fit either."""
    fits = found.resources.fits
    return any(fits[name].verdict is Verdict.DOES_NOT_FIT for name in GROWING)


def _is_hopeless_on(outline: Outline, hardware: Hardware, pes: int) -> bool:
    """True if not even the smallest choice can fit on so many PEs."""
    least = replace(
        hardware, pes=pes, elements_per_cycle=hardware.elements_per_cycle or 1,
        overlap=_overlaps(hardware)[0],
    )  # fmt: skip
    return all(is_hopeless(candidate(outline, least, on_chip)) for on_chip in _storages(hardware))


def _overlaps(hardware: Hardware) -> tuple[bool, ...]:
    if hardware.overlap is not None:
        return (hardware.overlap,)
    return (False, True) if hardware.lanes == 1 else (False,)


def _storages(hardware: Hardware) -> tuple[bool, ...]:
    asked = hardware.weight_storage
    return (False, True) if asked == "auto" else (asked == "onchip",)


def least_cycles(outline: Outline, pes: int) -> int:
    """Cycles of a long sequence that no schedule on so many PEs can do without."""
    once = {phase.name for phase in outline.parts.phases if outline.is_once(phase)}
    words = outline.least_words(pes)
    return sum(count * (1 if name in once else LONG) for name, count in words.items())
