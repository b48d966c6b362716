"""A stream, frame by frame, gives the bits of the whole sequence."""

from __future__ import annotations

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, PenstockError
from penstock.driver import compile_model
from penstock.ir.evaluate import ReferenceEngine
from penstock.ops.capture import LONGEST
from penstock_runtime import Interpreter, Session

NETWORKS = {
    "head at every step": {"cells": (7, 6), "outputs": 4, "peephole": True, "head": 3,
                           "at": "step"},
    "no head": {"cells": (6,)},
    "argmax of the last step": {"cells": (6,), "head": 4, "activation": "argmax"},
}  # fmt: skip


@pytest.fixture
def project(tmp_path):
    def make(**model):
        network = random_model(**model, pes=2, seed=5)
        return compile_model(network, None, Hardware(pes=2)).write(tmp_path / "project")

    return make


@pytest.mark.parametrize("case", NETWORKS)
@pytest.mark.parametrize("sequences", [1, 3, 40])
@pytest.mark.parametrize("engine", ["native", "numpy"])
def test_frames_one_by_one_give_the_bits_of_the_whole(project, case, sequences, engine):
    folder = project(**NETWORKS[case])
    x = np.random.default_rng(0).normal(0, 1, (sequences, 9, 5))
    interpreter = Interpreter(folder, engine)
    session = Session(interpreter, sequences)
    for _ in range(2):
        got = np.stack([session.step(x[:, t]) for t in range(9)], axis=1)
        if "head" in NETWORKS[case] and NETWORKS[case].get("at") != "step":
            whole = np.concatenate([interpreter.run(x[:, : t + 1]).values for t in range(9)], 1)
        else:
            whole = interpreter.run(x).values
        assert (got == whole).all()
        session.reset()


def test_one_stream_takes_and_gives_plain_vectors(project):
    folder = project(**NETWORKS["no head"])
    x = np.random.default_rng(0).normal(0, 1, (4, 5))
    session = Session(Interpreter(folder))
    got = np.stack([session.step(frame) for frame in x])
    assert (got == Interpreter(folder).run(x).values).all()


def test_what_cannot_stream_is_refused(project):
    with pytest.raises(PenstockError, match="a bidirectional network can't stream"):
        Session(project(cells=(6,), bidirectional=True))
    for at in ("mean", "max"):
        with pytest.raises(PenstockError, match="a network that pools over time can't stream"):
            Session(project(cells=(6,), head=2, at=at))


def test_a_frame_of_other_sequences_is_refused(project):
    session = Session(project(cells=(6,)), 2)
    with pytest.raises(PenstockError, match=r"a frame of shape \(3, 5\) is not one of 2 sequences"):
        session.step(np.zeros((3, 5)))
    with pytest.raises(PenstockError, match=r"frames of shape \(2, 1, 4\) do not fit"):
        session.step(np.zeros((2, 4)))


def test_an_interpreter_runs_on_the_engine_it_is_given(project):
    class Counting(ReferenceEngine):
        prepared = 0

        def prepare(self, graph):
            Counting.prepared += 1
            return super().prepare(graph)

    folder, x = project(), np.ones((4, 5))
    wanted = Interpreter(folder, engine="numpy").run(x).raw
    assert (Interpreter(folder, engine=Counting()).run(x).raw == wanted).all()
    assert Counting.prepared == 1


def test_an_unknown_engine_is_refused_in_one_line():
    with pytest.raises(PenstockError) as caught:
        Interpreter("nowhere", engine="warp")
    assert caught.value.line() == (
        "unknown engine 'warp' (engine); hint: choose auto, native, numpy"
    )


def test_a_mean_is_refused_of_more_steps_than_its_sum_is_proven_for(project):
    interpreter = Interpreter(project(cells=(6,), head=2, at="mean"))
    assert interpreter.project.manifest.interface.max_steps == LONGEST
    with pytest.raises(PenstockError, match="1048577 steps are more than the 1048576 that the "):
        interpreter.run(np.broadcast_to(0.0, (LONGEST + 1, 5)))
