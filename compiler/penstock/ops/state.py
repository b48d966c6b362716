"""StateRead and StateWrite: what a step knows of the one before it.

Twins: templates/hls/ops/{state_read,state_write}.h.j2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from penstock.fixed import Fixed, IntArray
from penstock.ir.op import Cost, Step, Tensor, Traits, Value, require


@dataclass(frozen=True)
class StateRead(Traits):
    """The state ``state`` as the step before left it; before the first step, the initial state.

    So it is wherever the node stands in the step: a write counts from the step's end.
    """

    kind: ClassVar[str] = "state_read"
    is_source: ClassVar[bool] = True
    state: str
    length: int
    type: Fixed

    @property
    def reads(self) -> str:  # noqa: D102
        return self.state

    def infer(self) -> Tensor:  # noqa: D102
        require(self.length >= 1, f"a vector of {self.length} values")
        return Tensor((self.length,), self.type, self.type.raw_min, self.type.raw_max)

    def eval(self, step: Step) -> IntArray:  # noqa: D102
        return step.read_state(self.state)

    def cost(self) -> Cost:  # noqa: D102
        return Cost()


@dataclass(frozen=True)
class StateWrite(Traits):
    """x becomes the state ``state`` at the end of the step, in lanes that have this step.

    x: (n)  ->  the same, the new value.
    """

    kind: ClassVar[str] = "state_write"
    state: str

    @property
    def writes(self) -> str:  # noqa: D102
        return self.state

    def infer(self, x: Tensor) -> Tensor:  # noqa: D102
        require(len(x.shape) == 1, "a state is a vector")
        return x

    def eval(self, step: Step, x: Value) -> IntArray:  # noqa: D102
        step.write_state(self.state, x.raw)
        return x.raw

    def cost(self, x: Tensor) -> Cost:  # noqa: D102
        return Cost(latency_cycles=1)
