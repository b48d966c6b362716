"""One batch of cases: compiled, built together, and each compared value by value."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from batch import build
from fuzz.coverage import features
from fuzz.observe import compared, observable, observe
from fuzz.random_graphs import Case

from penstock import Hardware, PenstockError
from penstock.driver import Compiled, compile_graph
from penstock.ir import Graph
from penstock.ir.io import dump_graph, parse_graph
from penstock.ops import REGISTRY
from penstock_runtime import Project, load_project
from penstock_runtime.compare import check

Attempt = Case | Callable[[], Compiled]
"""What a batch is made of: a graph with its hardware, or what compiles a network."""
FAILURES = ("different", "crash", "unreadable", "broken off", "no C++")
STEPS = 3


@dataclass(frozen=True)
class Outcome:
    """What became of a case. kind: equal, refused, or one of FAILURES.

    text: why. values: compared with C simulation. features: what a compiled case contains.
    reason: of a refusal, by the error's hint, which hardly differs from case to case.
    """

    kind: str
    text: str = ""
    values: int = 0
    features: dict[str, bool] = field(default_factory=dict)
    reason: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether something has to be mended."""
        return self.kind in FAILURES

    @property
    def stem(self) -> str:
        """The text without what differs from case to case: names and numbers."""
        words = self.text.split(" @ ")[0].split()
        return f"{self.kind}: {' '.join(w for w in words if w.isalpha())[:80]}"


def compiled(case: Case) -> Compiled:
    """Compile a case. Raises PenstockError."""
    return compile_graph(case.graph, Hardware(**case.hardware))


def run_batch(cases: Sequence[Attempt], scratch: Path, seed: int = 1) -> list[Outcome]:
    """An outcome for each case; ``scratch`` takes the projects and their common build."""
    outcomes: list[Outcome | None] = [None] * len(cases)
    projects: dict[Path, tuple[int, Project, dict[str, bool]]] = {}
    for number, case in enumerate(cases):
        folder = scratch / f"case_{number}"
        prepared = _prepare(case, folder)
        if isinstance(prepared, Outcome):
            outcomes[number] = prepared
        else:
            projects[folder] = (number, *prepared)
    made = build(list(projects), scratch) if projects else {}
    for folder, (number, project, found) in projects.items():
        outcomes[number] = replace(_compare(project, made[folder], seed), features=found)
    return [outcome for outcome in outcomes if outcome is not None]


def _prepare(case: Attempt, folder: Path) -> tuple[Project, dict[str, bool]] | Outcome:
    try:
        if isinstance(case, Case):
            _check_saved(case.graph)
        with observable():
            project = compiled(case) if isinstance(case, Case) else case()
        project.write(folder)
        observe(project, folder)
    except PenstockError as error:
        return Outcome("refused", str(error), reason=re.sub(r"\d+", "N", error.hint))
    except Exception as error:
        return _crash(error)
    try:
        return load_project(folder), features(project.machine)
    except PenstockError as error:  # of a project that has just been written
        return Outcome("unreadable", str(error))
    except Exception as error:
        return _crash(error)


def _crash(error: Exception) -> Outcome:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return Outcome("crash", f"{type(error).__name__}: {error} @ {where}")


def _check_saved(graph: Graph) -> None:
    """A saved graph is the graph again, to the last byte."""
    saved = dump_graph(graph)
    again = parse_graph(*saved, REGISTRY, "saved graph")
    assert dump_graph(again) == saved, "a saved graph reads as another one"


def _compare(project: Project, built: Path | str, seed: int) -> Outcome:
    if isinstance(built, str):
        return Outcome("no C++", built)
    try:
        with compared():
            result = check(project, STEPS, seed, executable=built)
    except PenstockError as error:
        return Outcome("broken off", str(error))
    except Exception as error:
        return _crash(error)
    if result.difference is not None:
        return Outcome("different", str(result.difference))
    return Outcome("equal", values=sum(result.values.values()))
