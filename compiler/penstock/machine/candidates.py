"""Hardware that could be built, each with its time and its resources by an outline of the schedule.

Describing a machine takes a millisecond or two; so some dozens are compared, and one is scheduled.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from penstock.machine.machine import Machine, describe
from penstock.machine.resources import Fit, Resources, Verdict, estimate
from penstock.machine.timeline import LONG
from penstock.schedule.arrange import WORTH_A_TREE
from penstock.schedule.outline import Outline
from penstock.settings import Hardware

COUNTS = frozenset(quarters * 2**k // 4 for k in range(11) for quarters in (4, 5, 6, 7))
"""PEs that are tried: four counts an octave, so that groups, units and rows come out even."""
UNITS = (1, 2, 4, 8, 16, 32)
WITHIN = 0.05
"""More PEs must save more than this share of the time."""
WORTH_UNITS = 0.01
"""Twice as many units must save this share of the time to be looked at."""
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
    def pes(self) -> int:
        """How many it has."""
        return self.machine.hardware.pes

    @property
    def waits(self) -> bool:
        """True if a step is longer for its memory, or for another process than compute."""
        return self.step > self.machine.order.step_cycles

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
    def room(self) -> int:
        """More is better: 0 if it does not fit, 1 if that can't be told, 2 if it fits."""
        return [Verdict.DOES_NOT_FIT, Verdict.UNSURE, Verdict.FITS].index(self.verdict)

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
    """By the outline, with shared rows if they are worth it and fit."""
    plain = Candidate(describe(outline.graph, outline.schedule(hardware), on_chip))
    if hardware.is_broadcast or not outline.shares(hardware):
        return plain
    shared = Candidate(describe(outline.graph, outline.schedule(hardware, share=True), on_chip))
    return shared if is_worth_sharing(shared, plain) and shared.room >= plain.room else plain


def is_worth_sharing(shared: Candidate, plain: Candidate) -> bool:
    """True if steps are so much shorter with shared rows that an adder over all PEs is worth it."""
    return shared.step <= (1 - WORTH_A_TREE) * plain.step


def counts(hardware: Hardware, most: int) -> list[int]:
    """PEs to be tried, of at most so many, in ascending order."""
    units = hardware.elements_per_cycle or 1
    tried = {*COUNTS, *(units * count for count in COUNTS)}
    return sorted(count for count in tried if count <= most and count % units == 0)


def explore(outline: Outline, hardware: Hardware, most: int) -> list[Candidate]:
    """Candidates on up to so many PEs: of powers of two, then of all counts near the best of them.

    Counts are left out on which no schedule can be about as fast as the fastest that fits.
    """
    tried = counts(hardware, most)
    possible = bisect_left(tried, True, key=lambda pes: is_hopeless_on(outline, hardware, pes))
    left = tried[: max(possible, 1)]
    found: dict[int, list[Candidate]] = {}
    coarse = [count for count in left if count & (count - 1) == 0 or count in (left[0], left[-1])]
    for pes in reversed(coarse):
        if _may_be_best(outline, pes, found):
            found[pes] = list(of_count(outline, replace(hardware, pes=pes)))
    best = preferred(flat(found))
    near = left if best is None else [
        count for count in left if best.pes < 2 * count and count < 2 * best.pes
    ]  # fmt: skip
    for pes in reversed(near):
        if pes not in found and _may_be_best(outline, pes, found):
            found[pes] = list(of_count(outline, replace(hardware, pes=pes)))
    return flat(found)


def flat(found: dict[int, list[Candidate]]) -> list[Candidate]:
    """All of them."""
    return [one for own in found.values() for one in own]


def preferred(found: Iterable[Candidate]) -> Candidate | None:
    """The best by the rule of ``choose``; if none surely fits, of those that may, the one with the
    most room; None if none can."""
    every = list(found)
    fitting = [one for one in every if one.verdict is Verdict.FITS]
    if fitting:
        fastest = min(one.cycles for one in fitting)
        return min(
            (one for one in fitting if one.cycles <= (1 + WITHIN) * fastest),
            key=lambda one: one.plainness,
        )
    unsure = [one for one in every if one.verdict is Verdict.UNSURE]
    return min(unsure, key=lambda one: one.most_share) if unsure else None


def of_count(outline: Outline, hardware: Hardware) -> Iterator[Candidate]:
    """Every choice of what is open beside the PEs that can be worth it.

    More units only while they fit and make a sequence shorter; weights on chip only where streamed
    ones are waited for, or do not fit.
    """
    asked, pes = hardware.elements_per_cycle, hardware.pes
    for overlap in _overlaps(hardware):
        before = None
        for units in (asked,) if asked else (units for units in UNITS if pes % units == 0):
            own = replace(hardware, elements_per_cycle=units, overlap=overlap)
            here: list[Candidate] = []
            for on_chip in _storages(hardware):
                if not any(one.verdict is Verdict.FITS and not one.waits for one in here):
                    here.append(candidate(outline, own, on_chip))
            yield from here
            fastest = min(one.cycles for one in here)
            if all(map(is_hopeless, here)) or (before and fastest > (1 - WORTH_UNITS) * before):
                break
            before = fastest


def is_hopeless(found: Candidate) -> bool:
    """True if nothing larger can fit either."""
    fits = found.resources.fits
    return any(fits[name].verdict is Verdict.DOES_NOT_FIT for name in GROWING)


def is_hopeless_on(outline: Outline, hardware: Hardware, pes: int) -> bool:
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


def _may_be_best(outline: Outline, pes: int, found: dict[int, list[Candidate]]) -> bool:
    fitting = [one.cycles for one in flat(found) if one.verdict is Verdict.FITS]
    return not fitting or least_cycles(outline, pes) <= (1 + WITHIN) * min(fitting)


def least_cycles(outline: Outline, pes: int) -> int:
    """Cycles of a long sequence that no schedule on so many PEs can do without."""
    once = {phase.name for phase in outline.parts.phases if outline.is_once(phase)}
    words = outline.least_words(pes)
    return sum(count * (1 if name in once else LONG) for name, count in words.items())
