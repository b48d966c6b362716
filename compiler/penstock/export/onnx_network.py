"""A compiled network as an ONNX graph that gives the interpreter's very values.

Each sweep over the sequence is a Scan whose body is the sweep's step, operation by operation; what
comes once a sequence stands behind them. All is computed in float64, where nothing is rounded but
what the network itself rounds (``onnx_numbers``), so any runtime gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from penstock.errors import PenstockError
from penstock.export.network import Exportable
from penstock.export.onnx_graph import IR_VERSION, OPSET, Body, Model, needed, real_type
from penstock.export.onnx_numbers import MOST_BITS, quantized
from penstock.export.onnx_ops import Step, lacking
from penstock.export.onnx_steps import StepWriter
from penstock.ir import Direction, Graph
from penstock.ir.walk import Program, Sweep, empty_capture
from penstock.version import __version__

BATCH, STEPS = "sequences", "steps"
MOST_BYTES = 1 << 31
"""Protocol buffers hold no more."""


@dataclass(frozen=True)
class Ends:
    """The names of what goes in and out. states: state -> (before the first step, after the last).

    lengths, states: empty where the graph takes none.
    """

    lengths: str
    states: dict[str, tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """All of them."""
        return ["x", "y", *filter(None, [self.lengths]), *sum(self.states.values(), ())]


def model_of(network: Exportable, lengths: bool, states: bool) -> ModelProto:
    """See ``files.to_onnx``."""
    graph = network.graph
    _refuse_wide(graph)
    names = {name: (f"{name}_0", f"{name}_n") for name in graph.states()} if states else {}
    return _Export(network, Ends("lengths" if lengths else "", names)).model()


def _refuse_wide(graph: Graph) -> None:
    for node in graph.nodes():
        bits = lacking(node, [source.tensor for source in graph.inputs(node)])
        if bits:
            raise PenstockError(
                f"{node.name} ({node.op.kind}) has values of {bits} bits, and ONNX computes in "
                f"float64, which holds {MOST_BITS} exactly",
                graph.name,
                "compile with fewer bits for this tensor, or for what it is computed from",
            )


class _Export:
    """One graph in the making. streams: values of all steps, (steps, sequences, n), by node."""

    def __init__(self, network: Exportable, ends: Ends) -> None:
        self._network, self._graph, self._ends = network, network.graph, ends
        self._program = Program.of(network.graph)
        self._shared = Model(ends.names)
        self._main = Body(self._shared)
        self._writer = StepWriter(network.graph, self._main)
        self._streams: dict[str, str] = {}
        self._memory: dict[str, str] = {}
        (self._source,) = network.graph.of_kind("input")
        (self._result,) = network.graph.of_kind("output")

    def model(self) -> ModelProto:
        """The whole model."""
        self._begin()
        for sweep in self._program.sweeps:
            if sweep.direction is Direction.ONCE:
                self._once(sweep)
            else:
                self._scan(sweep)
        self._end()
        nodes, read = needed(self._main.nodes, [end.name for end in self._outputs()])
        constants = [one for one in self._shared.initializers if one.name in read]
        proto = helper.make_graph(
            nodes, self._graph.name, self._inputs(), self._outputs(), constants
        )
        if proto.ByteSize() >= MOST_BYTES:
            raise PenstockError(
                f"its weights take {proto.ByteSize():,} bytes, and an ONNX file holds at most "
                f"{MOST_BYTES:,}", self._graph.name, "export .safetensors",
            )  # fmt: skip
        return helper.make_model(
            proto, producer_name="penstock", producer_version=__version__, ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )  # fmt: skip

    # -- what is known before the first sweep ---------------------------------------------------

    def _begin(self) -> None:
        main, scalar = self._main, self._shared.scalar
        main.stem = "x"
        frames = main.cast("x", TensorProto.DOUBLE)
        if self._is_batch_first:
            frames = main.add("Transpose", frames, perm=[1, 0, 2])
        shape = main.add("Shape", frames)
        self._steps, self._sequences = (
            main.add("Gather", shape, self._shared.array(f"axis.{axis}", np.array([axis])))
            for axis in (0, 1)
        )
        self._count()
        main.stem = "x"
        if self._ends.lengths:  # frames beyond may hold anything
            frames = main.add("Where", self._masks["valid"], frames, scalar(0.0))
        exponents = self._network.manifest.interface.input_exponents
        if exponents:
            factors = np.exp2(-np.array(exponents, dtype=np.float64))
            frames = main.add("Mul", frames, self._shared.array("x/factors", factors))
        self._streams[self._source.name] = quantized(main, frames, self._source.tensor.type)
        self._remember()

    def _remember(self) -> None:
        """States and captures before the first step."""
        main, program = self._main, self._program
        captures = {name: node.tensor for name, node in program.captures.items()}
        self._kept_lengths = {
            name: tensor.length for name, tensor in (*program.states.items(), *captures.items())
        }
        for name, state in program.states.items():
            main.stem = f"{name}/before"
            if name in self._ends.states:
                given = main.cast(self._ends.states[name][0], TensorProto.DOUBLE)
                self._memory[name] = quantized(main, given, state.type)
            else:
                self._memory[name] = self._filled(0.0, state.length)
        for name, node in program.captures.items():
            main.stem = f"{name}/before"
            empty = empty_capture(node) * node.tensor.type.step
            self._memory[name] = self._filled(empty, node.tensor.length)

    @property
    def _is_batch_first(self) -> bool:
        return self._network.manifest.interface.batch_first

    def _filled(self, value: float, length: int) -> str:
        size = self._shared.array(f"{self._main.stem}/n", np.array([length]))
        shape = self._main.add("Concat", self._sequences, size, axis=0)
        return self._main.add("Expand", self._shared.scalar(value), shape)

    def _count(self) -> None:
        """(steps, sequences, 1) of every step: it counts, is the first, is the last; lengths."""
        main, scalar = self._main, self._shared.scalar
        main.stem = "steps"
        zero, one = (scalar(number, np.int64) for number in (0, 1))
        steps = main.add("Squeeze", self._steps)
        numbers = main.add("Range", zero, steps, one)
        axes = self._shared.array("steps/axes", np.array([1, 2]))
        numbers = main.add("Unsqueeze", numbers, axes)
        lengths = self._ends.lengths or main.add("Expand", steps, self._sequences)
        column = self._shared.array("steps/column", np.array([1]))
        self._lengths = main.add("Unsqueeze", lengths, column)
        following = main.add("Add", numbers, one)
        valid = main.add("Less", numbers, self._lengths)
        first = main.add("And", main.add("Equal", numbers, zero), valid)
        last = main.add("Equal", following, self._lengths)
        self._masks = {"valid": valid, "first": first, "last": last}
        self._length = main.cast(self._lengths, TensorProto.DOUBLE)

    # -- sweeps ---------------------------------------------------------------------------------

    def _scan(self, sweep: Sweep) -> None:
        """One sweep over all steps: a Scan whose body is the step."""
        fresh, given = self._shared.fresh, self._given(sweep)
        kept = [name for name in self._memory if _is_kept(sweep, name)]
        before = {name: fresh(f"{name}/old") for name in kept}
        frames = {name: fresh(f"{name}/step") for name in given}
        flags = {name: fresh(f"is_{name}") for name in self._masks}
        valid = flags["valid"] if self._ends.lengths else None
        body = Body(self._shared)
        memory = {**self._memory, **before}
        step = Step(body, valid, flags["first"], flags["last"], self._length, memory)
        values = self._writer.write(step, sweep.nodes, {**self._captured(sweep), **frames})
        made = {name: value for name, value in values.items() if name in sweep.read_later}
        made |= {self._result.name: step.output} if step.output else {}
        if not kept and not made:
            return  # nobody reads what it computes
        body.stem = "step"
        after = [body.add("Identity", step.pending[name], name=f"{name}/new") for name in kept]
        outs = [body.add("Identity", value, name=f"{name}/made") for name, value in made.items()]
        read = {name for node in body.nodes for name in node.input}
        masks = [name for name, flag in flags.items() if flag in read or not given]
        kept_lengths = [self._kept_lengths[name] for name in kept]
        inner = helper.make_graph(
            body.nodes, f"a step {sweep.direction}",
            [*_rows(before.values(), kept_lengths),
             *_rows(frames.values(), self._lengths_of(given)),
             *_rows([flags[name] for name in masks], [1] * len(masks), TensorProto.BOOL)],
            [*_rows(after, kept_lengths), *_rows(outs, self._lengths_of(made))],
        )  # fmt: skip
        streams = [self._streams[name] for name in given] + [self._masks[name] for name in masks]
        ends = self._main.add_all(
            "Scan", [*(self._memory[name] for name in kept), *streams],
            [*(f"{name}/after" for name in kept), *(f"{name}/all" for name in made)],
            body=inner, num_scan_inputs=len(streams),
            **_directions(sweep.direction, len(streams), len(outs)),
        )  # fmt: skip
        self._memory.update(zip(kept, ends[: len(kept)], strict=True))
        self._streams.update(zip(made, ends[len(kept) :], strict=True))

    def _given(self, sweep: Sweep) -> list[str]:
        """The values of earlier sweeps, and the frames, that a sweep reads step by step."""
        names = [name for node in sweep.nodes for name in node.inputs if name in self._streams]
        return list(dict.fromkeys(names))

    def _lengths_of(self, nodes: Iterable[str]) -> list[int]:
        return [self._graph[name].tensor.length for name in nodes]

    def _captured(self, sweep: Sweep) -> dict[str, str]:
        return {node: self._memory[name] for node, name in sweep.captured.items()}

    def _once(self, sweep: Sweep) -> None:
        """What a sequence has once: behind its last step."""
        main = self._main
        main.stem = "once"
        zero = self._shared.scalar(0, np.int64)
        valid = main.add("Greater", self._lengths, zero) if self._ends.lengths else None
        step = Step(main, valid, "", "", self._length, self._memory)
        self._writer.write(step, sweep.nodes, self._captured(sweep))
        if step.output:
            axis = self._shared.array("once/axis", np.array([0]))
            self._streams[self._result.name] = main.add("Unsqueeze", step.output, axis)

    # -- what leaves ----------------------------------------------------------------------------

    def _end(self) -> None:
        main = self._main
        main.stem = "y"
        frames = self._streams[self._result.name]
        if self._is_batch_first:
            frames = main.add("Transpose", frames, perm=[1, 0, 2])
        main.give(frames, "y", real_type(self._result.tensor.type))
        for name, (_, after) in self._ends.states.items():
            main.give(self._memory[name], after, real_type(self._program.states[name].type))

    def _inputs(self) -> list[Any]:
        source, given = self._source.tensor, self._ends
        found = [_value("x", real_type(source.type), *self._axes(STEPS), source.length)]
        if given.lengths:
            found.append(_value(given.lengths, TensorProto.INT64, BATCH))
        return found + self._state_values(0)

    def _outputs(self) -> list[Any]:
        result = self._result.tensor
        is_once = self._graph.sweeps[self._result.sweep] is Direction.ONCE
        axes = self._axes(1 if is_once else STEPS)
        return [_value("y", real_type(result.type), *axes, result.length), *self._state_values(1)]

    def _axes(self, frames: int | str) -> tuple[int | str, ...]:
        return (BATCH, frames) if self._is_batch_first else (frames, BATCH)

    def _state_values(self, end: int) -> list[Any]:
        states = self._program.states
        return [
            _value(names[end], real_type(states[state].type), BATCH, states[state].length)
            for state, names in self._ends.states.items()
        ]


def _is_kept(sweep: Sweep, name: str) -> bool:
    """Whether a state or capture is one of this sweep's."""
    return any(name in (node.op.writes, node.op.captures) for node in sweep.nodes)


def _directions(direction: Direction, inputs: int, outputs: int) -> dict[str, list[int]]:
    """Attributes of a Scan. ONNX has no empty ones."""
    back = int(direction is Direction.BACKWARD)
    found = {"scan_input_directions": inputs, "scan_output_directions": outputs}
    return {name: [back] * count for name, count in found.items() if count}


def _rows(
    names: Iterable[str], lengths: Iterable[int], dtype: int = TensorProto.DOUBLE
) -> list[Any]:
    """Types of vectors of one step."""
    return [_value(name, dtype, BATCH, length) for name, length in zip(names, lengths, strict=True)]


def _value(name: str, dtype: int, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)
