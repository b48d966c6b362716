"""Which loop of the reports is which loop of the plan.

The tool moves a pipelined loop into a module of its own (``spmv_group_Pipeline_WORDS``), may
inline a function into its caller, makes one loop of perfectly nested ones (``OUTER_INNER``), and
numbers copies of a function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.synthesis.csynth import Csynth, Loop


@dataclass(frozen=True)
class Matched:
    """A loop of the plan and all that became of it: a loop for each copy of its function."""

    name: str
    ii: int
    found: tuple[Loop, ...]


def match_loops(expected: Mapping[str, int], csynth: Csynth) -> list[Matched]:
    """For each loop of the plan, those of the reports."""
    found: dict[str, list[Loop]] = {name: [] for name in expected}
    for loop in csynth.loops:
        for name in _names(loop, list(expected), csynth.modules):
            found[name].append(loop)
    return [Matched(name, ii, tuple(found[name])) for name, ii in expected.items()]


def _names(loop: Loop, expected: Iterable[str], modules: frozenset[str]) -> list[str]:
    """The planned loops that this one is; several where inlining leaves it open."""
    same = [name for name in expected if _has_label(loop.name, _label(name))]
    longest = max((len(_label(name)) for name in same), default=0)
    same = [name for name in same if len(_label(name)) == longest]
    own = [name for name in same if is_of(loop.module, _function(name))]
    if own:
        nearest = max(len(_function(name)) for name in own)
        return [name for name in own if len(_function(name)) == nearest]
    return [name for name in same if not any(is_of(each, _function(name)) for each in modules)]


def is_of(module: str, function: str) -> bool:
    """True if the tool made the module of this function, or of a copy of it."""
    return re.search(rf"(?:^|_){re.escape(function)}(?:_|\d|$)", module) is not None


def _has_label(name: str, label: str) -> bool:
    ending = rf"{re.escape(label)}_\d+" if label.startswith("VITIS_LOOP_") else re.escape(label)
    return re.search(rf"(?:^|_){ending}$", name) is not None


def _function(name: str) -> str:
    return name.partition(".")[0]


def _label(name: str) -> str:
    return name.partition(".")[2]
