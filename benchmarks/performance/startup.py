"""Start-up: CPU seconds of a whole process, from nothing to its end.

    python benchmarks/performance/startup.py [--runs 15] [--before CHECKOUT] [--write]

Each row is a command in a process of its own; its figure is the median of ``runs``, user and system
time together, so that a busy machine says the same as an idle one, or nearly. Byte-compiled caches
count as warm: a run before those that count makes them. Goals "beyond NumPy" are told less NumPy's
own import. ``--before`` measures another checkout as well, in turn with this one. ``--write`` puts
the figures into results/startup.json, of which ``table`` makes the table in docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from children import save

ROOT = Path(__file__).resolve().parents[2]
NAME = "startup"
INPUTS, CELLS, STEPS, PES, SEED = 4, 6, 5, 2, 7
NUMPY = "import numpy"
GOALS = {"penstock --help": 0.25, "import penstock_runtime": 0.1, "penstock run": 0.4}
"""Seconds; where NumPy is no part of the goal, see ``BEYOND_NUMPY``."""
BEYOND_NUMPY = ("import penstock_runtime",)


def small_project(folder: Path) -> None:
    """A project of one small LSTM, and frames for it in x.npy."""
    from penstock import Hardware
    from penstock.driver import compile_model
    from penstock.layers import Lstm
    from penstock.layers.lstm import GATES
    from penstock.model import stack

    generator = np.random.default_rng(SEED)

    def weights(*shape: int) -> dict[str, np.ndarray]:
        return {gate: generator.normal(0, 0.5, shape) for gate in GATES}

    layer = Lstm(weights(CELLS, INPUTS), weights(CELLS, CELLS), weights(CELLS), {}, None, "tanh")
    compile_model(stack([(layer,)]), None, Hardware(pes=PES)).write(folder / "project")
    np.save(folder / "x.npy", generator.normal(size=(STEPS, INPUTS)))


def commands(folder: Path) -> dict[str, list[str]]:
    """Name -> arguments of the Python interpreter."""
    run = ["run", str(folder / "project"), "-i", str(folder / "x.npy"), "-o", str(folder / "y.npy")]
    imports = [NUMPY, "import penstock_runtime", "import penstock"]
    lines = [["--version"], ["--help"], ["compile", "--help"]]
    return {
        "python": ["-c", ""],
        **{line: ["-c", line] for line in imports},
        **{f"penstock {' '.join(words)}": ["-m", "penstock", *words] for words in lines},
        "penstock run": ["-m", "penstock", *run],
    }


def start(arguments: list[str], checkout: Path) -> None:
    """Run one to its end, on the compiler and runtime of ``checkout``."""
    path = os.pathsep.join(str(checkout / part) for part in ("compiler", "runtime"))
    environment = os.environ | {"PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    words = [sys.executable, *arguments]
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(arguments: list[str], checkout: Path) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start(arguments, checkout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def medians(runs: int, checkouts: list[Path]) -> list[dict[str, float]]:
    """For each checkout, name -> CPU seconds; all take turns, so that they see one machine."""
    with tempfile.TemporaryDirectory() as home:
        todo = []
        for index, checkout in enumerate(checkouts):
            folder = Path(home, str(index))
            folder.mkdir()
            start([__file__, "--make", str(folder)], checkout)
            todo += [(index, name, words) for name, words in commands(folder).items()]
        taken: list[dict[str, list[float]]] = [{} for _ in checkouts]
        for _ in range(runs + 1):
            for index, name, words in todo:
                seconds = cpu_seconds(words, checkouts[index])
                taken[index].setdefault(name, []).append(seconds)
    return [{name: statistics.median(own[1:]) for name, own in one.items()} for one in taken]


def measure(runs: int, before: Path | None) -> list[dict[str, Any]]:
    """A row for each command."""
    found, *old = medians(runs, [ROOT, *([before] if before else [])])
    return [
        {
            "name": name,
            "cpu_s": round(seconds, 3),
            "beyond_numpy_s": round(seconds - found[NUMPY], 3) if name in BEYOND_NUMPY else None,
            "before_s": round(old[0][name], 3) if old else None,
            "goal_s": GOALS.get(name),
        }
        for name, seconds in found.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    is_compared = any(row["before_s"] is not None for row in rows)
    titles = ["CPU seconds", *(["before"] if is_compared else []), "now", "goal"]
    lines = [f"| {' | '.join(titles)} |", "|---|" + "--:|" * (len(titles) - 1)]
    for row in rows:
        before = [f"{row['before_s']:.2f}"] if is_compared else []
        now, goal = f"{row['cpu_s']:.2f}", "" if row["goal_s"] is None else f"{row['goal_s']:.2f}"
        if row["beyond_numpy_s"] is not None:
            now, goal = f"{now} (NumPy + {row['beyond_numpy_s']:.2f})", f"NumPy + {goal}"
        cells = ["`" + row["name"] + "`", *before, now, goal]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; with ``--write``, keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15, help="runs of each command")
    parser.add_argument("--write", action="store_true", help=f"write results/{NAME}.json")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        small_project(given.make)
        return 0
    rows = measure(given.runs, given.before)
    print(table(rows))
    if given.write:
        save(NAME, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
