"""What a command prints."""

from __future__ import annotations

import os
import subprocess
import sys


def test_names_are_printed_as_they_are(penstock, work, project):
    done = penstock("run", "project", "-i", "x.npy", "-o", "a:bug:[b]\\[c].npy")
    assert done.out.splitlines()[0] == "a:bug:[b]\\[c].npy: 2 x 5 x 6"


def test_names_do_not_command_the_terminal(penstock, work, project):
    done = penstock("run", "project", "-i", "x.npy", "-o", "a\x1b[31m\r\x9bb.npy")
    assert done.out.splitlines()[0] == "a[31mb.npy: 2 x 5 x 6"


def test_a_reader_who_leaves_early_is_no_error(work, project):
    words = ["run", "project", "-i", "x.npy", "-o", "y.npy"]
    buffered = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        [sys.executable, "-m", "penstock", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | buffered,
    ) as running:  # fmt: skip
        running.stdout.close()
        assert running.stderr.read() == b"" and running.wait() == 1
