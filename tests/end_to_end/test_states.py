"""States of many layers, in the order of PyTorch's arrays."""

from __future__ import annotations

import numpy as np
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock_runtime import Interpreter

LAYERS = 11


def test_the_eleventh_layers_states_stand_behind_the_tenths(tmp_path):
    """By their names, those of l10 would stand before those of l2."""
    model = random_model(cells=(2,) * LAYERS)
    interpreter = Interpreter(compile_model(model, None, Hardware(pes=1)).write(tmp_path / "p"))
    x, generator = np.zeros((1, 1, 5)), np.random.default_rng(0)
    given = tuple(generator.uniform(-0.9, 0.9, (LAYERS, 1, 2)) for _ in range(2))
    named = {
        f"l{k}.{part}": array[k] for part, array in zip("yc", given, strict=True)
        for k in range(LAYERS)
    }  # fmt: skip
    results = [interpreter.run(x, state=state) for state in (given, named)]
    assert (results[0].values == results[1].values).all()
    h, c = interpreter.hidden(results[0].state)
    for k in range(LAYERS):
        kinds = {part: interpreter.project.graph[f"l{k}.{part}"] for part in "c"}
        assert (c[k] == kinds["c"].tensor.type.to_float(results[0].state[f"l{k}.c"])).all()
    assert h.shape == (LAYERS, 1, 2)
