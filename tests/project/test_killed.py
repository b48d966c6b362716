"""Writing a project folder, killed at any moment, or by two at once."""

from __future__ import annotations

import os
import random

import pytest
from project.given import (
    MINE,
    NEW,
    OLD,
    SYNTHESIS,
    contents,
    killed_at,
    open_project,
    put,
    state,
    whole,
)

from penstock.project import check_target, write_project

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:.*was built from an earlier kernel"),
]


def moments(make, act):
    """Kill ``act`` before each of its changes, in a folder of its own each time."""
    moment = 0
    while True:
        moment += 1
        folder = make(moment)
        if not killed_at(moment, lambda folder=folder: act(folder)):
            return
        yield folder


def old_project(tmp_path):
    def make(number):
        folder = tmp_path / str(number)
        write_project(OLD, folder)
        put(folder, {**MINE, **SYNTHESIS})
        return folder

    return make


def test_killed_at_any_moment_the_folder_is_the_old_project_or_the_new_one(tmp_path):
    states = []
    for folder in moments(old_project(tmp_path), lambda folder: write_project(NEW, folder)):
        open_project(folder)
        states.append(state(folder))
        write_project(NEW, folder)
        assert state(folder) == "new"
        assert not list(folder.glob(".penstock.*"))
    assert states == sorted(states, reverse=True) and set(states) == {"old", "new"}
    assert len(states) > 40


def test_killed_at_any_moment_a_new_compile_needs_nobody_to_open_the_folder(tmp_path):
    for folder in moments(old_project(tmp_path), lambda folder: write_project(NEW, folder)):
        check_target(folder)
        write_project(NEW, folder)
        assert state(folder) == "new"
        assert not list(folder.glob(".penstock.*"))


def test_killed_while_files_move_no_tool_finds_a_script_to_start(tmp_path):
    def inner(files):
        ours = OLD.keys() | NEW.keys()
        return {k: v for k, v in files.items() if "/" in k and k in ours}

    cut = 0
    for folder in moments(old_project(tmp_path), lambda folder: write_project(NEW, folder)):
        found = contents(folder)
        if "Makefile" in found:
            assert inner(found) in (inner(OLD), inner(NEW))
        else:
            cut += 1
    assert cut > 10


def test_killed_again_while_it_completes_the_folder_is_still_one_of_the_two(tmp_path):
    draw = random.Random(3)
    acts = (open_project, lambda folder: write_project(NEW, folder))
    for folder in moments(old_project(tmp_path), acts[1]):
        act = draw.choice(acts)
        while killed_at(draw.randint(1, 80), lambda act=act, folder=folder: act(folder)):
            pass
        open_project(folder)
        state(folder)


@pytest.mark.parametrize("exists", [False, True])
def test_a_first_compile_that_was_killed_is_followed_by_another(exists, tmp_path):
    def make(number):
        folder = tmp_path / str(number) / "project"
        (folder if exists else tmp_path).mkdir(parents=True, exist_ok=True)
        return folder

    for folder in moments(make, lambda folder: write_project(OLD, folder)):
        write_project(NEW, folder)
        assert contents(folder) == whole(NEW)


def test_two_compiles_leave_one_of_the_two_projects(tmp_path):
    other = {**NEW, "graph.json": b"other", "tb/other.dat": b"other"}
    for trial in range(20):
        folder = tmp_path / str(trial)
        if trial % 2:
            write_project(OLD, folder)
        children = []
        for files in (NEW, other):
            child = os.fork()
            if child == 0:
                try:
                    write_project(files, folder)
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
        assert contents(folder) in (whole(NEW), whole(other))
