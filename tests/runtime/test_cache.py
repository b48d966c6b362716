"""The user's cache: where it lies, what it refuses, and that everything in it is whole."""

from __future__ import annotations

import os
import threading
import time

import pytest

from penstock_runtime import cache


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(text):
    return lambda folder: (folder / "file").write_text(text) and None


def test_lies_where_penstock_cache_says(root):
    assert cache.folder("headers") == root / "headers"
    assert (root / "headers").stat().st_mode & 0o777 == 0o700


def test_else_where_other_caches_lie(tmp_path, monkeypatch):
    monkeypatch.delenv("PENSTOCK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder("headers") == tmp_path / "penstock/headers"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.folder("headers") == tmp_path / "home/.cache/penstock/headers"


def test_an_empty_name_switches_it_off(monkeypatch):
    monkeypatch.setenv("PENSTOCK_CACHE", "")
    assert cache.folder("headers") is None
    assert cache.kept("headers", "key", write("a")) is None


def test_there_is_none_where_it_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "file"))
    assert cache.kept("headers", "key", write("a")) is None


def test_a_folder_in_which_others_write_is_refused(root):
    cache.folder("headers").chmod(0o777)
    assert cache.folder("headers") is None


def test_a_thing_is_made_once(root):
    kept = cache.kept("headers", "key", write("a"))
    assert cache.kept("headers", "key", write("b")) == kept == root / "headers/key"
    assert (kept / "file").read_text() == "a"


def test_what_fails_half_way_leaves_nothing(root):
    def fail(folder):
        (folder / "file").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        cache.kept("headers", "key", fail)
    assert list((root / "headers").iterdir()) == []


def test_a_full_disk_is_no_error(root):
    def fail(folder):
        raise OSError("no space left on device")

    assert cache.kept("headers", "key", fail) is None


def test_of_two_at_once_one_makes_it(root):
    made = []

    def slowly(folder):
        made.append(folder)
        time.sleep(0.1)

    threads = [
        threading.Thread(target=cache.kept, args=("headers", "key", slowly)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_files_are_given_and_taken(root, tmp_path):
    (tmp_path / "made").write_text("a")
    assert not cache.take("testbenches", "key", tmp_path / "taken")
    cache.give("testbenches", "key", tmp_path / "made")
    assert cache.take("testbenches", "key", tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "a"


def test_the_files_used_last_stay(root, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MOST", 2)
    (tmp_path / "made").write_text("a")
    for age, key in ((30, "first"), (20, "second")):
        cache.give("testbenches", key, tmp_path / "made")
        os.utime(root / "testbenches" / key, (time.time() - age, time.time() - age))
    assert cache.take("testbenches", "first", tmp_path / "taken")
    cache.give("testbenches", "third", tmp_path / "made")
    assert {path.name for path in (root / "testbenches").iterdir()} == {"first", "third"}
