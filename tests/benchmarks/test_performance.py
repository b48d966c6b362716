"""The benchmarks of speed: all run the same network, and the page is what was measured."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from penstock_runtime import Interpreter

pytest.importorskip("torch")
pytest.importorskip("scipy")


@pytest.mark.parametrize("kind", ["plain", "projection"])
def test_all_contenders_compute_the_same_network(module, tmp_path, kind):
    networks = module("networks")
    shape = networks.Shape(8, 16, 8 if kind == "projection" else 0, 0.5)
    x = networks.frames(shape, 3, 6)
    ours = Interpreter(networks.project(shape, tmp_path)).run(x).values
    for name, run in networks.peers(shape).items():
        theirs = run(x)
        if isinstance(theirs, list):  # (features, sequences) of each step
            theirs = np.stack([np.asarray(own).T for own in theirs], axis=1)
        assert np.abs(np.asarray(theirs) - ours).max() < 0.01, name


def test_the_sparse_contenders_have_peepholes(module, tmp_path):
    networks = module("networks")
    shape = networks.Shape(8, 16, 8, 0.5, True)
    x = networks.frames(shape, 2, 6)
    ours = Interpreter(networks.project(shape, tmp_path)).run(x).values
    for name in ("torch CSR", "SciPy CSR"):
        steps = networks.peers(shape)[name](x)
        theirs = np.stack([np.asarray(own).T for own in steps], axis=1)
        assert np.abs(theirs - ours).max() < 0.01, name


def test_a_row_is_measured_in_a_process_of_its_own(module, tmp_path):
    interpreter, networks = module("interpreter"), module("networks")
    shape = replace(networks.SMALL, inputs=8, cells=16)
    folder = str(networks.project(shape, tmp_path))
    row = interpreter.child(
        "batch", 1, shape=asdict(shape), folder=folder, rounds=1, sequences=2, threads=1
    )
    assert row.keys() == {interpreter.OURS, "torch.nn.LSTM", "torch CSR", "SciPy CSR"}
    assert all(own > 0 for own in row.values())


def test_more_work_is_noticed_and_another_compiler_is_given_room(module):
    work = module("work")
    then = {"count": 1000, "compiler": "a"}
    assert not work.is_more({"count": 1020, "compiler": "a"}, then)
    assert work.is_more({"count": 1040, "compiler": "a"}, then)
    assert not work.is_more({"count": 1200, "compiler": "b"}, then)
    assert work.is_more({"count": 1400, "compiler": "b"}, then)


def test_a_streamed_frame_calls_no_more_than_is_allowed(module, tmp_path):
    work, networks = module("work"), module("networks")
    counted = work.calls_of_a_frame(networks.project(networks.SMALL, tmp_path))
    (allowed,) = (row["count"] for row in module("children").load("work")["rows"]
                  if row["what"] == "calls of a streamed frame")  # fmt: skip
    assert counted <= allowed


def test_the_page_is_what_was_measured(module):
    page = module("page")
    assert page.PAGE.read_text() == page.page()
