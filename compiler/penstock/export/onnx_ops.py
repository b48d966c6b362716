"""Every operation in ONNX: the same real numbers as its ``eval``, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from onnx import TensorProto

from penstock.export.onnx_graph import Body
from penstock.export.onnx_numbers import MOST_BITS, brought_to, integer_to
from penstock.ir.graph import Node
from penstock.ir.op import Tensor


@dataclass(frozen=True)
class Operand:
    """A value, (sequences, n) or of a constant's own shape. name_of: gives its name in ONNX."""

    name_of: Callable[[], str]
    tensor: Tensor

    @cached_property
    def name(self) -> str:
        """Its name in ONNX. A constant that is asked for it is there from then on."""
        return self.name_of()


@dataclass
class Step:
    """Where a node stands: what ``ir.op.Step`` gives to ``eval``, as names of ONNX values.

    valid, first, last: (sequences, 1), booleans; valid is None where all steps count. length: the
    same in float64. memory: states and captures as the step before left them; pending: as this one
    leaves them. output: the frame of the result.
    """

    body: Body
    valid: str | None
    first: str
    last: str
    length: str
    memory: dict[str, str]
    pending: dict[str, str] = field(default_factory=dict)
    output: str = ""

    def where_valid(self, new: str, old: str) -> str:
        """``new`` in the sequences that have this step, else ``old``."""
        return new if self.valid is None else self.body.add("Where", self.valid, new, old)


Rule = Callable[[Step, Any, Sequence[Operand], Tensor], str]
"""(step, operation, operands, the result's tensor) -> the result's name."""


def lacking(node: Node, inputs: Sequence[Tensor]) -> int:
    """How many bits a node's exact values have, if those are more than ``MOST_BITS``; else 0."""
    most = [_bits(node.tensor)]
    match node.op.kind:
        case "add" | "sub":
            frac = node.tensor.type.frac
            most.append(sum(_size(x) << (frac - x.type.frac) for x in inputs).bit_length())
        case "lut":
            most.append(_bits(*inputs[1:]) + node.op.interpolate_bits)  # type: ignore[attr-defined]
        case "mean":
            most.append(node.op.quotient_bits(inputs[0]))  # type: ignore[attr-defined]
        case "requant":
            most.append(node.tensor.type.width)
    return max(most) if max(most) > MOST_BITS else 0


def _size(x: Tensor) -> int:
    return max(-x.lo, x.hi)


def _bits(*tensors: Tensor) -> int:
    return sum(map(_size, tensors)).bit_length()


def _matvec(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    total: list[str] = []
    for x, w in zip(xs[::2], xs[1::2], strict=True):
        total = [step.body.add("Gemm", x.name, w.name, *total, transB=1)]
    return total[0]


def _add(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    return step.body.add("Add" if len(xs) == 2 else "Sum", *(x.name for x in xs))


def _sub(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    return step.body.add("Sub", *(x.name for x in xs))


def _mul(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    return step.body.add("Mul", *(x.name for x in xs))


def _scale(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    x, exponent = xs
    factors = np.exp2(-np.asarray(exponent.tensor.constant, dtype=np.float64))
    return step.body.add("Mul", x.name, step.body.model.array(f"{step.body.stem}/factors", factors))


def _relu(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    return step.body.add("Relu", xs[0].name)


def _clamp(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    ends = (step.body.model.scalar(end * to.type.step) for end in (op.low, op.high))
    return step.body.add("Clip", xs[0].name, *ends)


def _requant(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    return brought_to(step.body, xs[0].name, xs[0].tensor.type.frac, op.to)


def _lut(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    """Gather counts from the end where an index is negative: two's complement, as in a table."""
    body, x, table = step.body, xs[0], xs[1]
    place = body.times(x.name, 2.0 ** (x.tensor.type.frac - op.interpolate_bits))
    below = body.add("Floor", place)
    index = body.cast(below, TensorProto.INT64)
    entry = body.add("Gather", table.name, index)
    if not op.interpolate_bits:
        return entry
    rise = body.add("Gather", xs[2].name, index)
    part = body.add("Mul", rise, body.add("Sub", place, below))
    frac = op.to.frac + op.interpolate_bits
    return brought_to(body, body.add("Add", entry, part), frac, op.to)


def _state_read(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    return step.memory[op.state]


def _state_write(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    step.pending[op.state] = step.where_valid(xs[0].name, step.memory[op.state])
    return xs[0].name


def _capture(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    x, old, body = xs[0].name, step.memory[op.name], step.body
    match op.when:
        case "max":
            value = step.where_valid(body.add("Max", x, old), old)
        case "sum":
            value = step.where_valid(body.add("Add", x, old), old)
        case _:
            value = body.add("Where", step.last if op.when == "last" else step.first, x, old)
    step.pending[op.name] = value
    return value


def _mean(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    """Integers below 2**53: their quotient in float64 is never rounded across an integer."""
    body, (x,) = step.body, xs
    up, down = op.shifts(x.tensor)
    steps = body.add("Max", step.length, body.model.scalar(1.0))
    twice = body.times(x.name, 2.0 ** (x.tensor.type.frac + up + 1))
    above = body.add("Add", twice, body.times(steps, 2.0**down))
    quotient = body.add("Div", above, body.times(steps, 2.0 ** (down + 1)))
    return integer_to(body, body.add("Floor", quotient), op.to)


def _argmax(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    index = step.body.add("ArgMax", xs[0].name, axis=-1, keepdims=1)
    return step.body.cast(index, TensorProto.DOUBLE)


def _output(step: Step, op: Any, xs: Sequence[Operand], to: Tensor) -> str:
    names = [x.name for x in xs]
    frame = names[0] if len(names) == 1 else step.body.add("Concat", *names, axis=-1)
    step.output = step.where_valid(frame, step.body.model.scalar(0.0))
    return step.output


RULES: dict[str, Rule] = {
    "matvec": _matvec, "add": _add, "sub": _sub, "mul": _mul, "scale": _scale, "relu": _relu,
    "clamp": _clamp, "requant": _requant, "lut": _lut, "state_read": _state_read,
    "state_write": _state_write, "capture": _capture, "mean": _mean, "argmax": _argmax,
    "output": _output,
}  # fmt: skip
"""Operation -> its rule. Frames and constants come from outside the steps."""
OUTSIDE = ("input", "const")
