"""Several recurrent modules in one state dict -> their order, where their sizes leave only one."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.frontend.recurrent import Directions

MOST = 8
"""Modules whose order is looked for."""
LIVE = "compile the live module, an .onnx or a .pt2 file, or only a part with --only PREFIX"


@dataclass(frozen=True)
class Stack:
    """The layers of one module."""

    title: str
    layers: list[Directions]

    @property
    def inputs(self) -> int:
        """Width of what it reads."""
        return self.layers[0][0].inputs

    @property
    def outputs(self) -> int:
        """Width of what its last layer gives."""
        return sum(part.outputs for part in self.layers[-1])

    @property
    def is_bidirectional(self) -> bool:
        """True if its last layer has two directions."""
        return len(self.layers[-1]) == 2

    def __str__(self) -> str:
        return f"{self.title} ({self.inputs} -> {self.outputs})"


def in_order(stacks: list[Stack], where: str, notes: list[str]) -> list[Stack]:
    """One behind the other. Raises PenstockError unless exactly one order is possible."""
    if len(stacks) == 1:
        return stacks
    found = _orders(stacks) if len(stacks) <= MOST else []
    if len(found) != 1:
        raise PenstockError(
            f"there are {len(stacks)} recurrent modules: {', '.join(map(str, stacks))}",
            where,
            f"neither names nor sizes tell their order; {LIVE}",
        )
    order = " -> ".join(stack.title for stack in found[0])
    notes.append(f"{order}: assumed to follow one another, as their sizes allow no other order")
    return found[0]


def check_chain(stacks: list[Stack], where: str) -> None:
    """Refuse modules of which each could as well read the frames: nothing behind them decides."""
    if len(stacks) > 1 and all(stack.inputs == stacks[0].inputs for stack in stacks):
        raise PenstockError(
            f"there are {len(stacks)} recurrent modules, which may follow one another or all read "
            f"the frames: {', '.join(map(str, stacks))}",
            where,
            LIVE,
        )


def _orders(stacks: list[Stack]) -> list[list[Stack]]:
    """All orders in which each reads what the one before gives; no more than two of them."""
    found: list[list[Stack]] = []

    def extend(order: list[Stack], rest: list[Stack]) -> None:
        if not rest:
            found.append(order)
        for stack in rest:
            if len(found) < 2 and (not order or order[-1].outputs == stack.inputs):
                extend([*order, stack], [other for other in rest if other is not stack])

    extend([], stacks)
    return found
