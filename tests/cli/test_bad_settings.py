"""Settings and commands that can't be: one line, exit status 2, nothing touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli.given import INPUTS, PES, compile_to

import penstock_runtime.project

HARDWARE = "hardware settings"
SETTINGS = {
    "--pes 7": (
        f"7 PEs can't share 6 cells: a PE owns whole cells ({HARDWARE}); "
        "hint: choose 6 PEs or fewer (--pes)"
    ),
    "--pes 0": f"the hardware can't have 0 PEs ({HARDWARE}); hint: choose 1 to 1024 (--pes)",
    "--pes -4": f"the hardware can't have -4 PEs ({HARDWARE}); hint: choose 1 to 1024 (--pes)",
    "--pes 1025": f"the hardware can't have 1025 PEs ({HARDWARE}); hint: choose 1 to 1024 (--pes)",
    "--lanes 3": (
        f"the hardware can't have 3 lanes ({HARDWARE}); hint: choose 1, 2, 4, 8, 16 or 32 (--lanes)"
    ),
    "--lanes 64": (
        f"the hardware can't have 64 lanes ({HARDWARE}); "
        "hint: choose 1, 2, 4, 8, 16 or 32 (--lanes)"
    ),
    "--pes 6 --elements-per-cycle 4": (
        f"the hardware can't have 4 elements per cycle with 6 PEs ({HARDWARE}); "
        "hint: choose 3 (--elements-per-cycle), of the divisors of the PEs up to 64"
    ),
    "--part-resources lut=9": "nothing says which part has these resources",
    "--elements-per-cycle 0": "0 elements per cycle",
    "--assign random": (
        f"the hardware can't have assign 'random' ({HARDWARE}); "
        "hint: choose best, interleave, balance or search"
    ),
    "--io wire": f"the hardware can't have io 'wire' ({HARDWARE}); hint: choose memory or stream",
    "--index-bits 0": f"the hardware can't have 0 index bits ({HARDWARE}); hint: choose 1 to 8",
    "--index-bits 9": f"the hardware can't have 9 index bits ({HARDWARE}); hint: choose 1 to 8",
    "--dataflow column": (
        f"the hardware can't have the dataflow 'column' ({HARDWARE}); "
        "hint: choose gather, broadcast, bank or auto (--dataflow)"
    ),
    "--queue-depth 8": (
        f"the hardware can't have activation queues with the gather dataflow ({HARDWARE}); "
        "hint: leave out --queue-depth, or choose --dataflow broadcast"
    ),
    "--dataflow broadcast --queue-depth 0": (
        f"the hardware can't have activation queues 0 deep ({HARDWARE}); "
        "hint: choose 1 to 1024 (--queue-depth)"
    ),
    "--dataflow broadcast --queue-depth 1025": "activation queues 1025 deep",
    "--dataflow broadcast --overlap": (
        f"the hardware can't have overlap with the broadcast dataflow ({HARDWARE}); "
        "hint: leave out --overlap, or choose --dataflow gather"
    ),
    "--dataflow broadcast --pes 129": (
        f"the hardware can't have 129 PEs with the broadcast dataflow ({HARDWARE}); "
        "hint: choose up to 128 PEs (--pes), or --dataflow gather"
    ),
    "--hazard-distance 0": "hazard_distance 0",
    "--hazard-distance 17": "hazard_distance 17",
    "--max-steps 0": "max_steps 0",
    "--clock-mhz 0": "a clock of 0.0 MHz",
    "--clock-mhz -100": "a clock of -100.0 MHz",
    "--clock-mhz nan": "a clock of nan MHz",
    "--weight-bits 1": "weights of 1 bits can't be built (precision); hint: choose 2 to 18",
    "--weight-bits 19": "weights of 19 bits can't be built (precision); hint: choose 2 to 18",
    "--input-bits 1": "inputs of 1 bits can't be built (precision); hint: choose 2 to 24",
    "--input-bits 25": "inputs of 25 bits can't be built (precision); hint: choose 2 to 24",
    "--cell-bits 25": "cell_state of 25 bits can't be built (precision); hint: choose 2 to 24",
    "--output-bits 25": "outputs of 25 bits can't be built (precision); hint: choose 2 to 24",
    "--table-entries 100": (
        "a table of 100 entries can't be built (precision); "
        "hint: choose a power of two from 64 to 4096"
    ),
    "--table-entries 32": "a table of 32 entries",
    "--table-entries 8192": "a table of 8192 entries",
    "--table-entries 0": "a table of 0 entries",
    "--interpolate-bits 9": (
        "9 bits of interpolation can't be built (precision); hint: choose 0 to 8"
    ),
    "--interpolate-bits -1": "-1 bits of interpolation",
    "--accumulator-bits 7": "accumulators of 7 bits can't be built",
    "--accumulator-bits 63": "accumulators of 63 bits can't be built",
    "--accumulator-bits 20": "accumulators of 20 bits could overflow: l0.acc_",
    "--head step": (
        "there is no Linear head to apply the head options to (model.safetensors); "
        "hint: leave them out"
    ),
    "--head last": "there is no Linear head to apply the head options to",
    "--head-activation none": "there is no Linear head to apply the head options to",
    "--head first": (
        "a head can't run at 'first' (head options); hint: choose one of step, last, final"
    ),
    "--head-activation relu": (
        "a head can't end in 'relu' (head options); hint: choose one of none, sigmoid, argmax"
    ),
    "--weight-bits many": (
        "--weight-bits can't be read: 'many' is not a type such as s16.12 (command line); "
        "hint: give INTEGER|TYPE"
    ),
    "--weight-bits s30.2": "weights of 30 bits can't be built (precision); hint: choose 2 to 18",
    "--type l0.c": (
        "--type can't be read: 'l0.c' has no name before an = (command line); "
        "hint: give TENSOR=TYPE"
    ),
    "--type l0.c=s99.9": "--type can't be read: width 99 is outside 1..60",
    "--type l0.c=s40.9": "l0.c of 40 bits can't be built (precision); hint: choose 2 to 24",
    "--type l0.d=s16.9": "there is no tensor l0.d to override (precision)",
    "--row-exponents l0.W_ix=a": "--row-exponents can't be read: 'a' is not a list of integers",
    "--row-exponents l0.W_ix=1,2": (
        "l0.W_ix has 6 rows, but 2 row exponents (precision); hint: give one for each row"
    ),
    "--row-exponents l0.W_ix=0,0,0,0,0,8": (
        "a row exponent of l0.W_ix can't be built (precision); hint: choose 0 to 7"
    ),
    "--row-exponents l0.W_ix=1,1,1,1,1,1 --row-exponents l0.W_ir=0,1,1,1,1,1": (
        "l0.W_ix and l0.W_ir have different row exponents, but one sum (precision); "
        "hint: give them for one of the two"
    ),
    "--pes many": "Invalid value for '--pes': ",
    "--pes 2.5": "Invalid value for '--pes': ",
    "--clock-mhz fast": "Invalid value for '--clock-mhz': ",
    "--no-such-option": "No such option: --no-such-option",
    "--pes": "Option '--pes' requires an argument.",
    "another.pt": "Got unexpected extra argument",
}


@pytest.mark.parametrize("words", SETTINGS, ids=lambda words: words.strip("-").replace(" ", "-"))
def test_a_setting_is_refused(words, refused):
    line = refused("compile", "model.safetensors", "-o", "out", *PES, *words.split())
    message = SETTINGS[words]
    assert line == message if "; hint: " in message else message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("frobnicate", "No such command 'frobnicate'.; hint: see penstock --help"),
        ("--frobnicate", "No such option: --frobnicate"),
        ("compile", "there is nothing to compile (compile); hint: penstock compile MODEL -o DIR"),
        (
            "compile model.safetensors",
            "there is no folder to write the project to (compile); hint: ",
        ),
        ("check", "Missing argument 'DIR'.; hint: see penstock check --help"),
        ("run project -o y.npy", "Missing option '-i"),
        ("run", "Missing argument 'DIR'.; hint: see penstock run --help"),
        ("check project --steps 0", "Invalid value for '--steps': "),
        ("check project --seed -1", "Invalid value for '--seed': "),
    ],
)
def test_a_command_that_is_not_understood_is_one_line_too(words, message, refused):
    assert message in refused(*words.split())


def test_the_program_refuses_a_command_that_is_not_understood(refused_by_program):
    line = refused_by_program("run", "project", "-o", "y.npy")
    assert line.startswith("Missing option '-i") and line.endswith(
        "; hint: see penstock run --help"
    )


def test_no_words_at_all_give_the_help(penstock):
    done = penstock()
    assert (done.status, done.err) == (0, "") and "Usage: penstock" in done.out
    assert penstock("--version").out.startswith("penstock ")


def test_calibration_frames_are_in_the_order_of_the_model(penstock):
    frames = np.random.default_rng(5).normal(size=(3, 7, INPUTS))
    frames[0] *= 8
    np.save("first.npy", frames)
    np.save("second.npy", frames.swapaxes(0, 1))
    assert compile_to(penstock, "a", "--calibration", "first.npy").status == 0
    assert compile_to(penstock, "b", "--calibration", "second.npy", "--time-first").status == 0
    assert Path("a/graph.json").read_bytes() == Path("b/graph.json").read_bytes()


def test_names_need_not_be_text(penstock, work):
    name = os.fsdecode(b"net\xff\n#include <red> [red] \xc3\xa9")
    shutil.copy("model.safetensors", f"{name}.safetensors")
    done = penstock("compile", f"{name}.safetensors", "-o", name, *PES)
    assert done.status == 0 and done.err == ""
    source = Path(name, "kernel/lstm_top.cpp").read_text()
    assert "for net___include _red_ _red_ é; changes are lost" in source.splitlines()[0]
    assert penstock("run", name, "-i", "x.npy", "-o", f"{name}.npy").status == 0


def test_a_terminal_without_unicode_is_no_reason_to_fail(refused_by_program, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert refused_by_program("compile", "é.pt", "-o", "out") == (
        "the checkpoint can't be read: No such file or directory (\\xe9.pt); hint: check the path"
    )


def test_a_fault_of_the_system_is_one_line_too(refused, project, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied", "project/csim")

    monkeypatch.setattr(penstock_runtime.project, "_read", fail)
    monkeypatch.setattr("penstock_runtime.load_project", fail)
    assert refused("csim", "project") == (
        "Permission denied (project/csim); hint: check the path and the disk"
    )
