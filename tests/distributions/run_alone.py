"""In an environment with ``penstock-runtime`` alone: run a project that was compiled elsewhere.

Run by ``distributions.py``. Prints the engines that gave the results of the compiling side.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import penstock
from penstock_runtime import Interpreter, Session

folder = Path(sys.argv[1])
for module in ("jinja2", "networkx", "penstock.driver", "torch", "typer"):
    assert find_spec(module) is None, module
try:
    _ = penstock.compile
except penstock.PenstockError as error:
    assert "penstock-runtime does not have" in error.line()
else:
    raise AssertionError("penstock.compile is there")

x, raw = np.load(folder / "x.npy"), np.load(folder / "raw.npy")
engines = []
for engine in ("numpy", "auto"):
    interpreter = Interpreter(folder / "project", engine=engine)
    assert np.array_equal(interpreter.run(x).raw, raw), engine
    session = Session(interpreter, sequences=len(x))
    values = np.stack([session.step(x[:, step]) for step in range(x.shape[1])], axis=1)
    assert np.array_equal(values, interpreter.run(x).values), engine
    engines.append(interpreter.engine)
print(*dict.fromkeys(engines))
