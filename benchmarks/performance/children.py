"""Commands, each in a process of its own, and what they took: how all of this folder measures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Took:
    """What one child took, and what it wrote to standard output.

    cpu_seconds: user and system time of all its threads; peak_mb: of 2**20 bytes, resident.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def timed(*command: str, environment: Mapping[str, str] | None = None) -> Took:
    """Run a command. Ends the program with the command's output if it fails.

    A child's peak is at least what this process has in memory when it starts one: keep it small.
    """
    start = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)  # of this child alone, unlike RUSAGE_CHILDREN
    wall = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)}\n{output}")
    return Took(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def penstock(*arguments: str) -> Took:
    """``penstock`` with these arguments."""
    return timed(sys.executable, "-m", "penstock", *arguments)


def machine() -> dict[str, Any]:
    """Where and when something was measured."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.processor(), "cores": os.cpu_count(),
        "python": platform.python_version(), "date": date.today().isoformat(),
    }  # fmt: skip


def save(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``results/NAME.json``: the machine, and a row to a line."""
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    text = f'{{"machine": {json.dumps(machine())},\n "rows": [\n  {lines}\n ]}}\n'
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text)


def load(name: str) -> dict[str, Any]:
    """What ``save`` wrote."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found
