"""One command at a time in a project folder: a lock that dies with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import PenstockError

WAIT_SECONDS = 10.0
"""How long to wait for another command: writing a project takes less, C simulation may not."""
PAUSE_SECONDS = 0.02
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
"""What file systems without locks answer; there, two commands at once are the user's to avoid."""


@contextmanager
def locked(
    folder: Path, *, shared: bool = False, wait_seconds: float | None = None
) -> Iterator[int]:
    """Hold the folder's lock: any number of readers (``shared``), or one that writes.

    Gives a descriptor of the folder. The lock is the folder's own (flock on the folder itself): it
    leaves no file behind, works where nothing can be written, and ends with the process.
    Raises PenstockError if another command keeps it longer than ``wait_seconds`` (by default
    ``WAIT_SECONDS``), OSError if there is no such folder.
    """
    until = time.monotonic() + (WAIT_SECONDS if wait_seconds is None else wait_seconds)
    handle = _try_lock(folder, shared)
    while handle is None:
        if time.monotonic() > until:
            raise PenstockError(
                "another penstock command is using this folder",
                str(folder),
                "try again when it has finished",
            )
        time.sleep(PAUSE_SECONDS)
        handle = _try_lock(folder, shared)
    try:
        yield handle
    finally:
        os.close(handle)


def _try_lock(folder: Path, shared: bool) -> int | None:
    """The folder's descriptor with the lock on it; None if another command has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if os.path.samestat(folder.stat(), os.fstat(handle)):  # nobody put another in its place
            return handle
    except BlockingIOError:
        pass
    except OSError as error:
        if error.errno in NO_LOCKS:
            return handle
        os.close(handle)
        raise
    os.close(handle)
    return None
