"""What is measured in a process of its own, with as many threads as it is given.

python -m penstock_runtime.bench.child PROJECT cpu|gpu THREADS SEQUENCES REPEAT
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from penstock.reported import read_report
from penstock_runtime.bench import cpu, gpu
from penstock_runtime.bench.planned import matrices_of
from penstock_runtime.project import load_project

CPU, GPU = "cpu", "gpu"


def main(words: list[str]) -> None:
    """Print what was measured as JSON."""
    folder, what, *numbers = words
    threads, sequences, repeat = map(int, numbers)
    project = load_project(folder)
    phases = read_report(Path(folder))["phases"]
    matrices = [matrix for phase in phases for _, matrix in matrices_of(project, phase["matvecs"])]
    if what == GPU:
        found = gpu.measured(matrices, sequences, repeat)
    else:
        keep_to(threads)
        found = cpu.measured(project, matrices, sequences, repeat, has_sparse=threads == 1)
    print(json.dumps(found))


def keep_to(threads: int) -> None:
    """Use no more processors than that, where the system lets a process choose."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


if __name__ == "__main__":
    main(sys.argv[1:])
