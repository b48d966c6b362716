"""Whatever stands in a report, it is read or refused in a line."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from synthesis.written import NEW, OLD, write

from penstock.errors import PenstockError
from penstock.synthesis import compare, find_reports
from penstock.synthesis.csynth import DEEPEST, read_csynth
from penstock.synthesis.values import as_values

ROUNDS = 60
WORDS = (
    b"undef", b"-", b"?", b"9" * 5000, b"-1", b"0", b"", b"NA", b"<range>", b"</a>",
    b"\xff\x00", b"1e400", b"II = 0", b"{ }",
)  # fmt: skip


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Some bytes replaced by words that a reader may not expect."""
    for _ in range(generator.randint(1, 3)):
        start = generator.randrange(len(content))
        stop = min(len(content), start + generator.choice((0, 1, 4, 40, 400)))
        content = content[:start] + generator.choice(WORDS) + content[stop:]
    return content


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("which", ["csynth.xml", "sched.rpt", "cosim.rpt", "transaction.rpt"])
def test_damage_is_read_or_refused(plan, good, tmp_path, version, which):
    generator = random.Random(f"{version} {which}")
    solution = write(replace(good, version=version), tmp_path / "solution")
    files = [path for path in solution.rglob("*") if path.name.endswith(which)]
    for _ in range(ROUNDS):
        path = generator.choice(files)
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, generator))
        try:
            as_values(compare(plan, find_reports(tmp_path, str(solution))))
        except PenstockError as error:
            assert "\n" not in error.line()
        path.write_bytes(whole)


def test_loops_in_loops_end(tmp_path):
    depth = 5000
    loops = "<L><TripCount>1</TripCount>" * depth + "</L>" * depth
    path = tmp_path / "csynth.xml"
    path.write_text(
        "<profile><UserAssignments><TopModelName>t</TopModelName></UserAssignments>"
        f"<PerformanceEstimates><SummaryOfLoopLatency>{loops}</SummaryOfLoopLatency>"
        "</PerformanceEstimates></profile>"
    )
    assert len(read_csynth(path, {}).loops) == DEEPEST
