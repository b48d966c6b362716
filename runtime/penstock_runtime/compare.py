"""penstock check: the interpreter against C simulation, value by value."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import IntArray
from penstock.ir import Graph
from penstock.ir.evaluate import ReferenceEngine, initial_state
from penstock.marker import read_marker
from penstock.packing.validate import validate
from penstock.packing.vectors import START_CARRIED, START_GIVEN, Call, vector_file
from penstock_runtime.csim import build, run_testbench
from penstock_runtime.golden import read_golden, wrong_golden
from penstock_runtime.kernel_constants import (
    Constants,
    WrongConstant,
    expected_constants,
    parse_constants,
    wrong_constants,
    wrong_pragmas,
)
from penstock_runtime.project import Project
from penstock_runtime.stimuli import Stimulus, own_stimuli, stimuli

TRACED = ("matvec", "state_write", "capture")
RECORD = 5


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
class WrongGolden:
    """A call of tb/vectors.dat that expects something else than the interpreter, or the kernel."""

    call: int | None
    output: str = ""

    def __str__(self) -> str:
        if self.call is not None:
            return (
                f"call {self.call} of tb/vectors.dat expects other results than the interpreter's"
            )
        return f"the kernel fails on tb/vectors.dat: {self.output.strip()}"


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    calls: kernel calls that were compared. values: how many values, by what they are. constants:
    entries of the kernel's constants and tables that were compared. difference: the first one.
    wrong_constants: every constant that differs. edited: emitted files that were changed since.
    """

    calls: int
    values: dict[str, int]
    difference: Difference | WrongConstant | WrongGolden | None
    output: str = ""
    constants: int = 0
    wrong_constants: tuple[WrongConstant, ...] = ()
    edited: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Every value was the same, and there were some."""
        return self.difference is None and sum(self.values.values()) > 0


@dataclass(frozen=True)
class Expected:
    """One call as the interpreter sees it.

    trace: (node, step) -> raw values and lanes that count.
    """

    stimulus: Stimulus
    y: IntArray
    state: dict[str, IntArray]
    trace: dict[tuple[str, int], tuple[IntArray, IntArray]]


def check(
    project: Project,
    steps: int = 4,
    seed: int = 1,
    own: tuple[IntArray, IntArray] | None = None,
    executable: Path | None = None,
) -> CheckResult:
    """Prove that the kernel computes what the interpreter does, bit for bit.

    The packed weights are the graph's and free of hazards; every constant and table of the kernel
    is what graph and manifest ask for; the golden vectors are whole and the interpreter's; and all
    stimuli, run through both, give the same outputs, final states and traced values: accumulators,
    states and captures of every step. Stops at the first difference.

    own: sequences of the user's, too, as ``Interpreter.quantize`` gives them. executable: the
    project's test bench, if it is built already. Raises PenstockError if the weights or vectors are
    not sound, the C++ does not compile or the test bench breaks off.
    """
    _prove_packing(project)
    golden = read_golden(project)
    executable = executable or build(project.folder)
    edited = tuple(read_marker(project.folder).edited(project.folder))
    expected = expected_constants(project)
    wrong = _wrong_constants(project, expected, executable)
    compared = sum(len(values) for values in expected.values())
    result = CheckResult(0, {}, wrong[0] if wrong else None, "", compared, wrong, edited)
    number = wrong_golden(project, golden)
    if number is not None and not wrong:
        result = replace(result, difference=WrongGolden(number))
    if result.difference is not None:
        return result
    simulated = _simulate(project, executable, _calls(project, steps, seed, own))
    run = run_testbench(project.folder, executable)
    if simulated.difference is None and not run.passed:
        simulated = replace(simulated, difference=WrongGolden(None, run.output))
    return replace(simulated, constants=compared, edited=edited)


def _calls(
    project: Project, steps: int, seed: int, own: tuple[IntArray, IntArray] | None
) -> list[Stimulus]:
    limit = project.manifest.interface.max_steps
    steps = min(steps, limit) if limit else steps
    states = {
        name: (state.read.tensor.length, state.read.tensor.type)
        for name, state in project.graph.states().items()
    }
    lanes = project.ports.lanes
    calls = [*stimuli(project.input_type, project.inputs, lanes, steps, states, seed)]
    if own is not None:
        calls += own_stimuli(*own, lanes)
    return calls


def _simulate(project: Project, executable: Path, calls: list[Stimulus]) -> CheckResult:
    expected = _interpret(project.graph, calls, project.ports.lanes)
    with tempfile.TemporaryDirectory(prefix="penstock-") as scratch:
        vectors, results, trace = (Path(scratch) / name for name in ("vectors", "results", "trace"))
        vectors.write_bytes(_vectors(project, expected))
        done = run_testbench(project.folder, executable, vectors, results, trace)
        if not done.passed:
            raise _broken_off(project, done.output)
        return _compare(project, expected, results.read_bytes(), trace.read_bytes(), done.output)


def _wrong_constants(
    project: Project, expected: Constants, executable: Path
) -> tuple[WrongConstant, ...]:
    done = run_testbench(project.folder, executable, "--constants")
    if not done.passed:
        raise _broken_off(project, done.output)
    wrong = wrong_constants(expected, parse_constants(done.output))
    return (*wrong, *wrong_pragmas(project.folder, project.manifest))


def _broken_off(project: Project, output: str) -> PenstockError:
    return PenstockError(
        f"the test bench aborted: {output.strip() or 'no output'}", str(project.folder),
        "was a file edited? if not, please report it",
    )  # fmt: skip


def _prove_packing(project: Project) -> None:
    """The packed weights are the graph's and free of hazards, which C simulation can't show."""
    manifest, folder = project.manifest, project.folder
    files = [
        (folder / f"weights/group_{group}.bin").read_bytes() for group in range(manifest.groups)
    ]
    try:
        validate(project.graph, manifest, files, manifest.kernel.hazard_distance)
    except (AssertionError, ValueError) as error:
        raise PenstockError(
            f"the packed weights are invalid: {error}", str(folder), "compile the model again"
        ) from error


def _interpret(graph: Graph, calls: list[Stimulus], lanes: int) -> list[Expected]:
    found = []
    reference = ReferenceEngine().prepare(graph)  # whatever engine the user runs on
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
        found.append(Expected(call, result.y, state, trace))
    return found


def _vectors(project: Project, expected: list[Expected]) -> bytes:
    ports, layouts = project.ports, project.state_layouts
    calls = [
        Call(
            item.stimulus.x, item.stimulus.lengths, item.stimulus.start,
            index == 0 or item.stimulus.start == START_GIVEN,
            ports.state_to_beats({name: item.stimulus.state[name] for name in layouts}, layouts)
            if item.stimulus.start == START_GIVEN and item.stimulus.state is not None
            else b"",
        )
        for index, item in enumerate(expected)
    ]  # fmt: skip
    return vector_file(calls, ports)


def _compare(
    project: Project, expected: list[Expected], results: bytes, trace: bytes, output: str
) -> CheckResult:
    values: dict[str, int] = {}
    records = np.frombuffer(trace, dtype=np.int64).reshape(-1, RECORD)
    ends = np.flatnonzero(records[:, 0] < 0)
    first = start = 0
    for item, end in zip(expected, ends, strict=True):
        size = _result_bytes(project, item)
        difference = _compare_trace(project, item, records[first:end], values)
        if difference is None:
            difference = _compare_results(project, item, results[start : start + size], values)
        if difference is not None:
            return CheckResult(len(expected), values, difference, output)
        first, start = int(end) + 1, start + size
    return CheckResult(len(expected), values, None, output)


def _result_bytes(project: Project, item: Expected) -> int:
    ports = project.ports
    beats = item.y.shape[1] * ports.beats(item.y.shape[2])
    beats += sum(ports.beats(layout.positions) for layout in project.state_layouts.values())
    return int(beats) * ports.port_bits // 8


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
    y_bytes = frames * ports.beats(outputs) * ports.port_bits // 8
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
