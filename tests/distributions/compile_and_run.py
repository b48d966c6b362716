"""In an environment with ``penstock``, without torch: compile into a folder, run, keep the results.

Run by ``distributions.py``. Prints a digest of the project without its report: the same with every
Python.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import penstock
from penstock_runtime import Interpreter

folder = Path(sys.argv[1])
generator = np.random.default_rng(0)
shapes = {
    "weight_ih_l0": (32, 3), "weight_hh_l0": (32, 8), "bias_ih_l0": (32,), "bias_hh_l0": (32,)
}  # fmt: skip
tensors = {name: generator.normal(0, 0.3, shape) for name, shape in shapes.items()}
model = penstock.frontend.from_state_dict(tensors)
project = penstock.compile(model, hardware=penstock.Hardware(pes=4)).write(folder / "project")
x = generator.normal(0, 1, (2, 5, 3))
result = Interpreter(project).run(x)
error = np.abs(result.values - model.run(x)).max()
assert error < 0.02, error
np.save(folder / "x.npy", x)
np.save(folder / "raw.npy", result.raw)
files = json.loads((project / "penstock.json").read_text())["files"]
for name in ("report.html", "report.json"):  # which name the version of NumPy
    del files[name]
print(hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest())
