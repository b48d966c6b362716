"""Points of a network, priced as ``compile`` would: what several have in common is computed once.

A graph depends on the number formats alone; its error, too. Schedules depend on the PEs and on how
words are made; a machine, and so its time and its resources, on everything, which takes
milliseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from msgspec import structs

from penstock.driver import build_machine, check_graph, quantize
from penstock.errors import PenstockError
from penstock.exploration.network import Network
from penstock.exploration.rows import Error, Figures, Refusal, Used
from penstock.fidelity import measure
from penstock.folding import Folded
from penstock.ir import Graph
from penstock.machine import Machine
from penstock.machine.candidates import candidate, is_hopeless_on
from penstock.machine.choose import wide_enough
from penstock.machine.resources import Verdict, estimate
from penstock.report.error import error_section, frames_text
from penstock.report.phases import totals_section
from penstock.report.timing import timeline_section
from penstock.schedule import Schedule, schedule
from penstock.schedule.outline import Outline
from penstock.settings import DEFAULT_MHZ, Hardware, Precision

FASTER = 0.25
"""A schedule may take so much less time than its outline, and no more: see tests of ``Outline``."""
KEPT_GRAPHS, KEPT_SCHEDULES, KEPT_OUTLINES = 2, 24, 512
"""So many are remembered: a schedule of ESE's layer takes some megabytes."""
T = TypeVar("T")


class Recent(OrderedDict[Any, Any]):
    """The last so many of what was made."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def get_or(self, key: Any, make: Callable[[], T]) -> T:
        """What is remembered, or made now."""
        if key in self:
            self.move_to_end(key)
        else:
            self[key] = make()
            while len(self) > self.most:
                self.popitem(last=False)
        found: T = self[key]
        return found


NOT_SCHEDULED: dict[str, Any] = {
    item.name: item.default
    for item in fields(Hardware)
    if item.name in ("weight_storage", "io", "port_bits", "max_steps", "clock_mhz", "part", "board",
                     "part_resources")
}  # fmt: skip
"""Settings that no schedule depends on, as they are by default. Any other may matter."""


def of_schedule(hardware: Hardware) -> Hardware:
    """Only what a schedule depends on, with the rest as it is by default.

    Equal for two hardwares, their schedules are equal but for the hardware that they name.
    """
    return replace(
        hardware, **NOT_SCHEDULED, lanes=1, interleave=1, elements_per_cycle=hardware.cell_units,
        overlap=hardware.overlaps,
    )  # fmt: skip


@dataclass
class Quantized:
    """A network in one precision, and the schedules that were made of it."""

    folded: Folded
    graph: Graph
    plans: Recent = field(default_factory=lambda: Recent(KEPT_SCHEDULES))
    outlines: Recent = field(default_factory=lambda: Recent(KEPT_OUTLINES))

    def schedule(self, graph: Graph, hardware: Hardware, share: bool) -> Schedule:
        """As ``schedule.schedule``, but made once where it would be the same."""
        least = of_schedule(hardware)
        found = self.plans.get_or((least, share), lambda: _made(graph, least, share))
        if isinstance(found, PenstockError):
            raise found
        return replace(found, hardware=hardware)

    def outline(self, hardware: Hardware) -> Outline:
        """The outline of the graph, with what it remembers of such hardware on any PEs."""
        key = replace(hardware, **NOT_SCHEDULED | {"pes": None})
        return self.outlines.get_or(key, lambda: Outline.of(self.graph, hardware))

    def is_hopeless(self, hardware: Hardware) -> bool:
        """True if not even the smallest choice of what is open fits, by the outline; it is the same
        at every clock."""
        key = "hopeless", replace(hardware, clock_mhz=DEFAULT_MHZ)
        outline = self.outline(hardware)
        return self.outlines.get_or(key, lambda: is_hopeless_on(outline, hardware, hardware.pes))


def _made(graph: Graph, hardware: Hardware, share: bool) -> Schedule | PenstockError:
    """A refusal is remembered as well."""
    try:
        return schedule(graph, hardware, share)
    except PenstockError as error:
        return error


class Workshop:
    """One process' view of one network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._graphs = Recent(KEPT_GRAPHS)

    def error(self, precision: Precision) -> Error | Refusal:
        """How far the graph is from the float network, as ``compile`` measures it."""
        try:
            found = self._quantized(precision)
            trial = self.network.trial.scaled(found.folded.exponents)
            section = error_section(measure(found.folded.model, found.graph, trial))
        except PenstockError as error:
            return Refusal(error.what, error.where, error.hint)
        assert section is not None
        output, decisions = section["output"], section["decisions"]
        return Error(
            output["relative_error"], output["max_abs_error"], output["rms_error"],
            None if decisions is None else decisions["agreement"], section["labels"],
            frames_text(section["frames"]),
        )  # fmt: skip

    def figures(
        self, precision: Precision, hardware: Hardware, target_us: float | None = None
    ) -> Figures | Refusal:
        """What ``compile`` would report; by estimate where that is hopeless.

        target_us: what is far slower by its outline is not scheduled.
        """
        try:
            found = self._quantized(precision)
            outlined = _hopeless(found, hardware, target_us)
            if outlined is not None:
                return structs.replace(figures_of(outlined), is_estimate=True)
            machine, _ = build_machine(
                found.graph, hardware, self.network.balanced_for, found.schedule
            )
            return figures_of(machine)
        except PenstockError as error:
            return Refusal(error.what, error.where, error.hint)

    def most_rows(self, precision: Precision) -> int:
        """Rows of the phase with the most. Raises PenstockError."""
        return Outline.of(self._quantized(precision).graph, Hardware(pes=1)).most_rows

    def _quantized(self, precision: Precision) -> Quantized:
        found = self._graphs.get_or(repr(precision), lambda: self._checked(precision))
        if isinstance(found, PenstockError):
            raise found
        return found

    def _checked(self, precision: Precision) -> Quantized | PenstockError:
        try:
            where = self.network.where
            folded, graph = quantize(self.network.model, self.network.ranges, precision, where)
            check_graph(graph)
        except PenstockError as error:
            return error
        return Quantized(folded, graph)


def _hopeless(found: Quantized, hardware: Hardware, target_us: float | None) -> Machine | None:
    """By its outline, the machine of a point that surely does not fit, or is far too slow.

    None for all others, and where the compiler may choose another than the outline's: then only
    its choice can tell.
    """
    if hardware.pes is None or hardware.dataflow != "gather":
        return None
    hardware, _ = wide_enough(found.graph, hardware)
    outline = found.outline(hardware)
    if hardware.pes > outline.most_rows:
        return None
    asked = hardware.weight_storage
    storages = (False, True) if asked == "auto" else (asked == "onchip",)
    if found.is_hopeless(hardware):
        return candidate(outline, hardware, storages[0]).machine
    if target_us is None:
        return None
    fastest = min((candidate(outline, hardware, one) for one in storages), key=lambda c: c.step)
    is_open = hardware.overlap is None or hardware.elements_per_cycle is None
    if is_open and fastest.verdict is not Verdict.FITS:
        return None
    is_slow = (1 - FASTER) * fastest.step / hardware.clock_mhz > target_us
    return fastest.machine if is_slow else None


def figures_of(machine: Machine) -> Figures:
    """The figures of report.json that points are compared by."""
    hardware, timeline = machine.hardware, timeline_section(machine)
    found = estimate(machine)
    totals = totals_section(machine, {})
    return Figures(
        hardware.target, hardware.pes, hardware.cell_units, hardware.overlaps,
        "onchip" if machine.on_chip else "stream", hardware.dataflow,
        timeline["cycles_per_step"], timeline["bound_per_step"], timeline["stall_cycles"],
        timeline["microseconds_per_step"], timeline["steps_per_second"],
        totals["nonzeros"], sum(totals["bits"].values()),
        {name: Used(fit.used, fit.total, fit.limit, str(fit.verdict))
         for name, fit in found.fits.items()},
        found.bandwidth.are_too_many,
    )  # fmt: skip
