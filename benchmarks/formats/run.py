"""How far compiled networks are from their float originals, by range method and width.

    python benchmarks/formats/run.py

Random networks of four kinds stand in for trained ones: heavy-tailed frames, forget gates that
hold for long, outliers in one frame of a thousand. They are calibrated on short sequences and
measured on longer ones of the same kind. Printed is the root mean square error of the output, in
units of 10**-3, as a geometric mean over the networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

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


def main() -> None:
    """Print the table."""
    print(f"{'bits':>4} {'network':9}" + "".join(f"{method:>12}" for method in RANGE_METHODS))
    for width, kind in product(WIDTHS, KINDS):
        cells = []
        for method in RANGE_METHODS:
            widths = dict.fromkeys(("inputs", "gates", "cell_state", "outputs"), width)
            precision = Precision(range_method=method, **widths)
            found = list(errors(precision, kind))
            cells.append(1000 * np.exp(np.mean(np.log(found))))
        print(f"{width:4} {kind:9}" + "".join(f"{cell:12.2f}" for cell in cells))


if __name__ == "__main__":
    main()
