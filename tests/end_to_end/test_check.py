"""What a check compares, and what it says: one kernel, whose answers are tampered with."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from penstock.cli import main, progress
from penstock.cli.progress import told_progress
from penstock.errors import PenstockError
from penstock.ir.evaluate import ReferenceEngine
from penstock.templating import template_folder
from penstock_runtime import compare, csim, expected, load_project
from penstock_runtime.compare import check

RECORD_BYTES = 5 * 8


@pytest.fixture
def project(built_folder):
    return load_project(built_folder)


def answers(monkeypatch, change):
    """Let ``change`` work on the files that the test bench wrote: (results, trace),
    of vectors, results, trace and counts."""
    run = compare.run_testbench

    def run_and_change(folder, executable, *files, **options):
        done = run(folder, executable, *files, **options)
        if len(files) == 4:
            change(files[1], files[2])
        return done

    monkeypatch.setattr(compare, "run_testbench", run_and_change)


def flip(path, index):
    content = bytearray(path.read_bytes())
    content[index] ^= 1
    path.write_bytes(bytes(content))


def test_a_wrong_result_alone_is_found(project, monkeypatch):
    answers(monkeypatch, lambda results, trace: flip(results, 0))
    difference = check(project).difference
    assert (difference.node, difference.step, difference.lane, difference.index) == ("y", 0, 0, 0)


def test_a_wrong_final_state_alone_is_found(project, monkeypatch):
    y_bytes = 4 * project.ports.beats(project.outputs) * project.ports.port_bits // 8
    answers(monkeypatch, lambda results, trace: flip(results, y_bytes))
    difference = check(project).difference
    assert difference.node == "l0.y at the end" and difference.call == "ordinary"


def test_a_wrong_last_beat_of_the_last_call_is_found(project, monkeypatch):
    """Of the state; the elements that fill its last beat are nobody's, so the first one is."""
    last = project.state_layouts["l1.c"]
    beats = project.ports.beats(last.positions) * project.ports.port_bits // 8
    answers(monkeypatch, lambda results, trace: flip(results, -beats))
    difference = check(project).difference
    assert (
        difference.node == "l1.c at the end"
        and difference.call == "random from a given state, carried on"
    )


@pytest.mark.parametrize("kind", ["matvec", "state_write"])
def test_a_wrong_traced_value_of_one_step_is_found(kind, project, monkeypatch):
    numbers = [n for n, node in enumerate(project.graph.nodes()) if node.op.kind == kind]

    def change(results, trace):
        records = np.frombuffer(trace.read_bytes(), dtype=np.int64).reshape(-1, 5).copy()
        is_first = (records[:, 0] == numbers[-1]) & (records[:, 3] == 0)
        records[np.flatnonzero(is_first)[-1], 4] += 1
        trace.write_bytes(records.tobytes())

    answers(monkeypatch, change)
    difference = check(project).difference
    assert project.graph[difference.node].op.kind == kind
    assert difference.csim == difference.interpreter + 1


def test_a_check_that_compared_nothing_does_not_pass():
    assert not compare.CheckResult(0, {}, None).passed
    assert not compare.CheckResult(2, {"outputs": 0}, None).passed
    assert compare.CheckResult(2, {"outputs": 1}, None).passed


def test_a_kernel_that_fails_on_its_golden_vectors_does_not_pass(project, monkeypatch):
    run = compare.run_testbench

    def fail_alone(folder, executable, *files, **options):
        if not files:
            return csim.CsimRun(False, "FAIL: 1 wrong\n")
        return run(folder, executable, *files, **options)

    monkeypatch.setattr(compare, "run_testbench", fail_alone)
    result = check(project)
    assert not result.passed
    assert str(result.difference) == "the kernel fails on tb/vectors.dat: FAIL: 1 wrong"


def test_whatever_the_kernel_traces_is_compared():
    twins = template_folder() / "hls/ops"
    traced = {
        twin.name.partition(".")[0] for twin in twins.iterdir() if "TRACE" in twin.read_text()
    }
    assert traced == set(expected.TRACED)


def test_a_traced_value_that_is_missing_is_found(project, monkeypatch):
    def change(results, trace):
        trace.write_bytes(trace.read_bytes()[RECORD_BYTES:])

    answers(monkeypatch, change)
    assert check(project).difference.csim is None


def test_weights_with_a_hazard_are_not_sound(folder, forge):
    """C simulation can't show it: the words are what the validator proves."""
    forge("weights/manifest.json", lambda fields: fields["kernel"].update(hazard_distance=16))
    with pytest.raises(PenstockError, match=r"invalid: phase .*: a slot is used twice too soon"):
        check(load_project(folder))


def test_edited_files_are_named_and_pass_if_all_still_agrees(folder, monkeypatch, capsys):
    (folder / "README.md").write_text("mine\n")
    (folder / "report.html").unlink()
    monkeypatch.setattr(sys, "argv", ["penstock", "check", str(folder), "--steps", "1"])
    main()
    told = capsys.readouterr().out
    assert "note: README.md was edited after the compiler wrote it\n" in told
    assert "note: report.html was edited after the compiler wrote it\n" in told
    assert "PASS: interpreter and C simulation agree to the last bit" in told


def test_the_seed_of_the_command_line_is_the_checks(project, monkeypatch):
    seeds = []

    def stimuli_of(*arguments):
        seeds.append(arguments[-1])
        return iter(())

    monkeypatch.setattr(compare, "stimuli", stimuli_of)
    monkeypatch.setattr(compare, "_simulate", lambda *_: compare.CheckResult(1, {"y": 1}, None))
    monkeypatch.setattr(sys, "argv", ["penstock", "check", str(project.folder), "--seed", "7"])
    main()
    assert seeds == [7]


def test_the_command_line_says_how_many_steps_it_was_asked_for(project, monkeypatch):
    steps = []
    monkeypatch.setattr(compare, "stimuli", lambda *given: steps.extend(given) or iter(()))
    monkeypatch.setattr(compare, "_simulate", lambda *_: compare.CheckResult(1, {"y": 1}, None))
    monkeypatch.setattr(sys, "argv", ["penstock", "check", str(project.folder), "--steps", "7"])
    main()
    assert 7 in steps


def test_another_engine_is_held_against_the_reference_on_every_call(project):
    class Wrong:
        """Right until the last call, which all go to the extremes."""

        runs = 0

        def __init__(self):
            self.right = ReferenceEngine().prepare(project.graph)

        def run(self, *arguments):
            Wrong.runs += 1
            result = self.right.run(*arguments)
            result.y[0, 0, 0] += Wrong.runs > 20
            return result

    found = check(project, engine=("wrong", Wrong()))
    assert not found.passed
    assert str(found.difference) == "the wrong engine differs from the reference in the results"
    right = check(project, engine=("right", ReferenceEngine().prepare(project.graph)))
    assert right.passed and 2 * right.calls >= Wrong.runs > 20


def test_check_says_which_engine_it_compared(project, monkeypatch, capsys):
    for engine, is_told in (("native", True), ("numpy", False), ("auto", True)):
        words = ["penstock", "check", str(project.folder), "--steps", "1", "--engine", engine]
        monkeypatch.setattr(sys, "argv", words)
        main()
        told = "the native engine gives every value of these calls as the reference"
        assert (told in capsys.readouterr().out) == is_told


def test_progress_goes_from_the_first_call_to_the_last(project, monkeypatch):
    monkeypatch.setattr(csim, "WATCH_SECONDS", 0.001)
    told = []
    result = check(project, tell=lambda *words: told.append(words))
    calls = result.calls
    assert list(dict.fromkeys(work for work, _, _ in told)) == [
        "proving the packed weights", "building C simulation", "interpreter", "C simulation"
    ]  # fmt: skip
    assert [done for work, done, _ in told if work == "interpreter"] == list(range(1, calls + 1))
    simulated = [done for work, done, _ in told if work == "C simulation"]
    assert simulated == sorted(simulated) and simulated[-1] == calls
    assert {of for work, _, of in told if work in ("interpreter", "C simulation")} == {calls}


def test_progress_is_drawn_on_a_terminal_alone(monkeypatch, capsys):
    with told_progress() as tell:
        tell("interpreter", 3, 14)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with told_progress() as tell:
        tell("interpreter", 3, 14)
    assert capsys.readouterr() == ("", "")  # what takes no second needs no bar
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    with told_progress("frames") as tell:
        tell("interpreter", 3, 14)
        tell._timer.join()
    drawn = capsys.readouterr()
    assert drawn.out == "" and "interpreter" in drawn.err and "frames/s" in drawn.err


def test_a_difference_is_told_and_the_exit_status_is_1(project, monkeypatch, capsys):
    answers(monkeypatch, lambda results, trace: flip(results, 0))
    monkeypatch.setattr(sys, "argv", ["penstock", "check", str(project.folder)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "FAIL: first difference: " in told and "PASS" not in told


def test_a_project_that_cannot_be_written_is_checked_elsewhere(folder, monkeypatch):
    before = sorted(path for path in folder.rglob("*"))
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    monkeypatch.setattr(csim, "_compile", fake_compile)
    target = csim.build(folder, ("-DELSEWHERE",))
    assert not target.is_relative_to(folder) and target.is_file()
    assert sorted(path for path in folder.rglob("*")) == before
    assert csim.build(folder, ("-DELSEWHERE",)) == target


def fake_compile(folder, command, extra_flags, made, log):
    (made / "lstm_tb").write_text("")
    log.write_text("")


@pytest.mark.parametrize(
    "name", ["kernel/config.h", "kernel/tables/output_order.inc", "tb/lstm_tb.cpp"]
)
def test_a_changed_source_is_built_again(name, folder, monkeypatch):
    monkeypatch.setattr(csim, "_compile", fake_compile)
    before = csim.build(folder)
    assert csim.build(folder) == before
    (folder / name).write_text((folder / name).read_text() + "\n")
    after = csim.build(folder)
    assert after != before and after.is_file() and not before.exists()


def test_a_project_that_goes_away_while_it_is_built_is_a_users_error(folder, monkeypatch):
    def vanish(folder, command, extra_flags, made, log):
        raise FileNotFoundError(2, "No such file or directory", str(log))

    monkeypatch.setattr(csim, "_compile", vanish)
    with pytest.raises(PenstockError, match="C simulation can't be built in csim/: No such file"):
        csim.build(folder, ("-DVANISHED",))
