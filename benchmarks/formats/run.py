"""How far compiled networks are from their float originals, by range method and width.

    python benchmarks/formats/run.py [--write]

Random networks of four kinds stand in for trained ones: heavy-tailed frames, forget gates that
hold for long, outliers in one frame of a thousand. They are calibrated on short sequences and
measured on longer ones of the same kind. Printed is the root mean square error of the output, in
units of 10**-3, as a geometric mean over the networks. ``--write`` puts the table into
docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))
from story import RESULTS, replace_section

from penstock.calibration import calibrate
from penstock.fixed import FloatArray
from penstock.ir.evaluate import evaluate
from penstock.layers import Gru, Lstm
from penstock.lowering import lower
from penstock.model import RecurrentModel, stack
from penstock.settings import RANGE_METHODS, Precision

INPUTS, CELLS, NETWORKS = 6, 16, 6
CALIBRATION, MEASURED = (8, 40), (16, 160)
KINDS = ("plain", "slow", "outliers", "gru")
WIDTHS = (16, 12, 8)


def network(kind: str, generator: np.random.Generator) -> RecurrentModel:
    """One recurrent layer of weights and biases as training leaves them."""
    gates = "rzn" if kind == "gru" else "ifgo"

    def weights(columns: int) -> dict[str, FloatArray]:
        scale = 1.5 / np.sqrt(columns)
        return {gate: generator.laplace(0, scale, (CELLS, columns)) for gate in gates}

    w_x, w_r = weights(INPUTS), weights(CELLS)
    if kind == "gru":
        bias = {name: generator.normal(0, 0.3, CELLS) for name in ("r", "z", "nx", "nr")}
        return stack([Gru(w_x, w_r, bias)])
    bias = {gate: generator.normal(0, 0.3, CELLS) for gate in gates}
    if kind == "slow":
        bias["f"] += generator.uniform(3, 9, CELLS)
        bias["i"] -= 2
    return stack([Lstm(w_x, w_r, bias)])


def frames(kind: str, shape: tuple[int, int], generator: np.random.Generator) -> FloatArray:
    """(sequences, steps, inputs) of values that follow one another smoothly."""
    x = generator.laplace(0, 0.7, (*shape, INPUTS))
    for t in range(1, shape[1]):
        x[:, t] = 0.6 * x[:, t - 1] + 0.8 * x[:, t]
    if kind == "outliers":
        x *= np.where(generator.random(x.shape) < 0.001, 20.0, 1.0)
    return x


def errors(precision: Precision, kind: str) -> Iterator[float]:
    """The error of each network of a kind."""
    for seed in range(NETWORKS):
        generator = np.random.default_rng(seed)
        model = network(kind, generator)
        ranges = calibrate(model, frames(kind, CALIBRATION, generator))
        x = frames(kind, MEASURED, generator)
        graph = lower(model, ranges, precision)
        raw = evaluate(graph, graph["x"].tensor.type.quantize(x), np.full(len(x), x.shape[1])).y
        y = graph["y"].tensor.type.to_float(raw)
        yield float(np.sqrt(np.mean((y - model.run(x)) ** 2)))


def mean_error(method: str, width: int, kind: str) -> float:
    """Geometric mean over the networks of a kind, in units of 10**-3."""
    widths = dict.fromkeys(("inputs", "gates", "cell_state", "outputs"), width)
    found = list(errors(Precision(range_method=method, **widths), kind))
    return float(1000 * np.exp(np.mean(np.log(found))))


def table() -> str:
    """Markdown, a row for each width and kind of network."""
    lines = ["| bits | network | " + " | ".join(RANGE_METHODS) + " |"]
    lines.append("|---:|---|" + "---:|" * len(RANGE_METHODS))
    for width, kind in product(WIDTHS, KINDS):
        cells = [f"{mean_error(method, width, kind):.2f}" for method in RANGE_METHODS]
        lines.append(f"| {width} | {kind} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines += ["", f"Printed by `make bench` on {date.today()}, {machine}."]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    arguments = parser.parse_args()
    text = table()
    if arguments.write:
        replace_section(RESULTS, "formats", text)


if __name__ == "__main__":
    main()
