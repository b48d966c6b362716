"""What synthesis is held against: the project's report, and the loops of its kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.reported import MANIFEST, read_json

ACCUMULATING = ("spmv_group", "spmv_pe")
"""The function whose pipeline adds into the accumulators: of PEs in lock step, or of each PE."""
STEP_LOOP = re.compile(r"^SWEEP_\d+$")
"""The loops of ``compute`` whose iterations are the steps of a sequence."""
STEPPING = "compute"

FUNCTION = re.compile(r"^(?!template|typedef|#|//)[A-Za-z].*?\b(\w+)\(")
LABEL = re.compile(r"^\s*([A-Za-z_]\w*):\s*$")
FOR = re.compile(r"^\s*(?:([A-Za-z_]\w*):\s*)?for \(")
PIPELINED = re.compile(r"^\s*#pragma HLS PIPELINE\b.*?\bII=(\d+)", re.I)


@dataclass(frozen=True)
class Plan:
    """What the compiler counts on.

    top: None if the project names none. loops: ``function.LABEL`` -> II. hazard_distance: words
    between two uses of an accumulator address, from the proof. resources: the estimate;
    rules: what it rests on and leaves out, in words. calls, call_steps: of the golden vectors.
    """

    top: str | None
    part: str
    clock_mhz: float
    loops: dict[str, int]
    hazard_distance: int
    step_cycles: int
    resources: dict[str, int | None]
    rules: str
    calls: int
    call_steps: int

    @property
    def accumulating(self) -> str:
        """The function whose pipeline adds into the accumulators."""
        functions = {name.partition(".")[0] for name in self.loops}
        return next((name for name in ACCUMULATING if name in functions), ACCUMULATING[0])


def plan_of(project: Path, report: dict[str, Any]) -> Plan:
    """The plan of a project. report: its report.json. Raises PenstockError."""
    golden = read_json(project, MANIFEST)["golden"]
    totals = report["resources"]["totals"]
    return Plan(
        _top(project),
        report["hardware"]["part"],
        report["hardware"]["clock_mhz"],
        expected_loops(project),
        report["proof"]["hazard_distance"],
        report["timeline"]["cycles_per_step"],
        {name: row["used"] for name, row in totals.items()},
        report["resources"]["rules"],
        golden["calls"],
        golden["steps"],
    )


def _top(project: Path) -> str | None:
    try:
        found = re.search(r"^syn\.top=(\w+)", (project / "hls_config.cfg").read_text(), re.M)
    except OSError:
        return None
    return found[1] if found else None


def expected_loops(project: Path) -> dict[str, int]:
    """``function.LABEL`` -> II of every loop that the kernel's sources pipeline.

    A loop without a label has the name that the tool will give it, ``VITIS_LOOP_<line>``. Raises
    PenstockError if there is none.
    """
    found: dict[str, int] = {}
    for path in sorted((project / "kernel").glob("*")):
        if path.suffix in (".h", ".cpp"):
            found.update(_pipelined(path.read_text(errors="replace").splitlines()))
    if not found:
        raise PenstockError(
            "no loop of the kernel is pipelined", str(project / "kernel"), "compile the model again"
        )
    return found


def _pipelined(lines: list[str]) -> Iterator[tuple[str, int]]:
    """The innermost loop around each PIPELINE pragma: its name, and its II."""
    function, label, depth = "", "", 0
    loops: list[tuple[str, int]] = []  # name, and the depth of braces around it
    for number, line in enumerate(lines, 1):
        code = line.partition("//")[0]
        while loops and depth <= loops[-1][1] and not code.lstrip().startswith("#"):
            loops.pop()
        if (found := PIPELINED.match(code)) and loops:
            yield f"{function}.{loops[-1][0]}", int(found[1])
        elif found := FOR.match(code):
            loops.append((found[1] or label or f"VITIS_LOOP_{number}", depth))
        elif depth == 0 and (found := FUNCTION.match(code)):
            function = found[1]
        if code.strip():
            named = LABEL.match(code)
            label = named[1] if named else ""
        if not code.lstrip().startswith("#"):
            depth += code.count("{") - code.count("}")
