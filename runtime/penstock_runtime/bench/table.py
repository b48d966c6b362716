"""The performance table of a project, as plain values.

schema (1), project; hardware {pes, lanes, clock_mhz, part}; planned, of each matrix, and last of a
whole step, [name, rows, columns (null of a whole step), weights, nonzeros, density, bytes,
theoretical_us (all PEs busy), scheduled_us, lanes, gops (of all lanes, zeros not counted),
dense_gops (as if every weight were multiplied)]; sequences (side by side in what was measured);
machine (this processor), measured [contender, threads, us (of each planned row but the last, or
null), step_us, step_mj (or null)]; published (null, or ESE's figures: source, device, clock_mhz,
sequences, step_us, gops, dense_gops, watts, times_faster_than {device: times},
times_the_energy_efficiency_of {device: times}); notes.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penstock.project import reading
from penstock.reported import read_report
from penstock_runtime.bench import ese
from penstock_runtime.bench.child import CPU, GPU
from penstock_runtime.bench.planned import planned_rows
from penstock_runtime.project import load_project

SCHEMA = 1
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
CONTENDERS = {
    "dense": "dense, NumPy",
    "sparse": "CSR, SciPy",
    "engine": "Penstock's {} engine, all of a step",
}
ON_GPU = {"dense": "dense, torch", "sparse": "CSR, torch"}
NOT_RUN = "planned figures are the timeline's: no card has run them"
NOT_SHOWN = (
    "measured figures are of this machine, as busy as it was, and but for the engine of matrix "
    "products in float32 alone, without what stands between them"
)
SHARES = (
    "of the bytes and cycles of a phase, a matrix has the share that it has of the phase's "
    "non-zeros; GOP/s count all lanes"
)
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measuring:
    """What is measured. sequences: side by side; None: the project's lanes. repeat: samples."""

    has_cpu: bool = True
    sequences: int | None = None
    repeat: int = 9
    shows_ese: bool = False


def performance(
    folder: Path, measuring: Measuring, tell: Tell = lambda work, done, of: None
) -> dict[str, Any]:
    """The table, see the module's text. tell: takes what is measured, and how far that is.

    Raises PenstockError if the folder is no project, or is damaged.
    """
    with reading(folder):
        project, report = load_project(folder), read_report(folder)
    hardware = report["hardware"]
    sequences = measuring.sequences or hardware["lanes"]
    measured, notes = _measured(folder, measuring, sequences, tell)
    shows_ese = measuring.shows_ese or ese.is_of_its_size(report)
    return {
        "schema": SCHEMA,
        "project": str(folder),
        "hardware": {key: hardware[key] for key in ("pes", "lanes", "clock_mhz", "part")},
        "planned": [row.values() for row in planned_rows(project, report)],
        "sequences": sequences,
        "machine": processor(),
        "measured": measured,
        "published": ese.PUBLISHED if shows_ese else None,
        "notes": [NOT_RUN, SHARES, *([NOT_SHOWN] if measured else []), *notes],
    }


def _measured(
    folder: Path, measuring: Measuring, sequences: int, tell: Tell
) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    runs = [(CPU, threads) for threads in _threads()] if measuring.has_cpu else []
    if find_spec("torch") is None:
        notes.append("no GPU was looked for: torch is not installed")
    else:
        runs.append((GPU, 1))
    for done, (what, threads) in enumerate(runs):
        tell(what, done, len(runs))
        found = _child(folder, what, threads, sequences, measuring.repeat)
        name = found.pop("name", "")
        if "note" in found:
            notes.append(f"{what.upper()}: {found.pop('note')}")
        names = CONTENDERS if what == CPU else {key: f"{name}, {ON_GPU[key]}" for key in ON_GPU}
        rows += [
            _row(names[key], threads if what == CPU else None, own) for key, own in found.items()
        ]
    return rows, notes + _missing(rows, measuring)


def _missing(rows: list[dict[str, Any]], measuring: Measuring) -> list[str]:
    """What a reader might look for."""
    found = {row["contender"] for row in rows}
    notes = []
    if measuring.has_cpu and rows:
        if CONTENDERS["sparse"] not in found:
            notes.append("CPU, sparse: SciPy is not installed")
        if CONTENDERS["dense"] not in found:
            notes.append("CPU, dense: the matrices are too large")
    if rows and all(row["step_mj"] is None for row in rows):
        notes.append("energy: this machine has no counter that can be read (RAPL, nvidia-smi)")
    elif rows:
        notes.append("energy is all that the processor, or the GPU's board, took meanwhile")
    return notes


def _row(contender: str, threads: int | None, own: dict[str, Any]) -> dict[str, Any]:
    seconds, energy = own["seconds"], own["step_joules"]
    return {
        "contender": contender.format(own.get("name", "")), "threads": threads,
        "us": None if seconds is None else [1e6 * each for each in seconds],
        "step_us": 1e6 * own["step_seconds"],
        "step_mj": None if energy is None else 1e3 * energy,
    }  # fmt: skip


def _threads() -> list[int]:
    """One, and all that this process may use."""
    every = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return sorted({1, every or 1})


def _child(folder: Path, what: str, threads: int, sequences: int, repeat: int) -> dict[str, Any]:
    """What a process of its own measures; ``note`` if it fails."""
    numbers = map(str, (threads, sequences, repeat))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "penstock_runtime.bench.child", str(folder), what, *numbers],
        env=os.environ | dict.fromkeys(THREADS, str(threads)), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"note": f"not measured: {last}"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def processor() -> str:
    """Its name, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
