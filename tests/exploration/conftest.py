"""A small network as a checkpoint, and explorations of it that several tests look at."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file
from support import random_model

from penstock.compress import pe_balanced_mask
from penstock.exploration import explore

AXES = {
    "pes": [2, 8, 512],
    "weights": [5, 12],
    "overlap": [True, None],
    "index_bits": [None, 3],
    "clock_mhz": [100.0, 200.0],
    "board": ["pynq-z2", "u55c"],
}
"""64 points that can be built, 32 that are refused."""


def tensors(inputs=6, cells=24):
    generator = np.random.default_rng(1)
    shapes = {
        "weight_ih_l0": (4 * cells, inputs), "weight_hh_l0": (4 * cells, cells),
        "bias_ih_l0": (4 * cells,), "bias_hh_l0": (4 * cells,),
    }  # fmt: skip
    found = {name: generator.normal(0, 0.4, shape) for name, shape in shapes.items()}
    for name in ("weight_ih_l0", "weight_hh_l0"):
        found[name] = found[name] * pe_balanced_mask(found[name], 0.4, 8)
    return {name: values.astype(np.float32) for name, values in found.items()}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("explored") / "model.safetensors"
    save_file(tensors(), path)
    return path


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Of ``explored``."""
    return tmp_path_factory.mktemp("store") / "results.db"


@pytest.fixture(scope="session")
def explored(checkpoint, store):
    """All of ``AXES``, in this process."""
    return explore(checkpoint, AXES, store=store)


@pytest.fixture(scope="session")
def network():
    """As an object."""
    return random_model(inputs=6, cells=(24,), density=0.4, pes=8, head=3, at="step")
