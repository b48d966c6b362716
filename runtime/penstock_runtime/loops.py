"""The pipelined loops as C simulation counts them, against those that the timeline is made of."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.packing.schema import LoopFields, When
from penstock.packing.vectors import START_GIVEN, START_ZERO, Call
from penstock_runtime.project import Project


@dataclass(frozen=True)
class WrongCount:
    """A loop that goes round more or less often than planned, in the first call that shows it."""

    process: str
    loop: str
    call: int
    planned: int
    counted: int | None

    def __str__(self) -> str:
        counted = "no count of it" if self.counted is None else f"{self.counted} iterations"
        return (
            f"loop {self.loop} of {self.process}, call {self.call}: {self.planned} iterations "
            f"planned, C simulation has {counted}"
        )


def planned(project: Project, call: Call) -> dict[str, int]:
    """Iterations of every loop in a call, in the order in which the kernel counts them."""
    found: dict[str, int] = {}
    for loop in project.manifest.loops:
        found[loop.name] = found.get(loop.name, 0) + loop.iterations * _times(loop, call)
    return found


def _times(loop: LoopFields, call: Call) -> int:
    return {
        When.STEP: call.steps, When.CALL: 1,
        When.RELOAD: int(call.reload), When.STORE: int(call.store),
        When.GIVEN: int(call.start == START_GIVEN), When.ZERO: int(call.start == START_ZERO),
    }[loop.when]  # fmt: skip


def wrong_count(project: Project, calls: list[Call], text: str) -> WrongCount | None:
    """The first loop that C simulation counted otherwise than planned.

    text: what the test bench wrote, a line for each call.
    """
    processes = {loop.name: loop.process for loop in project.manifest.loops}
    lines = text.splitlines()
    for number, call in enumerate(calls):
        counts = [int(word) for word in lines[number].split()] if number < len(lines) else []
        wanted = planned(project, call)
        for index, (name, iterations) in enumerate(wanted.items()):
            counted = counts[index] if index < len(counts) else None
            if counted != iterations:
                return WrongCount(processes[name], name, number, iterations, counted)
    return None
