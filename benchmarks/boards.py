"""What the compiler chooses for each board, of networks of some sizes at 10 % density.

    python benchmarks/boards.py [--board NAME] [--network NAME] [--write]

A network is an LSTM with a Linear head at every step; its weights are random. The time is that of a
step, waits for memory included. ``--write`` puts the table into docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from story import RESULTS, replace_section

from penstock.calibration import calibrate
from penstock.devices import BOARDS
from penstock.errors import PenstockError
from penstock.frontend import HeadOptions, from_state_dict
from penstock.ir import Graph
from penstock.lowering import lower
from penstock.machine.choose import choose
from penstock.settings import Hardware, Precision

NETWORKS = {"digits": (8, 128, 10), "phones": (40, 256, 40), "speech": (153, 1024, 64)}
"""Name -> inputs, cells, classes."""
DENSITY = 0.1
HEADINGS = ("PEs", "elements", "overlap", "weights", "cycles", "us")


def graph_of(inputs: int, cells: int, classes: int) -> Graph:
    """The network in integers."""
    generator = np.random.default_rng(1)

    def sparse(rows: int, columns: int) -> np.ndarray:
        return generator.normal(0, 0.3, (rows, columns)) * (
            generator.random((rows, columns)) < DENSITY
        )

    tensors = {
        "lstm.weight_ih_l0": sparse(4 * cells, inputs), "lstm.bias_ih_l0": np.zeros(4 * cells),
        "lstm.weight_hh_l0": sparse(4 * cells, cells), "lstm.bias_hh_l0": np.zeros(4 * cells),
        "head.weight": generator.normal(0, 0.1, (classes, cells)), "head.bias": np.zeros(classes),
    }  # fmt: skip
    network = from_state_dict(tensors, "network", HeadOptions("step"), True, "network", ())
    return lower(network, calibrate(network, None), Precision())


def chosen(graph: Graph, board: str) -> tuple[tuple[str, ...], str]:
    """A row of the table, and what limits; or why nothing fits."""
    try:
        machine, notes = choose(graph, Hardware(board=board))
    except PenstockError as error:
        return ("-",) * len(HEADINGS), error.line()
    hardware, step = machine.hardware, machine.timeline.step
    row = (
        str(hardware.pes), str(hardware.cell_units), "yes" if hardware.overlaps else "no",
        "on chip" if machine.on_chip else "streamed", f"{step:,}",
        f"{step / hardware.clock_mhz:.2f}",
    )  # fmt: skip
    (choice,) = [note for note in notes if "the compiler chose" in note]
    return row, choice.partition(": ")[2]


def lines(networks: list[str], boards: list[str]) -> Iterator[str]:
    """The table."""
    titles = ("network", "board", *HEADINGS, "what limits")
    yield f"| {' | '.join(titles)} |"
    yield "|---|---|" + "---:|" * len(HEADINGS) + "---|"
    for name in networks:
        graph = graph_of(*NETWORKS[name])
        for board in boards:
            row, limit = chosen(graph, board)
            yield f"| {' | '.join((name, board, *row, limit))} |"


def main() -> None:
    """Print the table."""
    names = [board.name for board in BOARDS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", choices=names)
    parser.add_argument("--network", choices=NETWORKS)
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    given = parser.parse_args()
    networks = [given.network] if given.network else list(NETWORKS)
    printed = []
    for line in lines(networks, [given.board] if given.board else names):
        print(line, flush=True)
        printed.append(line)
    if given.write:
        printed.append(
            f"\nPrinted by `make bench-boards` on {date.today()}, {os.cpu_count()} cores, "
            f"{platform.machine()}, Python {platform.python_version()}."
        )
        replace_section(RESULTS, "boards", "\n".join(printed))


if __name__ == "__main__":
    main()
