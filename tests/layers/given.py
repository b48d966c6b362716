"""One of every layer, with all that its kind can have, and networks of them."""

from __future__ import annotations

import numpy as np
from support import random_direction

from penstock import Precision
from penstock.calibration import calibrate
from penstock.ir.evaluate import evaluate
from penstock.layers import (
    Activation,
    Clamp,
    DenseHead,
    Gru,
    Linear,
    Pool,
    Product,
    Relu,
    Rnn,
    Sum,
)
from penstock.layers.gru import GATES
from penstock.lowering import lower
from penstock.model import stack

INPUTS = 5


def random_linear(generator, inputs, outputs, bias=True):
    weight = generator.normal(0, inputs**-0.5, (outputs, inputs))
    return Linear(weight, generator.uniform(-0.5, 0.5, outputs) if bias else None)


def random_gru(generator, inputs, cells):
    def gates(columns):
        return {gate: generator.normal(0, columns**-0.5, (cells, columns)) for gate in GATES}

    bias = {name: generator.uniform(-0.5, 0.5, cells) for name in ("r", "z", "nx", "nr")}
    return Gru(gates(inputs), gates(cells), bias)


def random_rnn(generator, inputs, cells, nonlinearity="tanh"):
    w_x, w_r = (generator.normal(0, 0.7 * n**-0.5, (cells, n)) for n in (inputs, cells))
    bias = generator.uniform(-0.5, 0.5, cells)
    return Rnn({"h": w_x}, {"h": w_r}, {"h": bias}, nonlinearity)


def random_head(generator, inputs, activation="none"):
    return DenseHead(generator.normal(0, 1, (3, inputs)), generator.normal(0, 0.2, 3), activation)


EXAMPLES = {
    "Lstm": lambda g, inputs: random_direction(g, inputs, 8, 6, peephole=True),
    "Gru": lambda g, inputs: random_gru(g, inputs, 8),
    "Rnn": lambda g, inputs: random_rnn(g, inputs, 8),
    "Linear": lambda g, inputs: random_linear(g, inputs, 7),
    "DenseHead": random_head,
    "Activation": lambda g, inputs: Activation(inputs, "sigma"),
    "Relu": lambda g, inputs: Relu(inputs),
    "Clamp": lambda g, inputs: Clamp(inputs, -0.3, 0.7),
    "Sum": lambda g, inputs: Sum(inputs, 1),
    "Product": lambda g, inputs: Product(inputs, 1),
    "Pool": lambda g, inputs: Pool(inputs, "mean"),
}
"""Class -> (generator, inputs) -> a layer of it."""


def example(kind, inputs=INPUTS):
    return EXAMPLES[kind](np.random.default_rng(1), inputs)


def network(*layers, at="step"):
    """A stack; a pair is a bidirectional layer, and a head stands at the end."""
    head = layers[-1] if isinstance(layers[-1], DenseHead) else None
    return stack(layers[:-1] if head else layers, head, at)


def frames(inputs=INPUTS):
    return np.random.default_rng(0).normal(0, 1, (4, 6, inputs))


def lowered(model, precision=None):
    return lower(model, calibrate(model, frames(model.inputs)), precision or Precision())


def bit_true(graph, x, lengths=None):
    """What the interpreter gives, as real numbers."""
    lengths = np.full(len(x), x.shape[1]) if lengths is None else lengths
    raw = evaluate(graph, graph["x"].tensor.type.quantize(x), lengths).y
    return graph["y"].tensor.type.to_float(raw)
