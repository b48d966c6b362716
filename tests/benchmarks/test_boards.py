"""benchmarks/boards.py: its table says what the compiler chooses."""

import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"


def cells(line):
    """Of a line of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_small_boards_hold_the_digits_network(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    boards = import_module("boards")
    heading, _, *rows = boards.lines(["digits"], ["pynq-z2", "kv260"])
    sys.modules.pop("boards")
    assert cells(heading)[:3] == ["network", "board", "PEs"]
    for board, row in zip(("pynq-z2", "kv260"), rows, strict=True):
        name, on, pes, *_ = cells(row)
        assert (name, on) == ("digits", board) and int(pes) > 4
