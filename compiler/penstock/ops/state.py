"""StateRead and StateWrite: what a step knows of the one before it.

Twins: templates/hls/ops/{state_read,state_write}.h.j2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penstock.fixed import Fixed, IntArray
from penstock.ir.op import Cost, Step, Tensor, Value, require


@dataclass(frozen=True)
class StateRead:
    """The state ``state`` as the step before left it; before the first step, the initial state."""

    kind: ClassVar[str] = "state_read"
    state: str
    length: int
    type: Fixed

    def infer(self) -> Tensor:  # noqa: D102
        return Tensor((self.length,), self.type, self.type.raw_min, self.type.raw_max)

    def eval(self, step: Step) -> IntArray:  # noqa: D102
        return step.read_state(self.state)

    def cost(self) -> Cost:  # noqa: D102
        return Cost()


@dataclass(frozen=True)
class StateWrite:
    """x becomes the state ``state``, in lanes whose sequence has this step; others keep theirs."""

    kind: ClassVar[str] = "state_write"
    state: str

    def infer(self, x: Tensor) -> Tensor:  # noqa: D102
        require(len(x.shape) == 1, "a state is a vector")
        return x

    def eval(self, step: Step, x: Value) -> IntArray:  # noqa: D102
        step.write_state(self.state, x.raw)
        return x.raw

    def cost(self, x: Tensor) -> Cost:  # noqa: D102
        return Cost(latency_cycles=1)
