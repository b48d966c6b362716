"""A file that is run piece by piece gives what one run over all of it gives."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, PenstockError
from penstock.arrays import StoredArray
from penstock.driver import compile_model
from penstock_runtime import Interpreter
from penstock_runtime.batches import Results, can_pause, pieces, run_in_pieces

NETWORKS = {
    "stack": {"cells": (7, 6), "outputs": 4, "head": 3, "at": "step"},
    "last": {"cells": (6,), "head": 4, "at": "last"},
    "both directions": {"cells": (6,), "bidirectional": True},
    "mean": {"cells": (6,), "head": 2, "at": "mean"},
}
PAUSING = ["stack"]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("batches") / "project"
    model = random_model(**NETWORKS[request.param], pes=2, seed=5)
    compiled = compile_model(model, None, Hardware(pes=2, max_steps=40))
    return request.param, Interpreter(compiled.write(folder))


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batches") / "project"
    model = random_model(**NETWORKS["stack"], pes=2, seed=5)
    return Interpreter(compile_model(model, None, Hardware(pes=2)).write(folder))


def run(interpreter, x, place, is_raw=True, most_bytes=2000, **arguments):
    np.save(place / "x.npy", x)
    with (place / "y.npy").open("wb") as file:
        results = Results(file, is_raw)
        finished = run_in_pieces(
            interpreter, StoredArray(place / "x.npy"), results, most_bytes=most_bytes, **arguments
        )
    y = np.load(place / "y.npy")
    assert y.shape == finished.shape
    return finished, y


@pytest.mark.parametrize("shape", [(1, 17, 5), (13, 9, 5), (300, 2, 5), (17, 5)])
@pytest.mark.parametrize("most_bytes", [1, 2000, 1 << 20])
def test_pieces_give_the_bits_the_state_and_the_counts_of_one_run(
    network, shape, most_bytes, tmp_path
):
    _, interpreter = network
    generator = np.random.default_rng(0)
    x = generator.normal(0, 6, shape)  # some are out of range
    sequences = 1 if len(shape) == 2 else shape[0]
    lengths = generator.integers(0, shape[-2] + 1, sequences)
    wanted = interpreter.run_quietly(x, lengths)
    finished, y = run(interpreter, x, tmp_path, most_bytes=most_bytes, lengths=lengths)
    assert (y == wanted.arranged_raw).all() and finished.counted == wanted.counted
    assert all((finished.state[name] == own).all() for name, own in wanted.state.items())


def test_a_given_state_is_where_all_sequences_begin(interpreter, tmp_path):
    x = np.random.default_rng(1).normal(0, 1, (9, 8, 5))
    names = interpreter.project.graph.states()
    state = {
        name: np.random.default_rng(2).normal(0, 9, (9, own.read.tensor.length))
        for name, own in names.items()
    }
    wanted = interpreter.run_quietly(x, state=state)
    finished, y = run(interpreter, x, tmp_path, state=state, is_raw=False)
    assert (y == wanted.values).all() and finished.counted == wanted.counted


def test_frames_of_which_the_steps_come_first_are_written_so(network, tmp_path, monkeypatch):
    _, interpreter = network
    monkeypatch.setattr(interpreter.frames, "batch_first", False)
    x = np.random.default_rng(1).normal(0, 1, (8, 9, 5))
    wanted = interpreter.run_quietly(x, batch_first=False)
    _, y = run(interpreter, x, tmp_path)
    assert (y == wanted.arranged_raw).all()


def test_raw_integers_are_taken_as_they_are(interpreter, tmp_path):
    x = np.random.default_rng(1).integers(-99, 99, (8, 9, 5))
    _, y = run(interpreter, x, tmp_path, raw_input=True)
    assert (y == interpreter.run(x, raw_input=True).raw).all()


def test_only_what_is_all_in_its_state_pauses(network):
    name, interpreter = network
    assert can_pause(interpreter) == (name in PAUSING)


@pytest.mark.parametrize("pauses", [True, False])
def test_pieces_cover_every_step_of_every_sequence_once_and_in_order(pauses):
    for sequences, steps, most in ((1, 1, 1), (7, 100, 640), (500, 3, 10_000), (3, 1000, 64)):
        seen = np.zeros((sequences, steps), int)
        for piece in pieces(sequences, steps, 64, pauses, most):
            part = seen[piece.sequences, piece.steps]
            assert (part == 0).all() and piece.frames == part.size
            assert seen[piece.sequences, : piece.steps.start].all()
            part += 1
            size = part.shape
            assert size[0] * size[1] * 64 <= max(most, 64) or size[0] == 1 or pauses
            assert pauses or size[1] == steps
        assert (seen == 1).all()


def test_memory_does_not_grow_with_the_file(interpreter, tmp_path):
    peaks = []
    for sequences in (200, 2000):
        x = np.random.default_rng(1).normal(0, 1, (sequences, 100, 5)).astype(np.float32)
        tracemalloc.start()
        run(interpreter, x, tmp_path, most_bytes=1 << 20)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    y_bytes = 2000 * 100 * interpreter.project.outputs * 8
    assert peaks[1] - y_bytes < 1.5 * (peaks[0] - y_bytes // 10)  # the test itself reads y


def test_progress_is_told_in_frames(interpreter, tmp_path):
    told = []
    run(interpreter, np.zeros((10, 30, 5)), tmp_path,
        progress=lambda done, of: told.append((done, of)))  # fmt: skip
    assert told[-1] == (300, 300) and len(told) > 2 and told == sorted(told)


def test_a_file_that_does_not_fit_is_refused_before_anything_is_written(interpreter, tmp_path):
    for arguments, message in (
        ({"x": np.zeros((3, 4))}, r"frames of shape \(3, 4\) do not fit"),
        ({"x": np.zeros((3, 5)), "lengths": np.array([9])}, "lengths must be 1 integers"),
        ({"x": np.zeros((3, 5), int)}, "the frames are integers"),
    ):
        with pytest.raises(PenstockError, match=message):
            run(interpreter, place=tmp_path, **arguments)
        assert (tmp_path / "y.npy").read_bytes() == b""
