"""Run by ``make wheel``, outside the checkout and without torch: compile and run."""

import tempfile
from pathlib import Path

import numpy as np

import penstock
from penstock_runtime import Interpreter

generator = np.random.default_rng(0)
tensors = {
    "weight_ih_l0": generator.normal(0, 0.3, (32, 3)),
    "weight_hh_l0": generator.normal(0, 0.3, (32, 8)),
    "bias_ih_l0": generator.normal(0, 0.3, 32),
    "bias_hh_l0": generator.normal(0, 0.3, 32),
}
model = penstock.frontend.from_state_dict(tensors)
with tempfile.TemporaryDirectory() as scratch:
    compiled = penstock.compile(model, hardware=penstock.Hardware(pes=4))
    folder = compiled.write(Path(scratch) / "project")
    x = generator.normal(0, 1, (2, 5, 3))
    error = np.abs(Interpreter(folder).run(x).values - model.run(x)).max()
assert error < 0.02, error
print(f"wheel: compiled and run, within {error:.1e} of float")
