"""C simulation: what a build, a step and a check cost, on three networks.

    python benchmarks/performance/csim.py [--write]

CPU seconds are those of the C++ compiler or the test bench, user and system time: a busy machine
says the same as an idle one, or nearly. ``--write`` puts the figures into results/csim.json, of
which ``table`` makes the table in docs/performance.md. Minutes.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from children import save

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import ese_layer

from penstock.packing.vectors import Call, vector_file
from penstock_runtime import compiling, csim, load_project

NAME = "csim"
RUNS = 3
STEPS = (2, 42)
"""A step is the difference between calls of so many, over so many steps."""
GOALS = {
    "build_cpu_s": "<= 5", "headers_cpu_s": "", "later_build_cpu_s": "", "same_machine_cpu_s": "",
    "check_wall_s": "<= 3 for ESE's", "check_cpu_s": "", "ns_a_nonzero": "<= 20",
}  # fmt: skip
TITLES = {
    "build_cpu_s": "first build, CPU s, nothing cached",
    "headers_cpu_s": "compiling the headers beforehand, once a machine, CPU s",
    "later_build_cpu_s": "another build with them, CPU s",
    "same_machine_cpu_s": "a second project of the same machine, CPU s",
    "check_wall_s": "penstock check, built before, wall s",
    "check_cpu_s": "the same, CPU s",
    "ns_a_nonzero": "a step, CPU ns a non-zero",
}


def small() -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """64 cells on 8 PEs."""
    return stacked(40, 64, layers=1, ways=1), ("--pes", "8")


def ese() -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """ESE's layer on 32 PEs."""
    return ese_layer.tensors(), ("--pes", "32")


def deep() -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Three bidirectional layers of 256 cells, 4 lanes: six products, each with its own types."""
    lanes = ("--lanes", "4", "--max-steps", "64")
    return stacked(64, 256, layers=3, ways=2), ("--pes", "32", *lanes)


NETWORKS = {
    "64 cells": small, "ESE's layer": ese, "3 bidirectional layers of 256, 4 lanes": deep
}  # fmt: skip


def stacked(inputs: int, cells: int, layers: int, ways: int) -> dict[str, np.ndarray]:
    """A state dict of LSTM layers at 10 % density, in one direction or both."""
    generator = np.random.default_rng(ese_layer.SEED)
    found: dict[str, np.ndarray] = {}
    for layer in range(layers):
        for end in ("", "_reverse")[:ways]:
            columns = {"ih": inputs if layer == 0 else ways * cells, "hh": cells}
            for name, count in columns.items():
                values = generator.normal(0, 0.1, (4 * cells, count))
                values *= generator.random(values.shape) < ese_layer.DENSITY
                found[f"lstm.weight_{name}_l{layer}{end}"] = values.astype(np.float32)
                bias = generator.uniform(-0.1, 0.1, 4 * cells) * (name == "ih")
                found[f"lstm.bias_{name}_l{layer}{end}"] = bias.astype(np.float32)
    return found


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of the processes that ``work`` starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fresh(project: Path, scratch: Path) -> Path:
    """A copy of the project that was never built."""
    copy = Path(tempfile.mkdtemp(dir=scratch)) / "project"
    return Path(shutil.copytree(project, copy, ignore=shutil.ignore_patterns("csim")))


def builds(project: Path, scratch: Path) -> dict[str, float]:
    """The four kinds of build, each with a cache of its own that holds what it may."""
    os.environ["PENSTOCK_CACHE"] = str(scratch / f"cache-{project.name}")
    figures = {"build_cpu_s": cpu(lambda: csim.build(project))}
    other = fresh(project, scratch)
    for path in (other / "kernel").glob("*.h"):
        path.write_text("// the same machine, and other weights\n" + path.read_text())
    figures["same_machine_cpu_s"] = cpu(lambda: csim.build(other))
    command = [csim.compiler(), *csim.FLAGS, *csim.include_flags(), "-DLATER"]
    for _ in range(compiling.COMPILES_BEFORE):
        compiling._precompiled(command, csim.ap_include())
    figures["headers_cpu_s"] = cpu(lambda: compiling._precompiled(command, csim.ap_include()))
    later = fresh(project, scratch)
    figures["later_build_cpu_s"] = cpu(lambda: csim.build(later, ("-DLATER",)))
    return figures


def ns_a_nonzero(folder: Path, scratch: Path, nonzeros: int) -> float:
    """CPU time of a step over its non-zeros; of all lanes together."""
    project, executable = load_project(folder), csim.build(folder)
    kind, ports = project.input_type, project.ports
    medians = []
    for steps in STEPS:
        shape = (ports.lanes, steps, project.inputs)
        x = np.random.default_rng(0).normal(0, kind.raw_max / 8, shape).astype(np.int64)
        call = Call(np.clip(x, kind.raw_min, kind.raw_max), np.full(ports.lanes, steps), 0, True)
        vectors = scratch / "vectors"
        vectors.write_bytes(vector_file([call], ports))
        run = functools.partial(csim.run_testbench, folder, executable, vectors)
        medians.append(statistics.median(cpu(run) for _ in range(RUNS)))
    return (medians[1] - medians[0]) / (STEPS[1] - STEPS[0]) / nonzeros * 1e9


def check_seconds(folder: Path) -> dict[str, float]:
    """Wall and CPU seconds of penstock check on a project that is built."""
    command, walls, cpus = [sys.executable, "-m", "penstock", "check", str(folder)], [], []
    run = functools.partial(subprocess.run, command, check=True, capture_output=True)
    for _ in range(RUNS):
        start = time.perf_counter()
        cpus.append(cpu(run))
        walls.append(time.perf_counter() - start)
    return {"check_wall_s": statistics.median(walls), "check_cpu_s": statistics.median(cpus)}


def measure(name: str, scratch: Path) -> dict[str, Any]:
    """One network's row."""
    tensors, options = NETWORKS[name]()
    model = scratch / "model.safetensors"
    save_file(tensors, model)
    project = scratch / NETWORKS[name].__name__
    command = [sys.executable, "-m", "penstock", "compile", str(model), "-o", str(project)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    totals = json.loads((project / "report.json").read_text())["totals"]
    figures = builds(project, scratch)
    figures |= check_seconds(project)
    figures["ns_a_nonzero"] = ns_a_nonzero(project, scratch, totals["nonzeros"])
    rounded = {key: round(max(value, 0.0), 2) for key, value in figures.items()}
    return {"network": name, "nonzeros": totals["nonzeros"], **rounded}


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table: a line for each, a column for each network."""
    names = [f"{row['network']} ({row['nonzeros']:,} non-zeros)" for row in rows]
    lines = [f"| | {' | '.join(names)} | goal |", "|---|" + "---:|" * len(rows) + "---|"]
    for key, title in TITLES.items():
        cells = " | ".join(f"{row[key]:.2f}" for row in rows)
        lines.append(f"| {title} | {cells} | {GOALS[key]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the figures into results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [measure(name, Path(scratch)) for name in NETWORKS]
    print(table(rows))
    if options.write:
        save(NAME, rows)


if __name__ == "__main__":
    main()
