"""Lengths and initial states of calibration, and the method of ranges, on the command line."""

from __future__ import annotations

import numpy as np
from cli.given import CELLS, INPUTS, PES

from penstock import Precision, compile_checkpoint
from penstock.settings import Hardware


def test_lengths_states_and_method_reach_calibration(penstock, work):
    frames = np.random.default_rng(3).normal(size=(2, 5, INPUTS))
    frames[1, 2:] = np.nan
    states = {"h_0": np.full((1, 2, CELLS), 0.25), "c_0": np.full((1, 2, CELLS), 7.0)}
    lengths = np.array([5, 2])
    np.save("f.npy", frames)
    np.save("lengths.npy", lengths)
    np.savez("states.npz", **states)
    done = penstock(
        "compile", "model.safetensors", "-o", "out", *PES, "--calibration", "f.npy",
        "--calibration-lengths", "lengths.npy", "--calibration-state", "states.npz",
        "--range-method", "peak",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    compiled = compile_checkpoint(
        work / "model.safetensors", frames, Hardware(pes=2), Precision(range_method="peak"),
        calibration_lengths=lengths, calibration_states=states,
    )  # fmt: skip
    assert compiled.files["graph.json"] == (work / "out/graph.json").read_bytes()
    assert compiled.graph["l0.c"].tensor.type.frac == 11, "7.0 and a quarter more"


def test_a_method_that_does_not_exist_is_refused(refused):
    line = refused("compile", "model.safetensors", "-o", "out", *PES, "--range-method", "best")
    assert line == (
        "there is no range method 'best' (precision); hint: choose error, peak or percentile"
    )
