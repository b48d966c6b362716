"""The table of docs/exploring.md."""

from __future__ import annotations

import sys
from pathlib import Path

from support import random_model

from penstock.exploration import explore

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import explore as benchmark


def test_the_table_has_a_line_for_each_point_of_the_front():
    found = explore(random_model(), {"pes": [2, 4], "weights": [6, 9]})
    head, rule, *lines = benchmark.front_lines(found)
    assert head.startswith("| point | pes | weight-bits | us/step |") and set(rule) == {"|", "-"}
    assert len(lines) == len(found.front)
    cycles = [f"{one.figures.cycles_per_step:,}" for one in found.front]
    assert [line.split(" | ")[4] for line in lines] == cycles
    assert benchmark.speed_line("x", found, 2.0) == "| x | 4 | 2.0 | 120 |"


def test_the_page_has_the_table_that_is_printed():
    text = benchmark.PAGE.read_text().partition("<!-- explore -->")[2]
    assert text.count("\n| PEs") == 2 and "make bench-explore" in text
