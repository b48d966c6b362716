"""Ctrl-C at any moment, in a real process: one line, exit status 130, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
from cli.given import tree

LINE = "interrupted"
PATIENCE_SECONDS = 120


def _heeds_interrupts():
    """Whoever runs the tests in the background may have them ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A command in a process of its own, that says its stages."""

    def __init__(self, *words, program="from penstock.program import main; main()"):
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.argv[0] = 'penstock'; {program}", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            preexec_fn=_heeds_interrupts,
        )  # fmt: skip

    def wait_for(self, text):
        """Read standard error up to a line with ``text``."""
        for line in self.process.stderr:
            if text in line:
                return
        raise AssertionError(f"it never said {text!r}")

    def interrupt(self):
        """Send SIGINT. -> what standard error says from then on."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return [line for line in err.splitlines() if " s  " not in line]


def assert_interrupted(running, line=LINE):
    assert running.interrupt() == [line]
    assert running.process.returncode == 130


COMPILE = ("compile", "model.safetensors", "-o", "out", "--pes", "2", "-v")
STAGES = ("reading", "choosing hardware", "comparing", "golden vectors", "writing the project")


@pytest.mark.parametrize("stage", STAGES)
def test_a_compile_leaves_the_old_project_or_none(stage, work, project):
    before, there = tree(work), tree(project)
    running = Running(*COMPILE)
    running.wait_for(stage)
    assert_interrupted(running)
    assert tree(work) == before
    running = Running(*COMPILE, "-o", "project")
    running.wait_for(stage)
    assert_interrupted(running)
    assert tree(project) == there


LOADS = "import builtins; before = builtins.__import__\n"
SLOW = """
def slow(name, *more, **others):
    if name == {name!r}:
        print("loads it", file=sys.stderr, flush=True); import time; time.sleep(60)
    return before(name, *more, **others)
builtins.__import__ = slow
from penstock.program import main; main()
"""


@pytest.mark.parametrize("name", ["penstock.cli", "typer", "penstock.config", "penstock"])
def test_it_may_come_while_the_program_is_loaded(name, work):
    before = tree(work)
    running = Running(*COMPILE, program=LOADS + SLOW.format(name=name))
    running.wait_for("loads it")
    time.sleep(0.05)
    assert_interrupted(running)
    assert tree(work) == before


CATCHES = """
import time
import penstock.cli.doctor as doctor
def swallow():
    {what}
doctor.examine = swallow
from penstock.program import main; main()
"""
SWALLOWS = {
    "another error": "try:\n        print('is in', file=sys.stderr, flush=True); time.sleep(60)\n"
    "    except BaseException: raise ImportError('torn')",
    "an exit": "try:\n        print('is in', file=sys.stderr, flush=True); time.sleep(60)\n"
    "    except BaseException: sys.exit(1)",
    "a destructor": "class Falls:\n        def __del__(self):\n"
    "            print('is in', file=sys.stderr, flush=True); time.sleep(60)\n"
    "    one = Falls(); del one; time.sleep(8); open('went on', 'w').close()",
}


@pytest.mark.parametrize("how", SWALLOWS)
def test_nobody_turns_it_into_something_else(how, work):
    running = Running("doctor", program="\n" + CATCHES.format(what=SWALLOWS[how]))
    running.wait_for("is in")
    assert_interrupted(running)
    assert not (work / "went on").exists()


@pytest.mark.parametrize("stage", ["proving", "building C simulation"])
def test_a_check_leaves_no_half_of_a_build(stage, project, work, monkeypatch):
    if find_spec("hls4ml") is None and not os.environ.get("CI"):
        pytest.skip("hls4ml is not installed")
    monkeypatch.setenv("PENSTOCK_CACHE", "")  # where others may have built it before
    running = Running("check", "project", "-v")
    running.wait_for(stage)
    time.sleep(0.3)
    assert_interrupted(running)
    left = {path.name.partition("_")[0] for path in (project / "csim").glob("*")}
    assert left <= {"lstm", "build.log"}


MODEL = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 8, batch_first=True)
        self.head = torch.nn.Linear(8, 2)
    def forward(self, x):
        return self.head(self.lstm(x)[0])
"""


def test_compress_says_how_to_go_on(work):
    pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (80, 6, 3)).astype(np.float32)
    y = (x[:, :, 0].cumsum(axis=1) > 0).astype(np.int64)
    np.savez("d.npz", x_train=x[:60], y_train=y[:60], x_valid=x[60:], y_valid=y[60:])
    (work / "m.py").write_text(MODEL)
    words = ("compress", "m.py:Net", "d.npz", "-o", "small.safetensors", "--pes", "2",
             "--task", "labelling", "--density", "0.5", "--dense-epochs", "1", "--prune-epochs",
             "400", "--patience", "400", "--qat-epochs", "1", "-v")  # fmt: skip
    running = Running(*words)
    running.wait_for("pruned 2/")
    advice = "; run the same command again to resume from the last complete epoch"
    assert_interrupted(running, LINE + advice)
    assert not (work / "small.safetensors").exists()
    assert not [path for path in work.rglob("*") if path.name.endswith(".unfinished")]


def test_an_ignored_interrupt_stays_ignored(work):
    """As under nohup."""
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    running = Running(*COMPILE, program=f"\n{ignore}from penstock.program import main; main()")
    running.wait_for("calibrating")
    running.interrupt()
    assert running.process.returncode == 0 and (work / "out/penstock.json").is_file()
