"""Random networks, as a frontend gives them, on random hardware."""

from __future__ import annotations

import numpy as np
from support import random_model

from penstock import Hardware, Precision
from penstock.driver import Compiled, compile_model
from penstock.settings import ASSIGNMENTS


def draw(seed: int):
    """(model arguments, hardware arguments, precision arguments) of one case."""
    rng = np.random.default_rng(seed)

    def pick(*choices):
        return choices[rng.integers(len(choices))]

    layers = int(rng.integers(1, 4))
    pes = int(pick(1, 2, 3, 4, 6, 8, 12, 20))
    cells = tuple(int(rng.integers(pes, pes + 24)) for _ in range(layers))
    head = pick(None, int(rng.integers(1, 12)))
    model = {
        "inputs": int(rng.integers(1, 40)), "cells": cells,
        "outputs": pick(None, int(rng.integers(1, min(cells) + 1))),
        "bidirectional": [bool(rng.random() < 0.3) for _ in cells],
        "peephole": bool(rng.random() < 0.5), "density": float(pick(0.0, 0.05, 0.2, 0.6, 1.0)),
        "pes": pes, "head": head, "at": pick("step", "last", "final"),
        "activation": pick("none", "sigmoid", "argmax"), "g_function": pick("tanh", "sigma"),
        "seed": seed,
    }  # fmt: skip
    divisors = [units for units in range(1, min(pes, 16) + 1) if pes % units == 0]
    hardware = {
        "pes": pes, "lanes": int(pick(1, 1, 2, 4)), "elements_per_cycle": int(pick(*divisors)),
        "accumulator_banks": pick(None, 4, 8, 16), "hazard_distance": int(rng.integers(2, 10)),
        "assign": pick(*ASSIGNMENTS), "port_bits": int(pick(64, 128, 256, 512)),
        "index_bits": pick(None, None, int(rng.integers(1, 9))), "max_steps": 8,
        "overlap": pick(None, True, False), "weight_storage": pick("stream", "onchip", "auto"),
        "io": "stream" if seed % 3 == 0 else "memory",
    }  # fmt: skip
    if rng.random() < 0.2:  # left to the compiler
        hardware |= {"pes": None, "elements_per_cycle": None, "port_bits": None}
        hardware["board"] = pick(None, "pynq-z2", "kv260")
    elif rng.random() < 0.3:
        hardware |= {"dataflow": "broadcast", "queue_depth": pick(None, 1, 3), "overlap": None}
    elif np.random.default_rng((seed, 1)).random() < 0.25:
        hardware |= {
            "dataflow": "bank",
            "rows": int(pick(4, 8, 16)),
            "banks": int(pick(1, 2, 4, 8)),
            "interleave": int(pick(*(turns for turns in (1, 2, 4) if turns <= hardware["lanes"]))),
        }
        if hardware["interleave"] > 1:
            hardware["weight_storage"] = "onchip"
        hardware |= dict.fromkeys(("pes", "index_bits", "overlap", "elements_per_cycle"))
    precision = {
        "weights": int(rng.integers(2, 19)), "biases": int(rng.integers(4, 25)),
        "inputs": int(rng.integers(4, 25)), "gates": int(rng.integers(4, 19)),
        "cell_state": int(rng.integers(4, 25)), "outputs": int(rng.integers(4, 19)),
        "logits": int(rng.integers(4, 25)), "table_entries": int(pick(64, 256, 2048)),
        "interpolate_bits": int(pick(0, 0, 1, 4, 8)), "row_scales": bool(rng.random() < 0.5),
    }  # fmt: skip
    if rng.random() < 0.3:  # rows heavier than a PE's share
        model["full_cell"] = sorted({int(rng.integers(min(cells))) for _ in range(2)})
    return model, hardware, precision


def compile_network(seed: int) -> Compiled:
    """Draw a network and compile it. Raises PenstockError."""
    model, hardware, precision = draw(seed)
    network = random_model(**model)
    return compile_model(network, None, Hardware(**hardware), Precision(**precision))
