"""A short run of the loader fuzzer, and faults that it must find."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

pytest.importorskip("torch")
PROGRAM = Path(__file__).with_name("loaders.py")


def test_damaged_files_of_every_kind_give_errors_of_ours_or_the_right_result():
    """In a process of its own, whose memory is limited."""
    done = subprocess.run(
        [sys.executable, PROGRAM, "--cases", "6", "--seed", "2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("84 cases in ")
    assert done.stdout.rstrip().endswith("; 0 faults")
    head, _, *rows = [line.split(" | ") for line in done.stdout.splitlines() if line[0] == "|"]
    assert len(rows) == 14 and sum(int(cells[head.index("same")]) for cells in rows) > 0


@pytest.fixture
def loaders(monkeypatch):
    monkeypatch.syspath_prepend(PROGRAM.parent)
    import loaders

    return loaders


def crash(folder):
    return {}["missing"]


def lie(folder):
    return (folder / "f").read_bytes()


def warn(folder):
    warnings.warn("overflow encountered", RuntimeWarning, stacklevel=1)


def wait(folder):
    time.sleep(60)


def hide(folder):
    from penstock import PenstockError

    raise PenstockError("the file is damaged") from MemoryError()


@pytest.mark.parametrize(
    ("load", "what"),
    [
        (crash, "KeyError: 'missing'"), (lie, "AssertionError: another result"),
        (warn, "AssertionError: f: warning: overflow encountered"),
        (wait, "TooSlow: more than 0.2 s"), (hide, "AssertionError: memory: the file is damaged"),
    ],
)  # fmt: skip
def test_the_fuzzer_finds(load, what, loaders, tmp_path, monkeypatch):
    import mutate
    import targets

    monkeypatch.setattr(loaders, "SLOWEST", 0.2)
    target = targets.Target(
        "planted", {"f": b"whole"}, {"f": mutate.of_bytes}, load, wanted=b"whole"
    )
    tally = loaders.Tally()
    loaders.run_target(target, tally, 0, 0, tmp_path / "case")
    assert tally.seen["fault"] == 1 and tally.faults[0][1].startswith(what)


def test_a_case_is_drawn_from_its_number_alone(loaders):
    import random

    import mutate

    spoiled = [
        mutate.of_json(random.Random("planted 0 7"), b'{"a": [1, 2], "b": "x"}') for _ in "12"
    ]
    assert spoiled[0] == spoiled[1] != b'{"a": [1, 2], "b": "x"}'
