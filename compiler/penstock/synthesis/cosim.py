"""The reports of C/RTL co-simulation: did it pass, and how many cycles did a call take?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import PenstockError
from penstock.synthesis.folders import read_text

PASS = "Pass"
NOT_RUN = "NA"
ROW = re.compile(r"^\|\s*(Verilog|VHDL|SystemC)\s*\|\s*(\w+)\s*\|(.*)\|\s*$", re.M)
TRANSACTION = re.compile(r"^\s*transaction\s+\d+:\s+(\d{1,18})\s", re.M)


@dataclass(frozen=True)
class Cosim:
    """What one language's simulation gave. latency: cycles of a call (min, mean, max)."""

    language: str
    status: str
    latency: tuple[int | None, int | None, int | None]

    @property
    def passed(self) -> bool:
        """The test bench found no difference."""
        return self.status == PASS


def read_cosim(path: Path) -> Cosim | None:
    """The language that was simulated; None if none was. Raises PenstockError for another file."""
    rows = ROW.findall(read_text(path))
    if not rows:
        raise PenstockError(
            "this is no report of co-simulation: it has no row for Verilog or VHDL", str(path),
            "run make cosim again",
        )  # fmt: skip
    for language, status, rest in rows:
        if status != NOT_RUN:
            cells = [cell.strip() for cell in rest.split("|")]
            low, mean, high = (_cycles(cell) for cell in (*cells[:3], "", "", "")[:3])
            return Cosim(language, status, (low, mean, high))
    return None


def read_transactions(path: Path) -> list[int]:
    """Cycles of each call of the top function, in order."""
    return [int(cycles) for cycles in TRANSACTION.findall(read_text(path))]


def _cycles(cell: str) -> int | None:
    return int(cell) if re.fullmatch("[0-9]{1,18}", cell) else None
