"""ArgMax and Output: how values leave the network.

Twins: templates/hls/ops/{argmax,output}.h.j2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from penstock.fixed import Fixed, IntArray
from penstock.ir.op import Cost, Step, Tensor, Traits, Value, require, require_vectors


@dataclass(frozen=True)
class ArgMax(Traits):
    """The index of the greatest element; the first of equals.

    x: (n)  ->  (1) of an unsigned type.
    """

    kind: ClassVar[str] = "argmax"

    def infer(self, x: Tensor) -> Tensor:
        require_vectors(x)
        bits = max((x.length - 1).bit_length(), 1)
        return Tensor((1,), Fixed(bits, 0, signed=False), 0, x.length - 1)

    def eval(self, step: Step, x: Value) -> IntArray:
        return np.asarray(np.argmax(x.raw, axis=-1, keepdims=True), dtype=np.int64)

    def cost(self, x: Tensor) -> Cost:
        return Cost(latency_cycles=1)


@dataclass(frozen=True)
class Output(Traits):
    """The network's result: the operands, one after the other; zero where a lane has no such step.

    x_k: (n_k), all of one type  ->  (n_1 + n_2 + ...).
    """

    kind: ClassVar[str] = "output"

    def infer(self, *inputs: Tensor) -> Tensor:
        require(len(inputs) >= 1, "there are no operands")
        require(all(len(x.shape) == 1 for x in inputs), "the outputs are not vectors")
        require(len({x.type for x in inputs}) == 1, "the outputs have different types")
        total = sum(x.length for x in inputs)
        lo, hi = min(x.lo for x in inputs), max(x.hi for x in inputs)
        return Tensor((total,), inputs[0].type, min(lo, 0), max(hi, 0))

    def eval(self, step: Step, *inputs: Value) -> IntArray:
        frame = np.where(step.valid, np.concatenate([x.raw for x in inputs], axis=1), 0)
        step.write_output("y", frame)
        return frame

    def cost(self, *inputs: Tensor) -> Cost:
        return Cost()
