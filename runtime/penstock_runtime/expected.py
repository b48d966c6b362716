"""What the interpreter expects of a kernel's calls, and where C simulation first differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from penstock.fixed import IntArray
from penstock.ir import Graph
from penstock.ir.evaluate import ReferenceEngine, initial_state
from penstock.ir.saturation import Saturation
from penstock.packing.vectors import START_CARRIED, START_GIVEN, Call
from penstock_runtime.golden import result_bytes
from penstock_runtime.project import Project
from penstock_runtime.stimuli import Stimulus

TRACED = ("matvec", "state_write", "capture")
RECORD = 5
"""Numbers of a traced value: node, step, lane, position, raw value."""


@dataclass(frozen=True)
class Difference:
    """The first value on which interpreter and C simulation disagree."""

    call: str
    node: str
    step: int
    lane: int
    index: int
    interpreter: int
    csim: int | None

    def __str__(self) -> str:
        got = "nothing" if self.csim is None else str(self.csim)
        return (
            f"{self.node}, step {self.step}, lane {self.lane}, index {self.index} ({self.call}): "
            f"interpreter {self.interpreter}, C simulation {got}"
        )


@dataclass(frozen=True)
class Expected:
    """One call as the interpreter sees it.

    trace: (node, step) -> raw values and lanes that count. saturations: as the reference counts.
    """

    stimulus: Stimulus
    y: IntArray
    state: dict[str, IntArray]
    trace: dict[tuple[str, int], tuple[IntArray, IntArray]]
    saturations: tuple[Saturation, ...] = ()


def interpret(
    graph: Graph, calls: list[Stimulus], lanes: int, tell: Callable[[int], None] = lambda done: None
) -> list[Expected]:
    """Run the reference engine, whatever engine the user runs on. tell: takes the calls done."""
    found = []
    reference = ReferenceEngine().prepare(graph)
    state = initial_state(graph, lanes)
    for call in calls:
        if call.start != START_CARRIED:
            state = call.state if call.state is not None else initial_state(graph, lanes)
        trace: dict[tuple[str, int], tuple[IntArray, IntArray]] = {}

        def observe(name, t, raw, counts, trace=trace):  # type: ignore[no-untyped-def]
            if graph[name].op.kind in TRACED:
                trace[name, t] = (raw, counts)

        result = reference.run(call.x, call.lengths, state, observe)
        state = result.state
        found.append(Expected(call, result.y, state, trace, result.saturations))
        tell(len(found))
    return found


def calls_of(project: Project, expected: list[Expected]) -> list[Call]:
    """The calls for a vector file that expects nothing: the results are compared here."""
    ports, layouts = project.ports, project.state_layouts
    return [
        Call(
            item.stimulus.x, item.stimulus.lengths, item.stimulus.start,
            index == 0 or item.stimulus.reload,
            ports.state_to_beats({name: item.stimulus.state[name] for name in layouts}, layouts)
            if item.stimulus.start == START_GIVEN and item.stimulus.state is not None
            else b"",
        )
        for index, item in enumerate(expected)
    ]  # fmt: skip


def first_difference(
    project: Project, expected: list[Expected], results: bytes, trace: bytes
) -> tuple[Difference | None, dict[str, int]]:
    """What C simulation wrote, against what is expected.

    -> the first difference, and how many values were compared up to it, by what they are.
    """
    values: dict[str, int] = {}
    records = np.frombuffer(trace, dtype=np.int64).reshape(-1, RECORD)
    ends = np.flatnonzero(records[:, 0] < 0)
    first = start = 0
    for item, end in zip(expected, ends, strict=True):
        size = sum(result_bytes(project, item.stimulus.x.shape[1]))
        difference = _compare_trace(project, item, records[first:end], values)
        if difference is None:
            difference = _compare_results(project, item, results[start : start + size], values)
        if difference is not None:
            return difference, values
        first, start = int(end) + 1, start + size
    return None, values


def _compare_trace(
    project: Project, item: Expected, records: IntArray, values: dict[str, int]
) -> Difference | None:
    """Nodes in the order in which the interpreter computed them."""
    numbers = {node.name: number for number, node in enumerate(project.graph.nodes())}
    order = np.lexsort((records[:, 1], records[:, 0]))
    records = records[order]
    keys = records[:, 0] << 32 | records[:, 1]
    for (name, step), (raw, counts) in item.trace.items():
        key = numbers[name] << 32 | step
        mine = records[np.searchsorted(keys, key) : np.searchsorted(keys, key, side="right")]
        layout = project.layout(name)
        placed = np.full((raw.shape[0], layout.positions), np.iinfo(np.int64).min)
        placed[mine[:, 2], mine[:, 3]] = mine[:, 4]
        got = layout.gather(placed)
        lanes = np.flatnonzero(counts)
        wrong = np.argwhere(got[lanes] != raw[lanes])
        if len(wrong):
            lane, index = int(lanes[wrong[0][0]]), int(wrong[0][1])
            csim = int(got[lane, index])
            return Difference(
                item.stimulus.name, name, step, lane, index, int(raw[lane, index]),
                None if csim == np.iinfo(np.int64).min else csim,
            )  # fmt: skip
        kind = {"matvec": "accumulators", "state_write": "states"}.get(
            project.graph[name].op.kind, "captures"
        )
        values[kind] = values.get(kind, 0) + len(lanes) * raw.shape[1]
    return None


def _compare_results(
    project: Project, item: Expected, content: bytes, values: dict[str, int]
) -> Difference | None:
    ports = project.ports
    frames, outputs = item.y.shape[1:]
    y_bytes, _ = result_bytes(project, item.stimulus.x.shape[1])
    y = ports.from_beats(content[:y_bytes], frames, outputs)
    state = ports.state_from_beats(content[y_bytes:], project.state_layouts)
    for lane, step, index in np.argwhere(y != item.y)[:1]:
        return Difference(item.stimulus.name, "y", int(step), int(lane), int(index),
                          int(item.y[lane, step, index]), int(y[lane, step, index]))  # fmt: skip
    for name, value in state.items():
        for lane, index in np.argwhere(value != item.state[name])[:1]:
            return Difference(item.stimulus.name, f"{name} at the end", frames, int(lane),
                              int(index), int(item.state[name][lane, index]),
                              int(value[lane, index]))  # fmt: skip
    values["outputs"] = values.get("outputs", 0) + y.size
    values["final states"] = values.get("final states", 0) + sum(v.size for v in state.values())
    return None
