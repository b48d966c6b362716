"""Jobs in processes of this machine, or in this process if there is to be only one."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from penstock.errors import PenstockError
from penstock.exploration.jobs import Job
from penstock.exploration.network import Network
from penstock.exploration.rows import Row

ATTEMPTS = 3
"""So often a pool is started again after one of its processes was killed."""


class Local:
    """Processes, so many; networks go to them through files. A context manager."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-explore-")
        self._known: dict[str, bytes] = {}

    def run(self, jobs: Sequence[Job], networks: dict[str, Network]) -> Iterator[dict[str, Row]]:
        """What each job gives, as soon as it is done. networks: by their digests."""
        if self.processes == 1 or len(jobs) == 1:
            for job in jobs:
                network = networks[job.network]
                yield job.done(lambda network=network: pickle.dumps(network))  # type: ignore[misc]
            return
        for digest, network in networks.items():
            path = Path(self._folder.name) / digest
            if not path.exists():
                path.write_bytes(pickle.dumps(network))
        left = list(jobs)
        for _ in range(ATTEMPTS):
            try:
                for job, found in self._run_once(left):
                    left.remove(job)
                    yield found
                return
            except BrokenProcessPool:
                continue  # what is left is tried again
        raise PenstockError(
            f"processes were killed {ATTEMPTS} times", "--jobs",
            "is there too little memory? take fewer jobs",
        )  # fmt: skip

    def _run_once(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Row]]]:
        """In a pool of its own, whose processes are gone at the end, however it comes."""
        before = multiprocessing.active_children()
        pool = ProcessPoolExecutor(
            min(self.processes, len(jobs)), multiprocessing.get_context("spawn"), _begin
        )
        try:
            with _undisturbed():
                running: dict[Future[dict[str, Row]], Job] = {
                    pool.submit(_done, job, self._folder.name): job for job in jobs
                }
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException:
            for child in multiprocessing.active_children():
                if child not in before:
                    child.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._folder.cleanup()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Processes that are started here are not interrupted while they load what they need, see
    ``_begin``. Nor do they run the caller's script, which they have no use for: it may come from a
    pipe, or lack ``if __name__ == "__main__"`` and explore again.
    """
    main, masks = sys.modules["__main__"], hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else None
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """An interrupt is for the process that gives the jobs: it ends the others. If it is killed,
    they end by themselves.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _done(job: Job, folder: str) -> dict[str, Row]:
    return job.done(lambda: (Path(folder) / job.network).read_bytes())
