"""Compile small projects with the Penstock on PYTHONPATH, and run ``penstock check`` on each.

    python check_projects.py FOLDER

Exit status 1 at the first that can't be compiled or does not pass. The networks use, between them,
projection, peepholes, several lanes, scales of rows, interpolation, both directions, every kind of
head, a GRU, bubbles, and graphs whose states wait for the end of the step.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from graphs import GRAPHS
from support import random_model

from penstock import Hardware, Precision
from penstock.cli.main import app
from penstock.driver import compile_graph, compile_model

NETWORKS = {
    "projection": (
        {"cells": (13,), "outputs": 6, "peephole": True, "head": 3, "at": "step"},
        {"pes": 4, "lanes": 2, "assign": "balance"},
        {"weights": 5, "inputs": 8, "row_scales": True},
    ),
    "both directions": (
        {"cells": (6, 8), "bidirectional": [True, False], "head": 5, "activation": "argmax"},
        {"pes": 4, "lanes": 4, "max_steps": 9}, {"table_entries": 64, "interpolate_bits": 4},
    ),
    "final state": (
        {"cells": (5,), "bidirectional": True, "head": 2, "at": "final", "activation": "sigmoid"},
        {"pes": 5, "hazard_distance": 9, "accumulator_banks": 4, "elements_per_cycle": 5}, {},
    ),
}  # fmt: skip
DRAWN = (
    "old_state_in_a_later_phase", "state_gathered_behind_its_write", "carried_between_sweeps",
    "products_of_different_vectors",
)  # fmt: skip


def compiled(folder: Path):
    """(name, folder) of each project, one by one."""
    for name, (model, hardware, precision) in NETWORKS.items():
        network = random_model(**model, pes=hardware["pes"], seed=3)
        project = compile_model(network, None, Hardware(**hardware), Precision(**precision))
        yield name, project.write(folder / name.replace(" ", "_"))
    for name in DRAWN:
        project = compile_graph(GRAPHS[name](), Hardware(pes=2, lanes=2, max_steps=9))
        yield name, project.write(folder / name)


def main() -> int:
    """One line for each project."""
    for name, project in compiled(Path(sys.argv[1])):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            status = app(["check", str(project)], prog_name="penstock", standalone_mode=False)
        print(f"{name}: {'FAIL' if status else 'PASS'}", flush=True)
        if status:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
