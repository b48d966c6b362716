"""A manifest is held against its graph: each claim alone, whatever would find it later."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock.formats import Layout
from penstock_runtime.agreement import check_manifest


@pytest.fixture(scope="module")
def compiled():
    """Two sweeps, buffered frames, biases and peepholes."""
    model = random_model(cells=(6, 4), bidirectional=[True, False], peephole=True, pes=2)
    return compile_model(model, None, Hardware(pes=2, max_steps=9))


def interface(manifest, **changes):
    return replace(manifest, interface=msgspec.structs.replace(manifest.interface, **changes))


def layouts(manifest, change):
    return replace(manifest, layouts=manifest.layouts | change)


def first_phase(manifest, **changes):
    first, *others = manifest.phases
    return replace(manifest, phases=(replace(first, **changes), *others))


def backwards(names):
    return type(names)(reversed(names.items() if isinstance(names, dict) else names))


CLAIMS = {
    "states in another order": (
        "states", lambda m: interface(m, states=backwards(m.interface.states)),
    ),
    "parameters in another order": (
        "parameters", lambda m: replace(m, parameters=backwards(m.parameters)),
    ),
    "frames that are buffered nowhere": ("max_steps", lambda m: interface(m, max_steps=None)),
    "elements wider than they are": ("io_bits", lambda m: interface(m, io_bits=32)),
    "an order that holds an element twice": (
        "layouts", lambda m: layouts(m, {"x": Layout((0, 1, 2, 3, 3, -1))}),
    ),
    "an order of another length": (
        "layout_of", lambda m: replace(m, layout_of=m.layout_of | {"x": m.layout_of["l0.acc_i"]}),
    ),
    "an input without an order": (
        "layout_of",
        lambda m: replace(m, layout_of={k: own for k, own in m.layout_of.items() if k != "x"}),
    ),
    "products of another layer": (
        "phase l0.gates",
        lambda m: first_phase(m, matvecs=m.phases[-1].matvecs),
    ),
    "vectors in another order": (
        "phase l0.gates",
        lambda m: first_phase(m, gathers=((1, 0),) * 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLAIMS)
def test_a_manifest_of_another_graph_is_refused_by_name(case, compiled):
    name, change = CLAIMS[case]
    check_manifest(compiled.manifest, compiled.graph)
    with pytest.raises(ValueError) as caught:
        check_manifest(change(compiled.manifest), compiled.graph)
    assert str(caught.value) == f"{name} does not match the graph"
