"""Compiled networks: one that has every feature, one pruned as ESE's is, one with row scales."""

from dataclasses import replace

import numpy as np
import pytest
from support import random_direction, random_model

from penstock.driver import compile_model
from penstock.layers import DenseHead
from penstock.model import stack
from penstock.settings import Hardware, Precision


def rich():
    """Bidirectional with projection and peepholes, then a plain layer, then a head."""
    generator = np.random.default_rng(3)
    first = (random_direction(generator, 5, 9, 4, True, density=1.0, pes=3) for _ in range(2))
    second = random_direction(generator, 8, 6, density=0.5, pes=3)
    head = DenseHead(generator.uniform(-1, 1, (3, 6)), generator.uniform(-1, 1, 3), "argmax")
    return stack([tuple(first), second], head)


def pruned():
    return random_model(20, (64,), 24, peephole=True, density=0.25, pes=8, seed=4)


MODELS = {
    "rich": (rich, Hardware(pes=4, lanes=2, max_steps=50), Precision()),
    "pruned": (pruned, Hardware(pes=8, port_bits=128, clock_mhz=250.0), Precision()),
    "broadcast": (pruned, Hardware(pes=8, dataflow="broadcast", queue_depth=2), Precision()),
    "row scales": (pruned, Hardware(pes=8), Precision(weights=4, row_scales=True)),
}


def compile_network(which, model=None, **settings):
    """Compile one of ``MODELS``; model: changes to its fields; settings: to its hardware."""
    make, hardware, precision = MODELS[which]
    model = replace(make(), **(model or {}))
    return compile_model(model, None, replace(hardware, **settings), precision)


@pytest.fixture(scope="session", name="compile_network")
def compile_network_fixture():
    return compile_network


@pytest.fixture(scope="session", params=MODELS)
def case(request):
    """(model, what compiling it gave)."""
    return MODELS[request.param][0](), compile_network(request.param)


@pytest.fixture(scope="session")
def compiled(case):
    return case[1]


@pytest.fixture(scope="session")
def report(case):
    return case[1].report


@pytest.fixture(scope="session")
def page(compiled):
    return compiled.files["report.html"].decode()
