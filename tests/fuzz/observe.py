"""Every computed value of a step in the trace: a line behind each operation of the cell unit.

The kernel itself traces accumulators, states and captures. A line that only writes to the trace
changes nothing else, so the rest of the kernel is tested as it is emitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from penstock.codegen.hls.names import Names
from penstock.driver import Compiled
from penstock.machine import units
from penstock.machine.units import Action
from penstock.ops import REGISTRY
from penstock_runtime import expected

ELSEWHERE = (*expected.TRACED, "argmax", "output")
"""Traced by the kernel, or results."""
EVERYTHING = (
    *expected.TRACED,
    *(kind for kind, op in REGISTRY.items() if not op.is_source and kind not in ELSEWHERE),
)
"""The operations that check compares inside ``compared``."""


@contextmanager
def observable() -> Iterator[None]:
    """Compile projects whose cell units all know the lanes and the step that a trace needs."""
    with (
        mock.patch.object(units, "_looks_at_lanes", return_value=True),
        mock.patch.object(units, "_looks_at_step", return_value=True),
    ):
        yield


@contextmanager
def compared() -> Iterator[None]:
    """Let check compare every computed value, of a project that ``observe`` has changed."""
    with mock.patch.object(expected, "TRACED", EVERYTHING):
        yield


def observe(compiled: Compiled, folder: Path) -> None:
    """Trace what the cell units compute in the project in ``folder``, compiled ``observable``."""
    path = folder / "kernel/cell_unit.h"
    names = Names(compiled.machine)
    numbers = {node.name: number for number, node in enumerate(compiled.graph.nodes())}
    head, *functions = re.split(r"(?=^static void )", path.read_text(), flags=re.M)
    if compiled.machine.programs:  # the units stand in the loops of the sweeps
        head, *functions = re.split(
            r"(?=^    if \((?:acting|move) == )", path.read_text(), flags=re.M
        )
    where = _places(compiled, names, functions)
    for phase in compiled.machine.phases:
        local, at = names.locals_of(phase), where[phase.name]
        for line in phase.unit.lines:
            if line.action is Action.COMPUTE:
                functions[at] = _traced(functions[at], local[line.node], numbers[line.node])
    path.write_text(head + "".join(functions))


def _places(compiled: Compiled, names: Names, functions: list[str]) -> dict[str, int]:
    """Phase -> which of the pieces of text is its unit."""
    programs = compiled.machine.programs
    if not programs:
        by_name = {re.match(r"static void (\w+)\(", text)[1]: n for n, text in enumerate(functions)}
        return {phase.name: by_name[names.unit(phase.name)] for phase in compiled.machine.phases}
    units = [n for n, text in enumerate(functions) if text.startswith("    if (acting == ")]
    phases = [phase.name for program in programs.values() for phase in program.phases]
    return dict(zip(phases, units, strict=True))


def _traced(text: str, variable: str, number: int) -> str:
    """Trace ``variable`` behind its definition."""
    line = f" if (valid[lane]) TRACE({number}, step, lane, position, raw_of({variable}));"
    definition = rf"(^ +const ap_u?fixed<[^;]*> {variable} =[^;]*;)"
    text, count = re.subn(definition, lambda found: found[1] + line, text, flags=re.M)
    assert count == 1, f"{count} definitions of {variable}"
    return text
