"""Jobs on a cluster, by dask.distributed: ``pip install 'penstock[explore]'``."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Iterator, Sequence
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self

from penstock.errors import PenstockError
from penstock.exploration.jobs import Job
from penstock.exploration.network import Network
from penstock.exploration.rows import Row

CONNECT_SECONDS, WORKER_SECONDS, LOOK_SECONDS = 10.0, 60.0, 2.0
"""Until a scheduler must answer, and a worker be there; how often is looked for workers."""
ATTEMPTS = 5
"""So often a job is given anew whose network was lost with a worker, or whose workers died."""


class Cluster:
    """The workers of a scheduler. A context manager.

    Raises PenstockError if it does not answer.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as missing:
            raise PenstockError(
                "a cluster needs dask.distributed", "--scheduler", "pip install 'penstock[explore]'"
            ) from missing
        self.address = address
        self._done: Queue[Any] = Queue()
        try:
            _check_answers(address)
            self._client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:  # the last two: no address at all
            raise PenstockError(
                "the scheduler does not answer", address,
                "start one with: dask scheduler; its address is such as tcp://host:8786",
            ) from error  # fmt: skip

    def run(self, jobs: Sequence[Job], networks: dict[str, Network]) -> Iterator[dict[str, Row]]:
        """What each job gives, as soon as it is done. networks: by their digests.

        A job whose worker dies is done by another. Raises PenstockError if all are gone.
        """
        self._wait_for_workers()
        given = {digest: self._scatter(network) for digest, network in networks.items()}
        attempts = dict.fromkeys(range(len(jobs)), 0)
        running = {self._submit(job, given): number for number, job in enumerate(jobs)}
        try:
            while running:
                for future in self._finished(running):
                    if future not in running:  # it was looked for, and then told
                        continue
                    number = running.pop(future)
                    found = self._result(future)
                    if found is not None:
                        yield found
                        continue
                    attempts[number] += 1
                    if attempts[number] == ATTEMPTS:
                        raise PenstockError(
                            f"workers died {ATTEMPTS} times of the same job", self.address,
                            "is there too little memory?",
                        )  # fmt: skip
                    job = jobs[number]
                    self._wait_for_workers()
                    given[job.network] = self._scatter(networks[job.network])
                    running[self._submit(job, given)] = number
        finally:
            self._client.cancel(list(running))

    def _scatter(self, network: Network) -> Any:
        return self._client.scatter(pickle.dumps(network), broadcast=True, hash=False)

    def _submit(self, job: Job, given: dict[str, Any]) -> Any:
        future = self._client.submit(_done, job, given[job.network], pure=False)
        future.add_done_callback(self._done.put)
        return future

    def _finished(self, running: dict[Any, int]) -> list[Any]:
        """Some that are done, one way or another."""
        while True:
            try:
                return [self._done.get(timeout=LOOK_SECONDS)]
            except Empty:
                self._wait_for_workers()
                lost = [future for future in running if future.status in ("cancelled", "lost")]
                if lost:
                    return lost

    def _result(self, future: Any) -> dict[str, Row] | None:
        """None if the worker or what it was given is gone."""
        from distributed import CancelledError, KilledWorker

        try:
            found: dict[str, Row] = future.result()
        except (KilledWorker, CancelledError):
            return None
        except ModuleNotFoundError as missing:
            raise PenstockError(
                f"a worker lacks {missing.name}", self.address, "install Penstock where it runs"
            ) from missing
        return found

    def _wait_for_workers(self) -> None:
        """Until there is one. Raises PenstockError after a minute, or if the scheduler is gone."""
        until = time.monotonic() + WORKER_SECONDS
        while not self._has_workers():
            if time.monotonic() > until:
                raise PenstockError(
                    "the scheduler has no workers", self.address,
                    f"start some with: dask worker {self.address}",
                )  # fmt: skip
            time.sleep(min(LOOK_SECONDS, 0.2))

    def _has_workers(self) -> bool:
        try:
            if self._client.status == "running":
                return bool(self._client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, TimeoutError):
            pass  # what it tells is that nobody is there
        raise PenstockError(
            "the scheduler is gone", self.address,
            "what was found is kept in the store, if there is one",
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._client.close()


def _check_answers(address: str) -> None:
    """Raise OSError or ValueError unless somebody listens there.

    A client that never was connected would say more, at the end of the program.
    """
    from distributed.comm.addressing import parse_address, parse_host_port

    protocol, rest = parse_address(address)
    if protocol not in ("tcp", "tls"):
        raise ValueError(protocol)
    host, port = parse_host_port(rest)
    socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _done(job: Job, pickled: bytes) -> dict[str, Row]:
    return job.done(lambda: pickled)
