"""What each operation computes in training: its ``eval`` on real numbers, with a gradient.

A rule takes the running ``Execution``, the node, its operation and the operands, each (sequences,
n) or a constant's own shape, float64, and gives (sequences, n). Values must be those of ``eval``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from penstock.compress.straight_through import fake_quantize, look_up
from penstock.ir import Node
from penstock.ir.walk import ENDS
from penstock.ops import (
    Add,
    ArgMax,
    Capture,
    Clamp,
    Input,
    Lut,
    MatVec,
    Mean,
    Mul,
    Output,
    Relu,
    Requant,
    Scale,
    StateRead,
    StateWrite,
    Sub,
)

if TYPE_CHECKING:
    from penstock.compress.execution import Execution

Rule = Callable[..., Tensor]
"""(run: Execution, node: Node, op, *operands: Tensor) -> Tensor."""

RULES: dict[str, Rule] = {}
"""By the operation's kind. Constants need none: they are never executed."""
SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigma": lambda s: s * (1 - s),
    "tanh": lambda t: 1 - t * t,
}
"""Of a table's function at an entry, by its value."""


def rule(operation: type[Any]) -> Callable[[Rule], Rule]:
    """Makes a function the rule of ``operation``."""

    def register(function: Rule) -> Rule:
        RULES[operation.kind] = function
        return function

    return register


@rule(Input)
def _input(run: Execution, node: Node, op: Input) -> Tensor:
    return run.frames[node.name][run.moment.frame]


@rule(StateRead)
def _state_read(run: Execution, node: Node, op: StateRead) -> Tensor:
    return run.memory[op.state]


@rule(StateWrite)
def _state_write(run: Execution, node: Node, op: StateWrite, x: Tensor) -> Tensor:
    run.write(op.state, run.where_valid(x, run.memory[op.state]))
    return x


@rule(MatVec)
def _matvec(run: Execution, node: Node, op: MatVec, *operands: Tensor) -> Tensor:
    return run.product(node, operands[op.vectors])


@rule(Add)
def _add(run: Execution, node: Node, op: Add, *operands: Tensor) -> Tensor:
    return sum(operands[1:], operands[0])


@rule(Sub)
def _sub(run: Execution, node: Node, op: Sub, a: Tensor, b: Tensor) -> Tensor:
    return a - b


@rule(Mul)
def _mul(run: Execution, node: Node, op: Mul, a: Tensor, b: Tensor) -> Tensor:
    return a * b


@rule(Scale)
def _scale(run: Execution, node: Node, op: Scale, x: Tensor, exponent: Tensor) -> Tensor:
    return x * torch.exp2(-exponent)


@rule(Relu)
def _relu(run: Execution, node: Node, op: Relu, x: Tensor) -> Tensor:
    return torch.relu(x)


@rule(Clamp)
def _clamp(run: Execution, node: Node, op: Clamp, x: Tensor) -> Tensor:
    step = node.tensor.type.step
    return torch.clamp(x, op.low * step, op.high * step)


@rule(Requant)
def _requant(run: Execution, node: Node, op: Requant, x: Tensor) -> Tensor:
    return run.requantize(node, x)


@rule(Lut)
def _lut(
    run: Execution, node: Node, op: Lut, x: Tensor, table: Tensor, rise: Tensor | None = None
) -> Tensor:
    bits, dtype = op.interpolate_bits, run.graph[node.inputs[0]].tensor.type
    kind = torch.int32 if dtype.width < 32 else torch.int64
    raw = (x.detach() * 2.0**dtype.frac).to(kind)
    index = (raw >> bits if bits else raw) & (len(table) - 1)
    value = look_up(index, x, table, SLOPES[op.function])
    if rise is None:
        return value
    low = (raw & ((1 << bits) - 1)) * 2.0**-bits
    return fake_quantize(value + rise[index] * low, node.tensor.type)


@rule(Capture)
def _capture(run: Execution, node: Node, op: Capture, x: Tensor) -> Tensor:
    before = run.memory[op.name]
    if op.when in ENDS:
        taken = torch.where(run.moment.counts(op.when), x, before)
    else:
        taken = run.where_valid(
            torch.maximum(x, before) if op.when == "max" else before + x, before
        )
    run.write(op.name, taken)
    return taken


@rule(Mean)
def _mean(run: Execution, node: Node, op: Mean, x: Tensor) -> Tensor:
    return run.to_type(node, x / run.moment.length.clamp(min=1))


@rule(ArgMax)
def _argmax(run: Execution, node: Node, op: ArgMax, x: Tensor) -> Tensor:
    """No gradient: networks are trained on what it compares."""
    return torch.argmax(x, dim=1, keepdim=True).to(x.dtype)


@rule(Output)
def _output(run: Execution, node: Node, op: Output, *operands: Tensor) -> Tensor:
    frame = torch.cat(operands, dim=1)
    run.outputs.append(run.where_valid(frame, torch.zeros_like(frame)))
    return frame
