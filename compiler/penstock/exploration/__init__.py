"""Design-space exploration: which settings are worth building, and what each costs.

axes.py: settings with several values. space.py: all points. study.py, trainings.py: of which
network. network.py, evaluate.py: what a point takes, by the compiler's own stages. jobs.py,
local.py, cluster.py: where that is computed. store.py: where it is kept. search.py: in which order.
pareto.py, result.py: what is worth keeping. values.py, texts.py, page.py, charts.py: how it is
shown.

What loads the compiler is imported when it is first asked for: options need the axes alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.exploration.exploring import explore
    from penstock.exploration.result import Exploration, Found, State
    from penstock.exploration.trainings import Trainings

__all__ = ["Exploration", "Found", "State", "Trainings", "explore"]

_MODULES = {
    "Exploration": "result", "Found": "result", "State": "result", "Trainings": "trainings",
    "explore": "exploring",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
