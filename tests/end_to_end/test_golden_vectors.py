"""Golden vectors: whole, or nothing passes; and what they expect is compared to the last beat."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from support import random_model

from penstock import Hardware
from penstock.cli import main
from penstock.driver import compile_model
from penstock.errors import PenstockError
from penstock.packing.vectors import START_GIVEN, parse_vector_file, vector_file
from penstock_runtime import load_project
from penstock_runtime.compare import check
from penstock_runtime.csim import build, csim, run_testbench
from penstock_runtime.golden import read_golden, wrong_golden

VECTORS = "tb/vectors.dat"


def calls_of(folder):
    project = load_project(folder)
    return project, parse_vector_file(
        (folder / VECTORS).read_bytes(), project.ports, project.inputs
    )


def spoiled(content, index):
    changed = bytearray(content)
    changed[index] ^= 1
    return bytes(changed)


def shorter(call, steps):
    return replace(call, x=call.x[:, :steps], lengths=np.minimum(call.lengths, steps))


INCOMPLETE = {
    "no calls": lambda calls: [],
    "fewer calls": lambda calls: calls[:1],
    "more calls": lambda calls: [*calls, calls[0]],
    "a shorter call": lambda calls: [shorter(calls[0], 2), *calls[1:]],
    "a shorter call and its results": lambda calls: [
        replace(
            shorter(calls[0], 2), expected_y=calls[0].expected_y[: -len(calls[0].expected_y) // 3]
        ),
        *calls[1:],
    ],
    "no result": lambda calls: [replace(calls[0], expected_y=b""), *calls[1:]],
    "no final state": lambda calls: [*calls[:2], replace(calls[2], expected_state=b"")],
    "a final state that is not stored": lambda calls: [
        replace(calls[0], expected_state=calls[1].expected_state), *calls[1:],
    ],
    "half a result": lambda calls: [
        replace(calls[0], expected_y=calls[0].expected_y[:64]), *calls[1:],
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", INCOMPLETE)
def test_vectors_that_are_not_whole_are_refused(case, folder):
    project, calls = calls_of(folder)
    (folder / VECTORS).write_bytes(vector_file(INCOMPLETE[case](calls), project.ports))
    for command in (lambda: csim(folder), lambda: check(project)):
        with pytest.raises(PenstockError, match=r"tb/vectors\.dat is damaged"):
            command()


FRAMES_AT = 8 + 16 + 2 * 4  # magic, calls; steps, start, reload, store; lengths of two lanes


def with_more_steps(content):
    return content[:8] + (300).to_bytes(4, "little") + content[12:]


def with_a_longer_sequence(content):
    return content[:24] + (4).to_bytes(4, "little") + content[28:]


BROKEN = {
    "cut short": (lambda content: content[:-1], "it is cut short"),
    "longer": (lambda content: content + b"\0", "it goes on after its last call"),
    "empty": (lambda content: b"", "it is cut short"),
    "another file": (lambda content: b"\0" * 100, "it is not a vector file"),
    "more steps than frames": (with_more_steps, "call 0 has 192 bytes of frames for 300 steps"),
    "a sequence longer than its call": (
        with_a_longer_sequence, "call 0 has a sequence of more than its 3 steps",
    ),
    "a count of frames that is no beat": (
        lambda content: content[:FRAMES_AT] + (1).to_bytes(4, "little") + content[FRAMES_AT + 4 :],
        "it is cut short",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_vector_file_that_is_broken_is_refused_by_python_and_by_the_test_bench(case, folder):
    project = load_project(folder)
    path = folder / VECTORS
    change, reason = BROKEN[case]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(PenstockError, match=rf"tb/vectors\.dat is damaged: {reason}"):
        csim(folder)
    done = run_testbench(folder, build(folder))
    assert not done.passed and "ERROR" in done.output and "PASS" not in done.output, project


def test_a_call_without_steps_is_refused(folder):
    project, calls = calls_of(folder)
    empty = replace(calls[0], x=calls[0].x[:, :0], lengths=calls[0].lengths * 0)
    with pytest.raises(ValueError, match="call 0 has 0 bytes of frames for 0 steps"):
        parse_vector_file(vector_file([empty], project.ports), project.ports, project.inputs)


@pytest.mark.parametrize("case", ["no calls", "no steps", "a state too many", "half a result"])
def test_the_test_bench_alone_refuses_calls_that_prove_nothing(case, folder):
    project, calls = calls_of(folder)
    if case == "no calls":
        calls = []
    elif case == "no steps":
        calls = [replace(calls[0], x=calls[0].x[:, :0], lengths=calls[0].lengths * 0)]
    elif case == "a state too many":
        calls = [replace(calls[0], state=calls[1].expected_state)]
    else:
        calls = [replace(calls[0], expected_y=calls[0].expected_y[:-64])]
    (folder / VECTORS).write_bytes(vector_file(calls, project.ports))
    done = run_testbench(folder, build(folder))
    assert not done.passed and "ERROR" in done.output


@pytest.mark.parametrize(
    ("what", "call"), [("y", 0), ("y", 1), ("y", 2), ("state", 1), ("state", 2)]
)
@pytest.mark.parametrize("index", [0, -1])
def test_a_wrong_expectation_fails_in_any_beat(what, call, index, folder):
    """The first bit, and the last of the last beat."""
    project, calls = calls_of(folder)
    name = f"expected_{what}"
    calls[call] = replace(calls[call], **{name: spoiled(getattr(calls[call], name), index)})
    (folder / VECTORS).write_bytes(vector_file(calls, project.ports))
    done = csim(folder)
    assert not done.passed and f"ERROR: call {call}, {what}, beat" in done.output
    assert "FAIL: 3 calls" in done.output and "1 different" in done.output


def test_the_check_fails_on_expectations_that_are_not_the_interpreters(folder):
    project, calls = calls_of(folder)
    calls[1] = replace(calls[1], expected_state=spoiled(calls[1].expected_state, 0))
    (folder / VECTORS).write_bytes(vector_file(calls, project.ports))
    result = check(project)
    assert not result.passed and list(result.edited) == [VECTORS]
    assert str(result.difference) == (
        "call 1 of tb/vectors.dat expects other results than the interpreter's"
    )


def test_csim_that_fails_exits_with_1(folder, monkeypatch, capsys):
    project, calls = calls_of(folder)
    calls[0] = replace(calls[0], expected_y=spoiled(calls[0].expected_y, 0))
    (folder / VECTORS).write_bytes(vector_file(calls, project.ports))
    monkeypatch.setattr(sys, "argv", ["penstock", "csim", str(folder)])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1 and "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "status", "passes"),
    [("CSim done with 0 errors", 0, True), ("CSim done with 0 errors", 1, False),
     ("CSim done with 3 errors", 0, False), ("", 0, False)],
)  # fmt: skip
def test_vitis_passes_if_it_says_so(said, status, passes, folder, monkeypatch):
    program = f"print({said!r}); raise SystemExit({status})"
    command = [sys.executable, "-c", program]
    monkeypatch.setattr("penstock_runtime.csim.vitis_command", lambda: command)
    assert csim(folder).passed is passes


def test_a_vector_file_is_read_as_it_was_written(folder):
    project, calls = calls_of(folder)
    given = replace(calls[0], start=START_GIVEN, state=calls[1].expected_state)
    content = vector_file([given, *calls], project.ports)
    again = parse_vector_file(content, project.ports, project.inputs)
    assert vector_file(again, project.ports) == content
    assert np.array_equal(again[0].x, calls[0].x) and again[0].reload is True


@pytest.mark.parametrize("max_steps", [1, 2])
def test_a_call_has_no_more_steps_than_the_kernel_takes(max_steps, tmp_path):
    network = random_model(cells=(4,), bidirectional=True, head=2, pes=2)
    compiled = compile_model(network, None, Hardware(pes=2, max_steps=max_steps))
    assert compiled.manifest.golden.steps == max_steps
    project = load_project(compiled.write(tmp_path / "project"))
    assert wrong_golden(project, read_golden(project)) is None
