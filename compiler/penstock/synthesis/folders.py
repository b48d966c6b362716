"""Where the vendor tool left its reports: both flows, every version from 2019.2 on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import PenstockError

AUTO = "auto"
WORK_FOLDERS = ("vitis", "vitis_project", "vitis_component")
"""Where a project's Makefile and run_hls.tcl let the tool work: unified, classic, 2024.2 on."""
CSYNTH, COSIM, TRANSACTIONS = "csynth.xml", "_cosim.rpt", "verilog/result.transaction.rpt"
SCHEDULE = ".verbose.sched.rpt"
HINT = "make csynth in the project writes them"


@dataclass(frozen=True)
class Reports:
    """The reports of one synthesis. solution: the folder that holds ``syn`` and ``sim``.

    csynth: of the whole design. functions: one more for each function, by its name. cosim: of the
    top function. transactions: cycles call by call. schedules: for each function, by its name.
    """

    solution: Path
    csynth: Path | None
    functions: dict[str, Path]
    cosim: Path | None
    transactions: Path | None
    schedules: dict[str, Path]


def find_reports(project: Path, given: str) -> Reports:
    """The reports in a folder, which may be named as seen from the project, or be AUTO.

    Raises PenstockError if there is no such folder, no report in it, or more than one synthesis.
    """
    places = _places(project, given)
    found = sorted({solution for place in places for solution in _solutions(place)})
    where = ", ".join(map(str, places))
    if not found:
        raise PenstockError("there are no reports of Vitis HLS", where, HINT)
    if len(found) > 1:
        names = ", ".join(str(solution) for solution in found)
        raise PenstockError(
            f"there are reports of {len(found)} syntheses: {names}",
            where,
            "give one of these folders with --synthesis",
        )
    return _reports(found[0])


def _places(project: Path, given: str) -> list[Path]:
    if given == AUTO:
        places = [project / name for name in WORK_FOLDERS if (project / name).is_dir()]
        if not places:
            names = ", ".join(f"{name}/" for name in WORK_FOLDERS)
            raise PenstockError(f"there is none of {names}", str(project), HINT)
        return places
    for place in (Path(given), project / given):
        if place.is_dir():
            return [place]
    raise PenstockError("there is no such folder", given, "give one that Vitis HLS worked in")


def _solutions(place: Path) -> Iterable[Path]:
    """Folders with ``syn/report`` or ``sim/report`` in them, ``place`` and all below it."""
    inside = {"report", "syn", "sim"}
    start = place.parent if place.name in inside else place
    start = start.parent if start.name in inside else start
    for step in ("syn", "sim"):
        for report in start.glob(f"**/{step}/report"):
            if report.is_dir() and any(_kept(report, step)):
                yield report.parent.parent


def _kept(report: Path, step: str) -> Iterable[Path]:
    return report.glob(f"*{CSYNTH}" if step == "syn" else f"*{COSIM}")


def _reports(solution: Path) -> Reports:
    syn, sim = solution / "syn/report", solution / "sim/report"
    whole, cosim = syn / CSYNTH, sorted(sim.glob(f"*{COSIM}"))
    transactions = sim / TRANSACTIONS
    return Reports(
        solution,
        whole if whole.is_file() else None,
        _by_function(syn, f"_{CSYNTH}"),
        cosim[0] if cosim else None,
        transactions if transactions.is_file() else None,
        _by_function(solution / ".autopilot/db", SCHEDULE),
    )


def _by_function(folder: Path, ending: str) -> dict[str, Path]:
    return {path.name.removesuffix(ending): path for path in sorted(folder.glob(f"*{ending}"))}


def read_text(path: Path) -> str:
    """A report's text. Raises PenstockError if it can't be read."""
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise PenstockError(
            f"the report can't be read: {error.strerror}", str(path), HINT
        ) from error
