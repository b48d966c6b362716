"""csynth.xml: clock, resources, latency and every loop of a synthesized design.

The elements are those of 2018.2 to 2025.2 (compared on reports of 2018.2, 2019.2, 2022.1, 2024.1
and 2025.2). A value that the tool does not know is ``undef``, ``?`` or ``-``: None here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from penstock.errors import PenstockError

HINT = "run make csynth again"
RESOURCES = {
    "dsp": ("DSP", "DSP48E"), "bram18": ("BRAM_18K",), "uram": ("URAM",), "lut": ("LUT",),
    "ff": ("FF",),
}  # fmt: skip
"""Our name of a resource -> the tool's; DSP48E until 2020.1."""
DIGITS, DECIMAL = re.compile("[0-9]{1,18}"), re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
DEEPEST = 64
"""Loops within loops."""


@dataclass(frozen=True)
class Range:
    """A number of cycles or iterations; the ends differ where it depends on data."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"


@dataclass(frozen=True)
class Loop:
    """A loop of the module in which it ended up. ii: None if it is not pipelined.

    name: the label; of nested loops that became one, all labels, joined by ``_``. depth: of the
    pipeline. iteration: cycles of one iteration of a loop that is not pipelined.
    """

    module: str
    name: str
    ii: int | None
    trip_count: Range | None
    depth: int | None
    iteration: Range | None


@dataclass(frozen=True)
class Csynth:
    """A synthesis report. Times in nanoseconds; latency: (best, average, worst) of a call.

    modules: the functions of the design as the tool made them.
    """

    version: str
    top: str
    part: str
    target_ns: float | None
    uncertainty_ns: float | None
    estimated_ns: float | None
    latency: tuple[int | None, ...]
    used: dict[str, int | None]
    available: dict[str, int | None]
    modules: frozenset[str]
    loops: tuple[Loop, ...]


def read_csynth(path: Path, functions: dict[str, Path]) -> Csynth:
    """Read the report of a design.

    functions: a report of each function, for versions whose design's report lists no modules.
    Raises PenstockError if one is damaged or is no such report.
    """
    root = _root(path)
    user, estimates = "UserAssignments", "PerformanceEstimates"
    top = _text(root, f"{user}/TopModelName")
    if top is None:
        raise PenstockError("the report names no top function", str(path), HINT)
    latency = [
        _integer(_text(root, f"{estimates}/SummaryOfOverallLatency/{case}-caseLatency"))
        for case in ("Best", "Average", "Worst")
    ]
    modules = dict(_modules(root, top))
    for name, own in functions.items():
        if name not in modules:
            modules[name] = tuple(_loops(_root(own).find(estimates), name))
    return Csynth(
        _text(root, "ReportVersion/Version") or "unknown", top, _text(root, f"{user}/Part") or "",
        _number(_text(root, f"{user}/TargetClockPeriod")),
        _number(_text(root, f"{user}/ClockUncertainty")),
        _number(_text(root, f"{estimates}/SummaryOfTimingAnalysis/EstimatedClockPeriod")),
        tuple(latency), _area(root, "Resources"), _area(root, "AvailableResources"),
        frozenset(modules), tuple(loop for loops in modules.values() for loop in loops),
    )  # fmt: skip


def _root(path: Path) -> Element:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise PenstockError(f"the report is damaged: {error}", str(path), HINT) from error
    except (OSError, LookupError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PenstockError(f"the report can't be read: {reason}", str(path), HINT) from error
    if root.tag != "profile":
        raise PenstockError(
            f"this is no report of Vitis HLS: its root is {root.tag[:80]!r}", str(path), HINT
        )
    return root


def _modules(root: Element, top: str) -> Iterator[tuple[str, tuple[Loop, ...]]]:
    """Module -> its loops. The top function is listed as a module, too, from 2020.2 on."""
    yield top, tuple(_loops(root.find("PerformanceEstimates"), top))
    for module in root.iterfind("ModuleInformation/Module"):
        name = _text(module, "Name")
        if name is not None:
            yield name, tuple(_loops(module.find("PerformanceEstimates"), name))


def _loops(estimates: Element | None, module: str) -> Iterator[Loop]:
    summary = None if estimates is None else estimates.find("SummaryOfLoopLatency")
    if summary is not None:
        yield from _nested(summary, module)


def _nested(parent: Element, module: str, depth: int = 0) -> Iterator[Loop]:
    for child in parent if depth < DEEPEST else ():
        if child.find("TripCount") is None and child.find("Latency") is None:
            continue  # a property of the loop around it
        yield Loop(
            module, _text(child, "Name") or child.tag, _integer(_text(child, "PipelineII")),
            _range(child.find("TripCount")), _integer(_text(child, "PipelineDepth")),
            _range(child.find("IterationLatency")),
        )  # fmt: skip
        yield from _nested(child, module, depth + 1)


def _area(root: Element, which: str) -> dict[str, int | None]:
    found = {}
    for name, tags in RESOURCES.items():
        texts = (_text(root, f"AreaEstimates/{which}/{tag}") for tag in tags)
        found[name] = _integer(next((text for text in texts if text is not None), None))
    return found


def _text(element: Element, path: str) -> str | None:
    text = (element.findtext(path) or "").strip()
    return text or None


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and DIGITS.fullmatch(text) else None


def _number(text: str | None) -> float | None:
    """A finite number without a sign, as times are."""
    return float(text) if text is not None and DECIMAL.fullmatch(text) else None


def _range(element: Element | None) -> Range | None:
    """``<TripCount>10</TripCount>``, ``3 ~ 8``, or a <range> of <min> and <max>."""
    if element is None:
        return None
    low, high = _text(element, "range/min"), _text(element, "range/max")
    if low is None or high is None:
        low, _, high = (element.text or "").partition("~")
    ends = _integer(low.strip()), _integer((high or low).strip())
    return None if ends[0] is None or ends[1] is None else Range(ends[0], ends[1])
