"""What a compile and the loading of its project take, by the size of the network.

    python benchmarks/performance/compile_scale.py [--millions 1 3 10 30 99] [--print]

One LSTM layer of as many cells as inputs, random weights (seeded) at 10 % density, balanced over 32
PEs; and ESE's layer. Each command runs in a process of its own, its start included. The rows go
into results/compile.json; ``--print`` only prints the table that they make.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from children import load, penstock, save, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

NAME = "compile"
MILLIONS = (1, 3, 10, 30, 99)
PES, DENSITY, SEED = 32, 0.1, 1
LOADING = """
import resource, sys, time
from penstock_runtime.project import load_project
start, wall = time.process_time(), time.perf_counter()
load_project(sys.argv[1])
print(time.process_time() - start, time.perf_counter() - wall)
"""


def lstm(millions: float) -> dict[str, np.ndarray]:
    """A state dict of about so many million dense weights."""
    from penstock.compress import pe_balanced_mask

    size = max(round((millions * 1e6 / 8) ** 0.5 / PES), 1) * PES
    generator = np.random.default_rng(SEED)

    def gates() -> np.ndarray:
        stacked = np.empty((4 * size, size), np.float32)
        for rows in np.split(stacked, 4):
            rows[:] = generator.normal(0, 0.1, (size, size))
            rows *= pe_balanced_mask(rows, DENSITY, PES)
        return stacked

    return {
        "lstm.weight_ih_l0": gates(), "lstm.weight_hh_l0": gates(),
        "lstm.bias_ih_l0": np.zeros(4 * size, np.float32),
        "lstm.bias_hh_l0": np.zeros(4 * size, np.float32),
    }  # fmt: skip


def write_checkpoint(millions: float | None, path: Path) -> None:
    """The state dict of one row as a file; without a number, ESE's layer."""
    from ese_layer import tensors
    from safetensors.numpy import save_file

    save_file(tensors() if millions is None else lstm(millions), path)


def measured(name: str, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """The row of one network."""
    project = folder / "project"
    compiled = penstock("compile", str(checkpoint), "-o", str(project), "--pes", str(PES))
    loaded = timed(sys.executable, "-c", LOADING, str(project))
    totals = json.loads((project / "report.json").read_text())["totals"]
    loading_cpu, loading_wall = map(float, loaded.output.split())
    files = [path for path in project.rglob("*") if path.is_file()]
    return {
        "network": name, "weights": totals["weights"], "nonzeros": totals["nonzeros"],
        "compile_wall_s": round(compiled.wall_seconds, 2),
        "compile_cpu_s": round(compiled.cpu_seconds, 2),
        "compile_peak_mb": round(compiled.peak_mb),
        "folder_mb": round(sum(path.stat().st_size for path in files) / 1e6, 2),
        "load_cpu_s": round(loading_cpu, 2), "load_wall_s": round(loading_wall, 2),
        "load_peak_mb": round(loaded.peak_mb),
    }  # fmt: skip


def measure(millions: Sequence[float | None]) -> list[dict[str, Any]]:
    """A row for each network; None: ESE's layer."""
    rows = []
    for count in millions:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "network.safetensors"
            size = [] if count is None else [str(count)]
            timed(sys.executable, __file__, "--checkpoint", str(checkpoint), *size)
            name = "ESE's layer" if count is None else f"LSTM, {count:g} M"
            rows.append(measured(name, checkpoint, Path(folder)))
            print(rows[-1], flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| network | dense weights | non-zeros | compile, s wall | s CPU | peak, MB | folder, MB "
        "| load, s CPU | peak, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['network']} | {row['weights'] / 1e6:.2f} M | {row['nonzeros'] / 1e6:.3f} M "
        f"| {row['compile_wall_s']:.1f} | {row['compile_cpu_s']:.1f} "
        f"| {row['compile_peak_mb']:,} | {row['folder_mb']:.1f} "
        f"| {row['load_cpu_s']:.2f} | {row['load_peak_mb']:,} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="*", default=MILLIONS)
    parser.add_argument("--print", action="store_true", help="only what was measured before")
    parser.add_argument("--checkpoint", nargs="+", help=argparse.SUPPRESS)  # path, millions
    arguments = parser.parse_args()
    if arguments.checkpoint:
        path, *count = arguments.checkpoint
        write_checkpoint(float(count[0]) if count else None, Path(path))
        return
    if not arguments.print:
        save(NAME, measure([None, *arguments.millions]))
    print(table(load(NAME)["rows"]))


if __name__ == "__main__":
    main()
