"""Random graphs and those written by hand, each value of each step, in one C++ build."""

from __future__ import annotations

from collections import Counter

import pytest
from fuzz.coverage import features
from fuzz.random_graphs import Case, drawn_cases
from fuzz.reduce import reduce_case
from fuzz.trial import Outcome, run_batch
from graphs import GRAPHS

from penstock import Hardware, PenstockError
from penstock.ir.io import dump_graph
from penstock.machine.choose import choose_weights
from penstock.schedule import schedule

pytestmark = pytest.mark.long

HARDWARE = {"pes": 4, "lanes": 2, "elements_per_cycle": 2}
RANDOM = 8
SEEDS = range(11, 21)
DRAWN = 45


def test_kernel_and_interpreter_agree_on_graphs_that_no_frontend_gives(cpp_flags, tmp_path):
    """Those of tests/graphs.py, and a few random ones."""
    cases = [Case(build(), HARDWARE) for build in GRAPHS.values()]
    outcomes = run_batch([*cases, *drawn_cases(7, RANDOM)], tmp_path)
    for name, outcome in zip(GRAPHS, outcomes, strict=False):
        assert outcome.kind == "equal", f"{name}: {outcome.text}"
        assert outcome.values > 500, name
    found = outcomes[len(GRAPHS) :]
    assert [outcome.text for outcome in found if outcome.is_failure] == []
    assert Counter(outcome.kind for outcome in found)["equal"] > RANDOM // 2


def test_most_random_graphs_compile_and_they_contain_whatever_a_graph_can():
    seen: Counter[str] = Counter()
    count = 0
    for case in (case for seed in SEEDS for case in drawn_cases(seed, DRAWN)):
        try:
            plan = schedule(case.graph, Hardware(**case.hardware))
            seen.update(features(choose_weights(case.graph, plan)))
        except PenstockError:
            continue
        count += 1
    assert count >= 0.7 * DRAWN * len(SEEDS)
    assert [feature for feature, cases in seen.items() if cases == 0] == []


def test_a_case_is_the_same_for_the_same_seed():
    first, again = (drawn_cases(3, 4) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert dump_graph(one.graph) == dump_graph(other.graph)
        assert one.hardware == other.hardware


def test_a_failing_case_is_made_smaller_until_nothing_can_go(monkeypatch):
    """As if every graph with a Requant failed."""

    def failing(cases, scratch, seed=1):
        return [
            Outcome("different" if case.graph.of_kind("requant") else "equal") for case in cases
        ]

    monkeypatch.setattr("fuzz.reduce.run_batch", failing)
    case = Case(GRAPHS["old_state_in_a_later_phase"](), HARDWARE | {
        "accumulator_banks": 8, "hazard_distance": 9, "assign": "best", "index_bits": 3,
        "port_bits": 256,
    })  # fmt: skip
    small, outcome = reduce_case(case, Outcome("different"), say=lambda text: None)
    assert outcome.kind == "different"
    assert len(small.graph.of_kind("requant")) == 1
    assert len(small.graph) < len(case.graph) // 2
    assert small.hardware["pes"] == 1 and small.hardware["hazard_distance"] == 4
