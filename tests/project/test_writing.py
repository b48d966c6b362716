"""Writing a project folder: readers, what stays, and links in the way."""

from __future__ import annotations

import errno
import fcntl
import os
import time

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

from penstock import PenstockError, journal, locking
from penstock.atomic import IDLE_SECONDS, write_files
from penstock.locking import locked
from penstock.marker import Marker, read_marker
from penstock.project import reading, write_project

pytestmark = pytest.mark.filterwarnings("ignore:.*was built from an earlier kernel")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.05)


AT_WORK = "another penstock command is using this folder"


def test_a_compile_says_so_if_readers_stay(project, impatient):
    with reading(project), pytest.raises(PenstockError) as caught:
        write_project(NEW, project)
    assert caught.value.line() == f"{AT_WORK} ({project}); hint: try again when it has finished"
    assert state(project) == "old"


def test_a_reader_says_so_if_a_compile_stays(project, impatient):
    with locked(project), pytest.raises(PenstockError, match=AT_WORK):
        open_project(project)


def test_two_may_read_at_once(project, impatient):
    with reading(project), reading(project):
        assert state(project) == "old"


def test_files_that_are_the_same_stay_untouched(project):
    before = (project / "kernel/same.h").stat()
    write_project(NEW, project)
    after = (project / "kernel/same.h").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    stamps = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    write_project(NEW, project)
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == stamps


def test_a_folder_that_held_old_files_alone_goes_with_them(project):
    write_project({**OLD, "kernel/gone/deep/old.inc": b"old"}, project)
    write_project(NEW, project)
    assert not (project / "kernel/gone").exists()
    assert (project / "kernel/tables").is_dir()  # it holds a file of the user's


def test_a_new_test_bench_is_simulated_anew_and_the_synthesis_stays(project):
    write_project({**OLD, "tb/tb.cpp": b"new"}, project)
    assert not (project / "csim").exists()
    assert (project / "vitis/csynth.rpt").read_bytes() == b"4"


def test_folders_above_a_target_that_fails_are_removed_again(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("penstock.project.replace_files", full)
    with pytest.raises(PenstockError, match="can't be written: No space left on device"):
        write_project(OLD, tmp_path / "a/b/c")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_anothers_place_is_locked_itself(project, monkeypatch):
    """Between opening the folder and locking it, somebody renames it and makes another."""
    flock, swaps = fcntl.flock, iter([True])

    def swap_once(handle, how):
        flock(handle, how)
        if next(swaps, False):
            project.rename(project.parent / "elsewhere")
            project.mkdir()

    monkeypatch.setattr(fcntl, "flock", swap_once)
    with locked(project) as handle:
        assert os.path.samestat(os.fstat(handle), project.stat())


def test_a_link_that_comes_while_a_compile_is_cut_off_is_not_moved_through(project):
    journal._stage(project / journal.WRITTEN, whole(NEW))
    outside = project.parent / "outside"
    (project / "kernel").rename(outside)
    (project / "kernel").symlink_to(outside)
    before = contents(outside)
    with pytest.raises(PenstockError, match="was interrupted and can't be completed"):
        open_project(project)
    assert contents(outside) == before


def test_what_vitis_made_of_the_same_kernel_stays(project):
    write_project({**OLD, "graph.json": b"new"}, project)
    assert contents(project) == {
        **whole({**OLD, "graph.json": b"new"}), **MINE, **SYNTHESIS,
    }  # fmt: skip


def test_each_stale_synthesis_gets_a_name_of_its_own(project):
    put(project, {"lstm_top.xo": b"first"})
    with pytest.warns(
        UserWarning, match=r"lstm_top\.xo was built from .* it is now lstm_top\.xo\.stale"
    ):
        write_project(NEW, project)
    put(project, {"lstm_top.xo": b"second", "vitis/csynth.rpt": b"second"})
    with pytest.warns(UserWarning, match=r"lstm_top\.xo\.stale2"):
        write_project(OLD, project)
    put(project, {"lstm_top.xo": b"third"})
    with pytest.warns(UserWarning, match=r"lstm_top\.xo\.stale3"):
        write_project(NEW, project)
    found = contents(project)
    assert found["lstm_top.xo.stale3"] == b"third"
    assert found["lstm_top.xo.stale"] == b"first" and found["lstm_top.xo.stale2"] == b"second"
    assert found["vitis.stale/csynth.rpt"] == b"4"
    assert found["vitis.stale2/csynth.rpt"] == b"second"


@pytest.mark.parametrize("name", ["kernel", "kernel/tables", "kernel/more"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_to_a_folder_is_refused_and_nothing_written_through_it(name, overwrite, project):
    outside = project.parent / "outside"
    if (project / name).exists():
        (project / name).rename(outside)
    else:
        outside.mkdir()
    (project / name).symlink_to(outside)
    before = contents(project.parent)
    with pytest.raises(PenstockError, match=rf"^{name} in the project is a link \("):
        write_project(NEW, project, overwrite)
    assert contents(project.parent) == before


def test_links_in_place_of_files_are_replaced_and_not_followed(project):
    outside = project.parent / "outside"
    put(outside, {"precious": b"precious", "csim/log": b"precious"})
    for name in ("Makefile", "kernel/tables/old.inc"):
        (project / name).unlink()
        (project / name).symlink_to(outside / "precious")
    (project / "csim/lstm_tb").unlink()
    (project / "csim").rmdir()
    (project / "csim").symlink_to(outside / "csim")
    (project / ".penstock.writing").symlink_to(outside)
    with pytest.raises(PenstockError, match=r"were edited: Makefile, kernel/tables/old\.inc"):
        write_project(NEW, project)
    write_project(NEW, project, overwrite=True)
    assert contents(outside) == {"precious": b"precious", "csim/log": b"precious"}
    assert contents(project) == {**whole(NEW), **MINE, "vitis.stale/csynth.rpt": b"4"}


def test_a_journal_that_is_a_link_is_not_followed(project):
    outside = project.parent / "outside"
    put(outside, {"new/Makefile": b"x", "new/penstock.json": Marker.of(NEW).text().encode()})
    (project / ".penstock.written").symlink_to(outside)
    before = contents(outside)
    open_project(project)
    assert state(project) == "old"
    write_project(NEW, project)
    assert contents(outside) == before
    assert state(project) == "new"


@pytest.mark.parametrize(("name", "kind"), [("graph.json", "a folder"), ("tb", "not a folder")])
def test_a_file_and_a_folder_in_each_others_place_are_refused(name, kind, project):
    if name == "tb":
        (project / "tb/tb.cpp").unlink()
        (project / "tb").rmdir()
        (project / "tb").write_bytes(b"mine")
    else:
        (project / name).unlink()
        put(project, {f"{name}/mine": b"mine"})
    before = contents(project)
    with pytest.raises(PenstockError, match=rf"^{name} in the project is {kind}"):
        write_project(NEW, project, overwrite=True)
    assert contents(project) == before


def test_a_marker_of_another_projects_files_removes_nothing_that_is_edited(project):
    (project / "penstock.json").write_text(Marker.of({**OLD, "mine.txt": b"other"}).text())
    with pytest.raises(PenstockError, match=r"were edited: mine\.txt \("):
        write_project(NEW, project)
    assert (project / "mine.txt").read_bytes() == b"1"
    assert "mine.txt" in read_marker(project).files


def test_what_a_killed_run_left_beside_a_result_is_removed_by_the_next(tmp_path):
    result = tmp_path / "y[1].npy"
    saves = {result: lambda file: file.write(b"new")}
    assert killed_at(1, lambda: write_files({result: lambda file: (tmp_path / "never").mkdir()}))
    (stray,) = tmp_path.iterdir()
    fresh, other = tmp_path / ".y[1].npy.a.unfinished", tmp_path / ".x.npy.a.unfinished"
    fresh.write_bytes(b"begun this second")
    other.write_bytes(b"of another result")
    long_ago = time.time() - 2 * IDLE_SECONDS
    os.utime(stray, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))
    write_files(saves)
    assert sorted(tmp_path.iterdir()) == sorted([result, fresh, other])
    assert result.read_bytes() == b"new"


def test_what_another_run_writes_beside_a_result_is_left_to_it(tmp_path):
    result, others = tmp_path / "y.npy", tmp_path / ".y.npy.a.unfinished"
    others.write_bytes(b"half")
    with others.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        long_ago = time.time() - 2 * IDLE_SECONDS
        os.utime(others, (long_ago, long_ago))
        write_files({result: lambda out: out.write(b"new")})
        assert others.exists()
    write_files({result: lambda out: out.write(b"new")})
    assert not others.exists()
