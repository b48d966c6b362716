"""<function>.verbose.sched.rpt: in which stage of a pipeline a memory is read and written.

A line for each operation and each cycle that it takes, in all versions from 2019.2 to 2025.2:

    ST_6 : Operation 31 [2/2] (1.23ns)   --->   "%sum = load i5 %acc_addr" [...]   --->   ...

``[2/2]`` is the first of two cycles, ``[1/2]`` the second. An address is the result of a
``getelementptr`` on an array; loads and stores without one are of registers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import PenstockError
from penstock.synthesis.folders import read_text

PIPELINE = re.compile(
    r"^ *Pipeline-\d+ : II = ([1-9]\d{0,8}), D = \d+, States = \{((?: \d{1,9})*) \}", re.M
)
OPERATION = re.compile(r'^ST_(\d{1,9}) : Operation \d+ \[\d+/\d+\].*?--->\s+"([^"]*)"', re.M)
ADDRESS = re.compile(r"%(\S+) = getelementptr (?:inbounds )?[^%]*%([^\s,]+)")
LOAD = re.compile(r"= load [^%]*%([^\s,]+)")
STORE = re.compile(r"(?:^| )store .*%([^\s,]+)(?:, align \d+)?$")


@dataclass(frozen=True)
class Update:
    """An array that a pipeline reads, changes and writes back.

    load, store: the stage in which a read begins, and the last in which a write does, from 0 on.
    """

    function: str
    array: str
    ii: int
    load: int
    store: int

    @property
    def cycles(self) -> int:
        """From one read to the first that sees what was written: a write ends with its stage."""
        return self.store - self.load + 1

    @property
    def iterations(self) -> int:
        """How many iterations later an address may be used again."""
        return -(-self.cycles // self.ii)


def read_updates(path: Path, function: str) -> list[Update]:
    """Every array that is loaded from and stored to in the same pipeline.

    Raises PenstockError for a file that is no schedule report.
    """
    text = read_text(path)
    operations = [(int(state), code) for state, code in OPERATION.findall(text)]
    if not operations:
        raise PenstockError(
            "this is no schedule report: it lists no operations", str(path), "run make csynth again"
        )
    found = []
    for ii, states in PIPELINE.findall(text):
        stages = {int(state): stage for stage, state in enumerate(states.split())}
        found += _updates(function, int(ii), stages, operations)
    return found


def _updates(
    function: str, ii: int, stages: dict[int, int], operations: Iterable[tuple[int, str]]
) -> list[Update]:
    arrays = _arrays(code for _, code in operations)
    loads: dict[str, int] = {}
    stores: dict[str, int] = {}
    for state, code in operations:
        if state not in stages:
            continue
        stage = stages[state]
        if (array := _array(LOAD, code, arrays)) is not None:
            loads[array] = min(stage, loads.get(array, stage))
        elif (array := _array(STORE, code, arrays)) is not None:
            stores[array] = max(stage, stores.get(array, stage))
    return [
        Update(function, array, ii, loads[array], stores[array])
        for array in sorted(loads.keys() & stores.keys())
        if loads[array] <= stores[array]  # else it is written first, and read from there
    ]


def _arrays(codes: Iterable[str]) -> dict[str, str]:
    """Address -> the array that it lies in."""
    return {found[1]: found[2] for code in codes if (found := ADDRESS.match(code))}


def _array(pattern: re.Pattern[str], code: str, arrays: dict[str, str]) -> str | None:
    found = pattern.search(code)
    return arrays.get(found[1]) if found else None
