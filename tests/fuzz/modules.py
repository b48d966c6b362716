"""Random modules: what is compiled equals torch, or it is refused.

``python tests/fuzz/modules.py N``: the first N seeds.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fuzz.random_modules import INPUTS, LANES, STEPS, Drawn

from penstock.calibration import calibrate
from penstock.errors import PenstockError
from penstock.frontend import from_module
from penstock.ir.evaluate import evaluate
from penstock.lowering import lower
from penstock.settings import Precision

FINE = Precision(weights=18, biases=24, inputs=24, gates=24, cell_state=24, outputs=24, logits=24,
                 table_entries=4096, interpolate_bits=8)  # fmt: skip
"""Formats of so many bits that what is left of the error is no error of the network."""
BOUND = 2e-3
"""Of the greatest result, in these formats."""


def outcome(seed: int) -> tuple[str, str]:
    """(equal, refused or wrong; the reason) of one module."""
    module = Drawn(seed).eval()
    words = " > ".join(module.words)
    x = np.random.default_rng(seed).normal(0, 1, (LANES, STEPS, INPUTS))
    with torch.no_grad():
        expected = module(torch.tensor(x).to(torch.get_default_dtype())).double().numpy()
    try:
        model = from_module(module, calibration=x)
        graph = lower(model, calibrate(model, x), FINE)
    except PenstockError as refusal:
        return "refused", f"{words}: {refusal}"
    except ValueError as refusal:  # these formats can't be combined
        return "refused", f"{words}: {refusal}"
    raw = evaluate(graph, graph["x"].tensor.type.quantize(x), np.full(LANES, STEPS)).y
    got = graph["y"].tensor.type.to_float(raw).reshape(expected.shape)
    if "softmax of the result runs on the host" in model.notes:
        got = torch.softmax(torch.from_numpy(got), -1).numpy()
    error = np.abs(got - expected).max()
    peak = max(1.0, np.abs(expected).max())
    kind = "equal" if error <= BOUND * peak else "wrong"
    return kind, f"{words}: error {error:.2g} of {peak:.2g}"


def main() -> int:
    """Draw modules from seed 0 on, and print what is wrong and what was refused how often."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    warnings.simplefilter("ignore")
    found: dict[str, int] = {}
    for seed in range(count):
        kind, reason = outcome(seed)
        found[kind] = found.get(kind, 0) + 1
        if kind == "wrong" or "-v" in sys.argv:
            print(seed, kind, reason, flush=True)
    print(", ".join(f"{number} {kind}" for kind, number in sorted(found.items())))
    return int("wrong" in found)


if __name__ == "__main__":
    sys.exit(main())
