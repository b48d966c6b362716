"""Random networks on random hardware: compile, check against C simulation, stop at a difference.

    python tests/fuzz/fuzz.py --seconds 600 [--seed N]

Every case prints the line that makes it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.driver import compile_model
from penstock_runtime import load_project
from penstock_runtime.compare import check


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
        "accumulator_banks": pick(None, 4, 8, 16), "hazard_distance": int(rng.integers(1, 10)),
        "assign": pick("best", "interleave", "balance"), "port_bits": int(pick(128, 256, 512)),
        "index_bits": pick(None, None, int(rng.integers(1, 9))), "max_steps": 8,
    }  # fmt: skip
    precision = {
        "weights": int(rng.integers(2, 19)), "biases": int(rng.integers(4, 25)),
        "inputs": int(rng.integers(4, 25)), "gates": int(rng.integers(4, 19)),
        "cell_state": int(rng.integers(4, 25)), "outputs": int(rng.integers(4, 19)),
        "logits": int(rng.integers(4, 25)), "table_entries": int(pick(64, 256, 2048)),
        "interpolate_bits": int(pick(0, 0, 1, 4, 8)), "row_scales": bool(rng.random() < 0.5),
    }  # fmt: skip
    return model, hardware, precision


def run_case(seed: int) -> str | None:
    """None if the case agrees, or was refused in an orderly way; else what went wrong."""
    model, hardware, precision = draw(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "project"
        try:
            compile_model(
                random_model(**model), None, Hardware(**hardware), Precision(**precision)
            ).write(folder)
        except PenstockError as error:
            print(f"  refused: {error}")
            return None
        result = check(load_project(folder), steps=3, seed=seed)
        return None if result.passed else str(result.difference)


def main() -> int:
    """Run cases for the given time; exit status 1 at the first difference."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    end, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end:
        print(f"--seed {seed}: {draw(seed)}", flush=True)
        try:
            wrong = run_case(seed)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            print(f"FAIL with --seed {seed}: {wrong}")
            return 1
        seed += 1
    print(f"PASS: {seed - options.seed} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
