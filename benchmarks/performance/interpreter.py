"""The interpreter beside torch, SciPy, C simulation and hls4ml's emulation, on the same networks.

    python benchmarks/performance/interpreter.py [--quick]

Every row is measured in a process of its own, in which all contenders take turns, so that they see
the same machine; figures are medians. With one thread they are CPU time, which a busy machine
changes least; with two, wall time. The rows go into results/interpreter.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from children import save, timed
from networks import ESE, SMALL, Shape, frames, lstm, peers, project, tensors

NAME = "interpreter"
OURS = "Penstock"
BATCHES, STEPS, FEWEST_STEPS, ROUNDS = (1, 8, 32, 128), 30, 16, 9
DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SIZES = (64, 128, 256, 512, 1024, 2048)
STREAMED = 300
HLS4ML = Shape(16, 256, density=1.0)
HLS4ML_FRAMES = (8, 16)


def measured(functions: dict[str, Callable[[], Any]], rounds: int, clock: Any) -> dict[str, float]:
    """Name -> median seconds; all take turns, after a turn that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            start = clock()
            function()
            if turn:
                taken[name].append(clock() - start)
    return {name: statistics.median(own) for name, own in taken.items()}


def batch(
    shape: Shape,
    folder: Path,
    sequences: int,
    threads: int,
    rounds: int,
    has_peers: bool = True,
) -> dict[str, Any]:
    """Milliseconds a step of ``sequences`` side by side."""
    import torch

    from penstock_runtime import Interpreter
    from penstock_runtime.engines.native import NativeEngine

    torch.set_num_threads(threads)
    steps = max(STEPS * 8 // max(sequences, 8), FEWEST_STEPS)
    x = frames(shape, sequences, steps)
    interpreter = Interpreter(folder, engine=NativeEngine(threads=threads))
    functions = {OURS: lambda: interpreter.run(x)}
    if has_peers:
        functions |= {name: lambda run=run: run(x) for name, run in peers(shape).items()}
    clock = time.process_time if threads == 1 else time.perf_counter
    found = measured(functions, rounds, clock)
    return {name: round(1000 * seconds / steps, 5) for name, seconds in found.items()}


def streamed(shape: Shape, folder: Path, rounds: int) -> dict[str, Any]:
    """Microseconds a frame, one a call."""
    import torch

    from penstock_runtime import Interpreter, Session

    torch.set_num_threads(1)
    x = frames(shape, 1, STREAMED)[0]
    session = Session(Interpreter(folder))
    reference = Session(Interpreter(folder, engine="numpy"))
    layer = lstm(shape, tensors(shape))
    rows = [torch.from_numpy(frame[None, None]) for frame in x]

    def through(own: Session) -> None:
        for frame in x:
            own.step(frame)

    def by_layer() -> None:
        state = None
        for row in rows:
            _, state = layer(row, state)

    functions: dict[str, Callable[[], Any]] = {
        f"{OURS}, Session.step": lambda: through(session),
        f"{OURS}, Session.step on NumPy": lambda: through(reference),
        "torch.nn.LSTM": by_layer,
    }
    if not shape.projection:
        cell = torch.nn.LSTMCell(shape.inputs, shape.cells)
        functions["torch.nn.LSTMCell"] = lambda: by_cell(cell, rows, shape.cells)
    with torch.no_grad():
        found = measured(functions, rounds, time.process_time)
    return {name: round(1e6 * seconds / STREAMED, 2) for name, seconds in found.items()}


def by_cell(cell: Any, rows: list[Any], cells: int) -> None:
    """Frames one by one through torch.nn.LSTMCell."""
    import torch

    state = torch.zeros(1, cells), torch.zeros(1, cells)
    for row in rows:
        state = cell(row[0], state)


def simulated(folder: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds a step of one sequence, in C simulation (g++, built before) and here."""
    from penstock_runtime import Interpreter
    from penstock_runtime.csim import build, run_testbench
    from penstock_runtime.engines.native import NativeEngine
    from penstock_runtime.golden import read_golden

    executable = build(folder)
    interpreter = Interpreter(folder, engine=NativeEngine(threads=1))
    steps = sum(int(call.lengths.sum()) for call in read_golden(interpreter.project))
    shape = (1, 200, interpreter.project.inputs)
    x = np.random.default_rng(0).normal(0, 1, shape)
    found = measured(
        {
            OURS: lambda: interpreter.run(x),
            "C simulation": lambda: run_testbench(folder, executable),
        },
        rounds,
        time.perf_counter,
    )
    return {
        OURS: round(1000 * found[OURS] / 200, 4),
        "C simulation": round(1000 * found["C simulation"] / steps, 4),
    }


def emulated(folder: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds of hls4ml's emulation of a dense layer, and of the interpreter."""
    import hls4ml
    import torch

    from penstock_runtime import Interpreter
    from penstock_runtime.engines.native import NativeEngine

    layer = wrapped(lstm(HLS4ML, tensors(HLS4ML)))
    sequences, steps = HLS4ML_FRAMES
    config = hls4ml.utils.config_from_pytorch_model(
        layer, input_shape=(steps, HLS4ML.inputs), granularity="model"
    )
    with tempfile.TemporaryDirectory() as scratch:
        model = hls4ml.converters.convert_from_pytorch_model(
            layer, hls_config=config, output_dir=scratch, backend="Vitis", io_type="io_parallel"
        )
        model.compile()
        x = np.ascontiguousarray(frames(HLS4ML, sequences, steps))
        interpreter = Interpreter(folder, engine=NativeEngine(threads=1))
        found = measured(
            {OURS: lambda: interpreter.run(x), "hls4ml": lambda: model.predict(x)},
            rounds,
            time.process_time,
        )
    del torch
    return {name: round(1000 * seconds, 3) for name, seconds in found.items()}


def wrapped(layer: Any) -> Any:
    """A module of one layer, as hls4ml's parser wants it."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = layer

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0]

    return Module()


KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "batch": batch, "streamed": streamed, "simulated": simulated, "emulated": emulated,
}  # fmt: skip


def child(kind: str, library_threads: int, **arguments: Any) -> dict[str, Any]:
    """One row, measured in a process of its own, whose libraries have so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = dict.fromkeys(names, str(library_threads))
    done = timed(
        sys.executable, "-W", "ignore", __file__, "--child", kind, json.dumps(arguments),
        environment=environment,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return found


def run_child(kind: str, text: str) -> None:
    """What ``child`` starts."""
    arguments = json.loads(text)
    if "shape" in arguments:
        arguments["shape"] = Shape(**arguments["shape"])
    arguments["folder"] = Path(arguments["folder"])
    print(json.dumps(KINDS[kind](**arguments)))


def rows(scratch: Path, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Everything that interpreter.json holds."""
    found: list[dict[str, Any]] = []

    def add(series: str, kind: str, shape: Shape, threads: int = 1, **arguments: Any) -> None:
        folder = str(project(shape, scratch))
        if kind in ("batch", "streamed"):
            arguments["shape"] = asdict(shape)
        if kind == "batch":
            arguments["threads"] = threads
        got = child(kind, threads, folder=folder, rounds=rounds, **arguments)
        row = {
            "series": series, "cells": shape.cells, "density": shape.density, "threads": threads,
            "sequences": arguments.get("sequences", 1), "took": got,
        }  # fmt: skip
        found.append(row)
        print(json.dumps(row), flush=True)

    for threads in (1, 2):
        for sequences in BATCHES:
            add("batch", "batch", ESE, threads, sequences=sequences)
    for shape in (SMALL, ESE):
        add("streamed", "streamed", shape)
    add("simulated", "simulated", ESE)
    if find_spec("hls4ml") is not None:
        add("emulated", "emulated", HLS4ML)
    if not quick:
        for sequences in (1, 32):
            for density in DENSITIES:
                add("density", "batch", replace(ESE, density=density), sequences=sequences)
            for cells in SIZES:
                add("size", "batch", Shape(cells, cells), sequences=sequences)
    return found


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="neither densities nor sizes")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(*given.child)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        save(NAME, rows(Path(scratch), given.rounds, given.quick))
    return 0


if __name__ == "__main__":
    sys.exit(main())
