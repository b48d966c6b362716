"""Arrays in which each group has a part of its own: one for all groups, or one for some each.

Tools cut no array into more than so many memories; where PEs have more of a kind, the groups share
several arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from penstock.machine import Machine

SHAPES = {
    "acc": "[GROUP_PES][BANKS][ACC_DEPTH]",
    "sums": "[GROUP_PES][SIBLINGS][SUM_ROWS]",
}
"""What each group has, in C++."""


@dataclass(frozen=True)
class GroupArray:
    """One array. first, end: its groups; groups: how many, in C++."""

    name: str
    first: int
    end: int
    groups: str


def group_arrays(name: str, blocks: list[range]) -> list[GroupArray]:
    """``name`` for all groups, or ``name_0``, ``name_1``, ... for some groups each."""
    if len(blocks) == 1:
        return [GroupArray(name, blocks[0].start, blocks[0].stop, "GROUPS")]
    return [
        GroupArray(f"{name}_{number}", own.start, own.stop, str(len(own)))
        for number, own in enumerate(blocks)
    ]


def acc_arrays(machine: Machine) -> list[GroupArray]:
    """The accumulators."""
    return group_arrays("acc", machine.accumulator_arrays)


def sums_arrays(machine: Machine) -> list[GroupArray]:
    """What the cell units work on, if products overlap with them."""
    return group_arrays("sums", machine.sums_arrays)


def parameters_of(arrays: list[GroupArray]) -> list[str]:
    """As a function declares them."""
    shape = SHAPES[arrays[0].name.partition("_")[0]]
    return [f"sums_t {array.name}[{array.groups}]{shape}" for array in arrays]


def arrays_code(kind: str, arrays: list[GroupArray]) -> dict[str, Any]:
    """What templates are told of accumulators or sums: the arrays, parameters and arguments."""
    return {
        f"{kind}_arrays": arrays, f"{kind}_parameters": parameters_of(arrays),
        f"{kind}_names": ", ".join(array.name for array in arrays),
    }  # fmt: skip


def spans_of(groups: int, *kinds: list[GroupArray]) -> list[dict[str, Any]]:
    """Groups whose arrays are the same, of every kind: first, end, and of each kind the array."""
    starts = sorted({array.first for arrays in kinds for array in arrays})
    return [
        {
            "first": first, "end": end,
            "arrays": [
                next(array for array in reversed(arrays) if array.first <= first)
                for arrays in kinds
            ],
        }
        for first, end in pairwise([*starts, groups])
    ]  # fmt: skip
