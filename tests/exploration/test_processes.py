"""The same points by processes of this machine, and by a cluster; what is killed is done again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from penstock import PenstockError
from penstock.exploration import cluster, explore, local
from penstock.exploration.values import as_values

AXES = {"pes": [2, 4, 8], "weights": [5, 12], "assign": ["interleave", "search"]}


@pytest.fixture(scope="module")
def alone(checkpoint):
    """In one process."""
    return as_values(explore(checkpoint, AXES))


def rows_of(path):
    with sqlite3.connect(path) as found:
        return found.execute("SELECT count(*), count(DISTINCT key) FROM results").fetchone()


def test_two_processes_find_the_same_and_a_killed_one_loses_nothing(alone, checkpoint, tmp_path):
    killed = []

    def kill(work, done, of):
        if work == "points" and done and not killed:
            victim = multiprocessing.active_children()[0]
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    path = tmp_path / "s.db"
    found = explore(checkpoint, AXES, jobs=2, store=path, progress=kill)
    assert killed and as_values(found) == alone
    assert rows_of(path) == (12 + 2, 12 + 2)
    assert multiprocessing.active_children() == []


BARE = """
import sys
from penstock.exploration import explore

print(explore(sys.argv[1], {"pes": [2, 4], "weights": [5, 12]}, jobs=2))
"""


@pytest.mark.parametrize("is_piped", [True, False])
def test_a_script_needs_no_guard_and_may_come_from_a_pipe(checkpoint, tmp_path, is_piped):
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    done = subprocess.run(
        [sys.executable, "-" if is_piped else script, checkpoint], text=True, check=False,
        input=BARE if is_piped else None, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1 and "4 points" in done.stdout


def test_processes_that_still_load_are_not_interrupted():
    before = sys.modules["__main__"]
    with local._undisturbed():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert sys.modules["__main__"] is before


KILLED = """
import multiprocessing, os, sys
from penstock.exploration import explore

def tell(work, done, of):
    if work == "points" and done:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), 9)

if __name__ == "__main__":
    explore(sys.argv[1], {"pes": [2, 4, 8], "weights": [5, 12]}, jobs=2, progress=tell)
"""


def is_running(pid):
    """False for one that has ended, whether or not somebody has taken note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_processes_end_with_the_one_that_is_killed(checkpoint, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    words = [sys.executable, tmp_path / "killed.py", checkpoint]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False,
                          env=os.environ | {"TMPDIR": str(tmp_path)})  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    children, until = [int(pid) for pid in done.stdout.split()], time.monotonic() + 30
    assert len(children) == 2
    while any(map(is_running, children)):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_processes_that_are_always_killed_are_said(monkeypatch):
    pools = []

    def killed(self, jobs):
        pools.append(list(jobs))
        yield jobs[0], {}
        raise BrokenProcessPool

    monkeypatch.setattr(local.Local, "_run_once", killed)
    with local.Local(2) as pool, pytest.raises(PenstockError) as refused:
        list(pool.run([1, 2, 3, 4, 5], {}))
    assert refused.value.line() == (
        "processes were killed 3 times (--jobs); hint: is there too little memory? take fewer jobs"
    )
    assert pools == [[1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5]]


def need_dask():
    """Skips where it is not installed, never in CI."""
    if find_spec("distributed") is None:
        assert "CI" not in os.environ
        pytest.skip("dask.distributed is not installed")


def dask(*words):
    environment = os.environ | {
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False", "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", *words, "--no-dashboard"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def start_worker(address, name="later"):
    return dask(
        "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--name", name
    )


@contextmanager
def started_scheduler(folder):
    """A scheduler in a process of its own, and its address."""
    need_dask()
    file = folder / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    with dask("distributed.cli.dask_scheduler", *words) as process:
        until = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        try:
            yield process, json.loads(file.read_text())["address"]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of one."""
    with started_scheduler(tmp_path_factory.mktemp("scheduler")) as (_, address):
        yield address


@pytest.fixture
def workers(scheduler):
    """Two of them, processes of their own, that are there."""
    from distributed import Client

    found = [start_worker(scheduler, name) for name in ("first", "second")]
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    yield found
    for worker in found:
        worker.kill()
        worker.wait()


def tasks_of(scheduler, name):
    """What a worker computes or holds."""
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        known = client.scheduler_info(n_workers=-1)["workers"].items()
        address = next(address for address, worker in known if worker["name"] == name)
        found = {*client.processing()[address], *client.has_what()[address]}
        return [task for task in found if task.startswith("_done")]


def test_a_cluster_of_two_of_which_one_is_killed_loses_nothing_and_does_nothing_twice(
    alone, checkpoint, scheduler, workers, tmp_path
):
    told, lost = [], []

    def kill(work, done, of):
        told.append((work, done))
        if work == "points" and 0 < done < of and not lost:
            lost.extend(tasks_of(scheduler, "first"))
            if lost:
                workers[0].kill()
                workers[0].wait()

    path = tmp_path / "s.db"
    found = explore(checkpoint, AXES, scheduler=scheduler, store=path, progress=kill)
    assert lost and workers[0].poll() == -signal.SIGKILL and workers[1].poll() is None
    assert as_values(found) == alone
    assert rows_of(path) == (12 + 2, 12 + 2)
    done = [done for work, done in told if work == "points"]
    assert done == list(range(13))  # each job is a point here: none is told twice


def test_a_network_that_was_only_on_a_killed_worker_is_sent_again(
    alone, checkpoint, scheduler, workers, tmp_path
):
    """All workers die, and another comes."""
    later = []

    def kill(work, done, of):
        if work == "points" and done and not later:
            for worker in workers:
                worker.kill()
                worker.wait()
            later.append(start_worker(scheduler))

    try:
        found = explore(checkpoint, AXES, scheduler=scheduler, progress=kill)
    finally:
        for worker in later:
            worker.kill()
            worker.wait()
    assert as_values(found) == alone


def test_a_scheduler_that_dies_is_said_and_what_was_done_is_kept(checkpoint, tmp_path):
    path = tmp_path / "s.db"
    with started_scheduler(tmp_path) as (process, address):
        worker = start_worker(address)

        def kill(work, done, of):
            if work == "points" and done:
                process.kill()

        with pytest.raises(PenstockError) as refused:
            explore(checkpoint, AXES, scheduler=address, store=path, progress=kill)
        worker.kill()
        worker.wait()
    assert refused.value.line() == (
        f"the scheduler is gone ({address}); hint: what was found is kept in the store, if there "
        "is one"
    )
    assert 2 < rows_of(path)[0] < 14
    assert explore(checkpoint, AXES, store=path).points


def test_a_scheduler_without_workers_is_said(checkpoint, scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "WORKER_SECONDS", 0.2)
    with pytest.raises(PenstockError) as refused:
        explore(checkpoint, AXES, scheduler=scheduler)
    assert refused.value.line() == (
        f"the scheduler has no workers ({scheduler}); hint: start some with: dask worker "
        f"{scheduler}"
    )


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "foo://host:1", ""])
def test_an_address_where_nobody_answers_is_said(address, checkpoint):
    need_dask()
    with pytest.raises(PenstockError) as refused:
        explore(checkpoint, AXES, scheduler=address)
    assert refused.value.line().startswith("the scheduler does not answer")


def test_without_dask_the_way_to_it_is_said(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PenstockError) as refused:
        explore(checkpoint, AXES, scheduler="tcp://127.0.0.1:1")
    assert refused.value.line() == (
        "a cluster needs dask.distributed (--scheduler); hint: pip install 'penstock[explore]'"
    )


def test_a_worker_of_another_version_is_said(checkpoint, monkeypatch):
    monkeypatch.setattr("penstock.exploration.jobs.versions", lambda: "penstock 9")
    with pytest.raises(PenstockError, match=r"a worker has penstock 9, not penstock .*; hint: ins"):
        explore(checkpoint, AXES)
