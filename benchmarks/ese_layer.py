"""ESE's layer, end to end: compile, C simulation, check; the figures of docs/results.md.

    python benchmarks/ese_layer.py [--write]

Weights are random (seeded), pruned to 10 % density, balanced over the PEs: Han et al. (FPGA 2017)
published no checkpoint. Each command runs in a process of its own; CPU seconds and peak memory are
those of that process and its children. ``--write`` puts the table into docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from story import RESULTS, replace_section

from penstock.compress import pe_balanced_mask

INPUTS, CELLS, PROJECTION, DENSITY, PES, SEED = 153, 1024, 512, 0.1, 32, 2017
STEPS = 4
ESE_CYCLES = 16_540


def tensors(
    pes: int = PES, inputs: int = INPUTS, cells: int = CELLS, projection: int = PROJECTION
) -> dict[str, np.ndarray]:
    """A state dict of ESE's shape, or another; its masks are balanced over so many PEs."""
    generator = np.random.default_rng(SEED)

    def matrix(rows, columns):
        values = generator.normal(0, 0.1, (rows, columns))
        return values * pe_balanced_mask(values, DENSITY, pes)

    def gates(columns):
        return np.concatenate([matrix(cells, columns) for _ in range(4)]).astype(np.float32)

    found = {
        "lstm.weight_ih_l0": gates(inputs),
        "lstm.weight_hh_l0": gates(projection),
        "lstm.weight_hr_l0": matrix(projection, cells).astype(np.float32),
        "lstm.bias_ih_l0": generator.uniform(-0.1, 0.1, 4 * cells).astype(np.float32),
        "lstm.bias_hh_l0": np.zeros(4 * cells, np.float32),
    }
    for gate in "ifo":
        found[f"lstm.weight_{gate}c_l0"] = generator.uniform(-0.1, 0.1, cells).astype(np.float32)
    return found


def checkpoint(folder: Path) -> Path:
    """The state dict as a safetensors file."""
    path = folder / "ese.safetensors"
    save_file(tensors(), path)
    return path


def timed(*command: str) -> tuple[float, float, str]:
    """(wall seconds, CPU seconds, output) of ``penstock`` with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *command], capture_output=True, text=True
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def peak_megabytes() -> float:
    """Greatest resident set of any child so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def seconds_a_step(project: Path) -> float:
    """Median CPU seconds of one step of C simulation, from runs of the built test bench."""
    (executable,) = (project / "csim").glob("lstm_tb_*")
    calls_and_steps = 2 * 3  # the golden vectors: two calls of three steps
    runs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([executable.resolve()], cwd=project, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        runs.append((after.ru_utime - before.ru_utime) / calls_and_steps)
    return float(np.median(runs))


def index_bits_lines(folder: Path, model: Path) -> list[tuple[str, str, str]]:
    """What each fixed gap width costs."""
    lines = []
    for bits in (4, 5, 6, 7):
        project = folder / f"bits{bits}"
        options = ("--pes", str(PES), "--index-bits", str(bits))
        timed("compile", str(model), "-o", str(project), *options)
        totals = json.loads((project / "report.json").read_text())["totals"]
        cost = f"{totals['words']:,} words, {totals['bits_per_nonzero']:.2f} bits per non-zero"
        lines.append((f"with {bits} index bits", cost, ""))
    return lines


def measure() -> list[tuple[str, str, str]]:
    """(what, measured, wanted) lines."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["PENSTOCK_CACHE"] = str(folder / "cache")  # a build is to be a build
        project = folder / "project"
        model = checkpoint(folder)
        wall, cpu, _ = timed("compile", str(model), "-o", str(project), "--pes", str(PES))
        compile_peak = peak_megabytes()
        size = sum(path.stat().st_size for path in project.rglob("*") if path.is_file())
        weights = sum(path.stat().st_size for path in project.glob("weights/group_*.bin"))
        build_wall, build_cpu, golden = timed("csim", str(project))
        step = seconds_a_step(project)
        check_wall, _, checked = timed("check", str(project), "--steps", str(STEPS))
        widths = index_bits_lines(folder, model)
        manifest = json.loads((project / "weights/manifest.json").read_text())
        report = json.loads((project / "report.json").read_text())
    cycles, bound = report["timeline"]["cycles_per_step"], report["timeline"]["bound_per_step"]
    nonzeros = report["totals"]["nonzeros"]
    codes = ", ".join(f"{p['name']} {p['format']['index_bits']}" for p in manifest["phases"])
    return [
        ("compile, checkpoint to project", f"{wall:.1f} s ({cpu:.1f} s CPU)", "<= 10 s"),
        ("its peak memory", f"{compile_peak:,.0f} MB", "<= 1,000 MB"),
        ("project folder", f"{size / 1e6:.2f} MB", "<= 5 MB"),
        ("cycles per step by the timeline", f"{cycles:,}", "<= 10,300"),
        ("the same against the bound", f"{cycles / bound:.3f} x {bound:,}", ""),
        ("ESE (82.7 us at 200 MHz)", f"{ESE_CYCLES:,} cycles", ""),
        ("index bits chosen", codes, ""),
        ("weight bits per true non-zero", f"{8 * weights / nonzeros:.2f}", ""),
        *widths,
        ("C simulation: build", f"{build_wall:.1f} s ({build_cpu:.1f} s CPU)", "<= 20 s"),
        ("C simulation: one step", f"{step:.3f} s CPU", "<= 0.5 s"),
        (f"penstock check, {STEPS} steps a call", f"{check_wall:.1f} s", ""),
        ("its verdict", line_with(checked, "values compared"), line_with(checked, "PASS")),
        ("golden vectors", golden.strip().splitlines()[-1], "PASS"),
    ]


def line_with(text: str, word: str) -> str:
    """The only line that says so."""
    (line,) = (line for line in text.splitlines() if word in line)
    return line


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    options = parser.parse_args()
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    lines += [f"| {what} | {measured} | {wanted} |" for what, measured, wanted in measure()]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines += ["", f"Printed by `make bench` on {date.today()}, {machine}; seed {SEED}."]
    text = "\n".join(lines)
    print(text)
    if options.write:
        replace_section(RESULTS, "ese_layer", text)


if __name__ == "__main__":
    main()
