"""An .onnx file -> the network that it computes, compared with it in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.checked import checked
from penstock.frontend.follow import onnx_cells as cells
from penstock.frontend.follow import onnx_layers as layers
from penstock.frontend.follow.builder import LEAST_STEPS, Builder
from penstock.frontend.follow.compare import Ours, check_same_network, check_same_numbers
from penstock.frontend.follow.finish import Result
from penstock.frontend.follow.network import Network, Source, check_input, finished
from penstock.frontend.follow.onnx_file import Input, OnnxGraph, read_onnx
from penstock.frontend.follow.onnx_nodes import CELL_OPS, RULES, Lengths, OnnxFollower
from penstock.frontend.follow.onnx_roles import Roles, roles_of
from penstock.frontend.follow.onnx_run import CantRunError, run_onnx
from penstock.model import RecurrentModel

LANES, STEPS = 2, 5
"""Of the first trace; of the second, one and three more."""
SEED = 0
assert {*CELL_OPS, "Gemm"} <= RULES.keys(), (cells, layers)


@dataclass(frozen=True)
class Trace:
    """A way to follow the graph: sizes, and the order of its frames."""

    lanes: int
    steps: int
    is_time_major: bool
    width: int | None
    """Of frames; None for tokens."""


@np.errstate(all="ignore")  # what is not finite is refused by name
def follow_onnx(path: Path, calibration: FloatArray | None, name: str) -> RecurrentModel:
    """The network of a file. calibration: frames in the graph's own order, or None.

    Raises PenstockError for a damaged file, for what can't be compiled, by node and operation, and
    where the network gives other numbers than the model does.
    """
    return _Model(read_onnx(path), name, calibration).network()


@dataclass
class _Model:
    graph: OnnxGraph
    name: str
    calibration: FloatArray | None
    roles: Roles = field(init=False)

    def __post_init__(self) -> None:
        self.roles = roles_of(self.graph)

    def network(self) -> RecurrentModel:
        """Follow, follow again with other sizes, and compare."""
        frames = self.roles.frames
        first, chosen = self._first()
        _check_values(first.model, self.graph.where)
        traces = [(first, chosen)]
        notes = []
        lanes, steps = self._fixed(chosen.is_time_major)
        more = Trace(chosen.lanes if lanes else LANES + 1, steps or STEPS + 3,
                     chosen.is_time_major, chosen.width)  # fmt: skip
        if more.steps >= LEAST_STEPS and more != chosen:
            second, _ = self._follow(more)
            check_same_network(first.model, second.model, self.graph.where)
            traces.append((second, more))
        elif steps and steps != chosen.steps:  # too few to tell the steps apart
            results = [item and (_fewer(item[0], steps), item[1]) for item in first.results]
            traces.append((replace(first, results=results), more))
        if steps:
            notes.append(f"{frames.name!r} has {steps} steps in the file; the network takes any")
        if steps and chosen.steps != steps:
            traces = traces[1:]  # the model itself runs no other number
        notes += self._compared(traces)
        model = traces[0][0].model
        model.notes.extend(notes)
        return model

    def _fixed(self, is_time_major: bool) -> tuple[int | None, int | None]:
        """Sequences and steps, where the file fixes them."""
        a, b = self.roles.frames.shape[:2]
        return (b, a) if is_time_major else (a, b)

    def _traces(self) -> Iterator[Trace]:
        """The likeliest first: sizes of our own, then those of the file."""
        for width in self._widths():
            for order in (True, False):
                lanes, steps = self._fixed(order)
                yield Trace(lanes or LANES, STEPS, order, width)
                if steps and steps != STEPS and steps >= LEAST_STEPS:
                    yield Trace(lanes or LANES, steps, order, width)

    def _widths(self) -> list[int | None]:
        frames = self.roles.frames
        if self.roles.is_tokens:
            return [None]
        if frames.shape[2] is not None:
            return [frames.shape[2]]
        given = [] if self.calibration is None else [self.calibration.shape[-1]]
        of_cells = [
            self.graph.constants[node.inputs[1]].shape[-1]
            for node in self.graph.nodes
            if node.op in CELL_OPS and len(node.inputs) > 1
            and node.inputs[1] in self.graph.constants
        ]  # fmt: skip
        widths: list[int | None] = list(dict.fromkeys([*given, *of_cells]))
        if not widths:
            raise PenstockError(
                f"the width of {frames.name!r} is free",
                self.graph.where,
                "give --calibration frames, or export it with a fixed width",
            )
        return widths

    def _first(self) -> tuple[Network, Trace]:
        """The first trace that can be followed. Raises why the one that got furthest can't."""
        refusals: list[tuple[int, int, PenstockError]] = []
        for trace in self._traces():
            follower = self._follower(trace)
            try:
                return self._finished(follower, trace), trace
            except PenstockError as refusal:
                refusals.append((follower.followed, -len(refusals), refusal))
        raise max(refusals, key=lambda one: one[:2])[2]

    def _follow(self, trace: Trace) -> tuple[Network, OnnxFollower]:
        follower = self._follower(trace)
        return self._finished(follower, trace), follower

    def _follower(self, trace: Trace) -> OnnxFollower:
        fixed = self._fixed(trace.is_time_major)[1]
        whole = frozenset({trace.steps, *([fixed] if fixed else [])})
        build = Builder(trace.lanes, trace.steps)
        return OnnxFollower(build, self.graph, whole)

    def _finished(self, follower: OnnxFollower, trace: Trace) -> Network:
        build, roles = follower.build, self.roles
        env = follower.env
        for one in (roles.frames, *roles.states):
            check_input(one.name, self._sizes(one, trace), self.graph.where)
        if trace.width is None:
            env[roles.frames.name] = build.tokens(trace.is_time_major)
        else:
            env[roles.frames.name] = build.frames(trace.width, trace.is_time_major)
        for one in roles.lengths:
            env[one.name] = Lengths()
        for one in roles.states:
            env[one.name] = build.initial_state(one.name, self._shape(one, trace))
        outputs = follower.run()
        if any(isinstance(one, Lengths) for one in outputs):
            outputs = [None if isinstance(one, Lengths) else one for one in outputs]
        source = Source(self.graph.where, "the graph", "make the network's result an output")
        return finished(build, outputs, source, self.name, trace.is_time_major)

    def _sizes(self, one: Input, trace: Trace) -> tuple[int, ...]:
        """Of an input in a trace."""
        if one is self.roles.frames:
            return (trace.lanes, trace.steps, trace.width or 1)
        return self._shape(one, trace)

    def _shape(self, one: Input, trace: Trace) -> tuple[int, ...]:
        """Of an initial state: what is free in it is the number of sequences."""
        return tuple(trace.lanes if size is None else size for size in one.shape)

    # -- numbers ----------------------------------------------------------------------------------

    def _compared(self, traces: list[tuple[Network, Trace]]) -> list[str]:
        """Compare every trace with the model's own numbers; a note where that can't be done."""
        for network, trace in traces:
            counts = [np.full(trace.lanes, trace.steps)]
            if self.roles.lengths and trace.lanes > 1:
                counts.append(np.maximum(trace.steps - 2 * np.arange(trace.lanes), 1))
            for lengths in counts:
                try:
                    self._compare(network, trace, lengths)
                except CantRunError as fault:
                    return [f"its numbers were not compared with the model's: {fault}"]
        return []

    def _compare(self, network: Network, trace: Trace, lengths: NDArray[Any]) -> None:
        x = self._sample(network, trace)
        generator = np.random.default_rng(SEED)
        states = {
            one.name: generator.uniform(-0.9, 0.9, self._shape(one, trace)).astype(one.dtype)
            for one in self.roles.states
        }
        feeds = {self.roles.frames.name: x.astype(self.roles.frames.dtype), **states}
        feeds |= {one.name: lengths.astype(one.dtype) for one in self.roles.lengths}
        theirs = [np.asarray(value, dtype=np.float64) for value in run_onnx(self.graph, feeds)]
        frames = x if network.model.table is None else network.model.table[x.astype(int)]
        if trace.is_time_major:
            frames = frames.swapaxes(0, 1)
        ours = Ours(network, frames.astype(np.float64), lengths,
                    {name: value.astype(np.float64) for name, value in states.items()})  # fmt: skip
        dtype = self.roles.frames.dtype
        step = float(np.finfo(dtype if dtype.kind == "f" else np.float32).eps)
        check_same_numbers(theirs, ours, self.graph.where, step, "model")

    def _sample(self, network: Network, trace: Trace) -> NDArray[Any]:
        """Frames of the calibration, repeated or cut, else random; in the graph's order."""
        shape = (trace.steps, trace.lanes) if trace.is_time_major else (trace.lanes, trace.steps)
        generator = np.random.default_rng(SEED)
        if trace.width is None:
            assert network.model.table is not None
            return generator.integers(0, len(network.model.table), shape)
        frames = self.calibration
        if frames is None or frames.shape[-1] != trace.width or not frames.size:
            return generator.standard_normal((*shape, trace.width)).astype(np.float32)
        if frames.ndim == 2:
            frames = frames[:, None] if trace.is_time_major else frames[None]
        for axis, count in enumerate(shape):
            frames = np.take(frames, np.arange(count) % frames.shape[axis], axis=axis)
        return np.nan_to_num(frames.astype(np.float32))  # not finite: beyond the lengths


def _fewer(result: Result, steps: int) -> Result:
    """The same result of sequences of fewer steps, whatever axis they run along."""
    for axis in range(result.step.ndim):
        steps_of = np.moveaxis(result.step, axis, 0).reshape(result.step.shape[axis], -1)
        if len(steps_of) and (steps_of != steps_of[:1]).any():
            kept = np.flatnonzero(steps_of[:, 0] < steps)
            parts = (np.take(part, kept, axis) for part in (result.lane, result.step, result.index))
            return Result(*parts)
    return result


def _check_values(model: RecurrentModel, where: str) -> None:
    """Raise PenstockError for weights that are not finite, or beyond all bounds."""
    checked(
        {
            f"{place}.{title}": parameter.values
            for place, layer in model.named_layers()
            for title, parameter in layer.parameters().items()
        },
        where,
    )
