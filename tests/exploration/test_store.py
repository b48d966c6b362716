"""Results in SQLite: found again, never written twice, by several writers; what is no store."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from exploration.conftest import AXES

from penstock import PenstockError
from penstock.exploration import explore, network, search
from penstock.exploration.rows import SCHEMA, Refusal
from penstock.exploration.store import APPLICATION, Store
from penstock.exploration.values import as_values

OTHER = "name another file, or remove it"


def rows_of(path):
    with sqlite3.connect(path) as found:
        return found.execute("SELECT key, result FROM results ORDER BY key").fetchall()


def test_what_is_known_is_not_computed_again(explored, checkpoint, store, monkeypatch):
    monkeypatch.setattr(search, "Job", None)  # no job can be made
    jobs = []
    monkeypatch.setattr(search, "_without", lambda job, known: jobs.append(job))
    monkeypatch.setattr(search, "Job", lambda keys, *more: type("J", (), {"keys": keys}))
    again = explore(checkpoint, AXES, store=store)
    assert {key for job in jobs for key in job.keys} <= {key for key, _ in rows_of(store)}
    assert as_values(again) == as_values(explored)


def test_a_store_has_a_row_for_each_result_and_one_for_each_error(explored, store):
    assert len(rows_of(store)) == 96 + 2
    with sqlite3.connect(store) as found:
        assert found.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert found.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        settings = found.execute("SELECT settings FROM results").fetchall()
    assert sum("Hardware(pes=512" in text for (text,) in settings) == 32


def keys(**changed):
    """Of the only point of an exploration."""
    with Store(None) as kept:
        found = []
        real, Store.keep = Store.keep, lambda self, results: found.extend(results)
        try:
            explore(**changed)
        finally:
            Store.keep = real
        assert kept.find(found) == {}
    return found


def test_a_key_depends_on_network_settings_and_versions(network, monkeypatch, checkpoint):
    base = {"module": network, "axes": {"pes": 4}}
    error, figures = keys(**base)
    assert keys(**base) == [error, figures]
    other_error, other = keys(module=network, axes={"pes": 8})
    assert other_error == error and other != figures
    other_error, other = keys(module=network, axes={"pes": 4, "weights": 9})
    assert other_error != error and other != figures
    assert not {error, figures} & {*keys(module=str(checkpoint), axes={"pes": 4})}
    monkeypatch.setattr(search, "versions", lambda: network_versions)
    monkeypatch.setattr("penstock.exploration.jobs.versions", lambda: network_versions)
    assert not {error, figures} & {*keys(**base)}


network_versions = "another"


def test_a_store_that_another_makes_at_the_same_moment_is_ours(tmp_path, monkeypatch):
    """Between two looks at the new file, whose it is, another writer makes it."""
    path, others = tmp_path / "results.db", []

    class Slow(sqlite3.Connection):
        def execute(self, query, *more):
            found = super().execute(query, *more)
            if query != "PRAGMA application_id" or others:
                return found
            seen = found.fetchone()
            others.append(threading.Thread(target=keep_another))
            others[0].start()
            others[0].join(0.3)  # it may have to wait for us
            return super().execute("SELECT ?", seen)

    def keep_another():
        with Store(path) as other:
            other.keep({"k": ("", Refusal("what", "where", "hint"))})

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **more: connect(*a, **more, factory=Slow))
    with Store(path) as kept:
        kept.keep({"l": ("", Refusal("what", "where", "hint"))})
    others[0].join()
    assert [key for key, _ in rows_of(path)] == ["k", "l"]


def test_versions_change_with_the_code(tmp_path, monkeypatch):
    before = network.versions()
    root = tmp_path / "penstock"
    shutil.copytree(network.Path(network.__file__).parents[1], root,
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    monkeypatch.setattr(network, "__file__", str(root / "exploration" / "network.py"))
    network.versions.cache_clear()
    try:
        assert network.versions() == before
        (root / "machine" / "order.py").open("a").write("# changed\n")
        network.versions.cache_clear()
        assert network.versions() != before
    finally:
        monkeypatch.undo()
        network.versions.cache_clear()


def test_of_two_that_write_the_same_key_the_first_stays(tmp_path):
    path = tmp_path / "s.db"
    with Store(path) as first, Store(path) as second:
        first.keep({"a": ("", Refusal("first", "", ""))})
        second.keep({"a": ("", Refusal("second", "", "")), "b": ("", Refusal("b", "", ""))})
        assert first.find("abc") == second.find("abc") == {
            "a": Refusal("first", "", ""), "b": Refusal("b", "", "")
        }  # fmt: skip


WRITER = """
import sys
from pathlib import Path
from penstock.exploration.rows import Refusal
from penstock.exploration.store import Store
row = "", Refusal("x", "", "")
for k in range(60):
    with Store(Path(sys.argv[1])) as store:
        store.keep({f"{k}": row, f"{sys.argv[2]} {k}": row})
"""


def test_several_processes_write_at_once(tmp_path):
    path = tmp_path / "s.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, str(n)], stderr=subprocess.PIPE)
        for n in range(3)
    ]
    assert [(w.communicate()[1], w.returncode) for w in writers] == [(b"", 0)] * 3
    assert len(rows_of(path)) == 60 + 3 * 60


EXPLORER = """
import sys
from penstock.exploration import explore
axes = {"pes": [2, 4, 8], "weights": range(4, 8), "assign": ["interleave", "search"]}
explore(sys.argv[1], axes, store=sys.argv[2], progress=lambda *told: print(*told, flush=True))
"""


def test_a_killed_exploration_leaves_what_was_done_and_goes_on(checkpoint, tmp_path):
    path = tmp_path / "s.db"
    words = [sys.executable, "-c", EXPLORER, str(checkpoint), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as first:
        for line in first.stdout:
            if line.startswith("points 7 "):
                first.send_signal(signal.SIGKILL)
                break
    before = rows_of(path)
    assert 4 + 7 <= len(before) < 4 + 24
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    after = rows_of(path)
    assert set(before) <= set(after) and len(after) == 4 + 24
    started = next(line for line in done.stdout.splitlines() if line.startswith("points"))
    assert started == f"points {len(before) - 4} 24"


def foreign(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE results (key, result)")


def made(path):
    with Store(path) as empty:
        empty.keep({})


def of_another_schema(path):
    made(path)
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA + 1}")


def torn(path):
    with Store(path) as whole:
        whole.keep({f"{k}": ("s" * 500, Refusal("w" * 500, "", "")) for k in range(200)})
    path.write_bytes(path.read_bytes()[:40_000])


def scribbled(path):
    with Store(path) as whole:
        whole.keep({f"{k}": ("s" * 500, Refusal("w" * 500, "", "")) for k in range(200)})
    content = bytearray(path.read_bytes())
    content[4096:12_000] = b"\xff" * (12_000 - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda path: path.write_text("no database " * 100), "the store is no SQLite database, or "
         f"a damaged one: file is not a database (s.db); hint: {OTHER}"),
        (foreign, f"the file is an SQLite database of another program (s.db); hint: {OTHER}"),
        (of_another_schema, f"another version of Penstock wrote the store (schema {SCHEMA + 1}, "
         f"not {SCHEMA}) (s.db); hint: {OTHER}"),
        (torn, "the store is no SQLite database, or a damaged one: *"),
        (scribbled, "the store is no SQLite database, or a damaged one: *"),
        (lambda path: path.mkdir(), "the store is a folder (s.db); hint: name a file"),
    ],
)  # fmt: skip
def test_what_is_no_store_is_refused_and_left_alone(spoil, line, tmp_path, monkeypatch, network):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(PenstockError) as refused:
        explore(network, {"pes": 4}, store="s.db")
    said = refused.value.line()
    assert said == line or (line.endswith("*") and said.startswith(line[:-1])), said
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_damaged_row_is_refused(network, tmp_path):
    path = tmp_path / "s.db"
    explore(network, {"pes": 4}, store=path)
    with sqlite3.connect(path) as other:
        other.execute('UPDATE results SET result = \'{"type": "figures"}\'')
    with pytest.raises(PenstockError, match="the store is damaged: Object missing"):
        explore(network, {"pes": 4}, store=path)


def test_a_folder_that_is_not_there_is_said(network, tmp_path):
    with pytest.raises(PenstockError, match="there is no such folder"):
        explore(network, {"pes": 4}, store=tmp_path / "none" / "s.db")


def test_bad_input_leaves_no_store_behind(network, tmp_path):
    with pytest.raises(PenstockError):
        explore(network, {"pes": 0}, store=tmp_path / "s.db")
    assert [*tmp_path.iterdir()] == []


def test_estimates_that_only_this_target_needs_are_not_kept(network, tmp_path):
    path, axes = tmp_path / "s.db", {"pes": [2, 16], "overlap": False}
    found = explore(network, axes, target_us=1e-3, store=path)
    estimates = sum(one.is_estimate for one in found.points)
    assert estimates == 1  # the other is the nearest
    assert len(rows_of(path)) == 1 + 1
    whole = explore(network, axes, store=path)
    assert not any(one.is_estimate for one in whole.points) and len(rows_of(path)) == 3


def test_a_busy_store_is_waited_for(network, tmp_path):
    path = tmp_path / "s.db"
    made(path)
    holds = (
        "import sqlite3, sys, time\nother = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "other.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(0.7)\n"
        "other.execute('COMMIT')"
    )
    words = [sys.executable, "-c", holds, path]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        start = time.monotonic()
        with Store(path) as mine:
            mine.keep({"a": ("", Refusal("x", "", ""))})
        assert time.monotonic() - start > 0.3
    assert len(rows_of(path)) == 1
