"""The golden vectors of a project: complete, and what the interpreter computes."""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.ir import Direction, Graph
from penstock.ir.evaluate import evaluate, initial_state
from penstock.packing.vectors import START_CARRIED, START_GIVEN, Call, parse_vector_file
from penstock_runtime.project import HINT, Project

VECTORS = "tb/vectors.dat"


def read_golden(project: Project) -> list[Call]:
    """The calls of tb/vectors.dat, as many and as long as the manifest says, with all results.

    Raises PenstockError: fewer, shorter or empty vectors would prove less than they seem to.
    """
    golden = project.manifest.golden
    try:
        content = (project.folder / VECTORS).read_bytes()
        calls = parse_vector_file(content, project.ports, project.inputs)
        if len(calls) != golden.calls:
            raise ValueError(f"it has {len(calls)} calls, not {golden.calls}")
        for number, call in enumerate(calls):
            if call.steps != golden.steps:
                raise ValueError(f"call {number} has {call.steps} steps, not {golden.steps}")
            sizes = len(call.expected_y), len(call.expected_state)
            y, state = result_bytes(project, call.steps)
            if sizes != (y, state if call.store else 0):
                raise ValueError(f"call {number} lacks a part of the expected result")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PenstockError(f"{VECTORS} is damaged: {reason}", str(project.folder), HINT) from error
    return calls


def result_bytes(project: Project, steps: int) -> tuple[int, int]:
    """Bytes of the result and of the final state of a call."""
    ports = project.ports
    frames = 1 if _is_once(project.graph) else steps
    state = sum(ports.beats(layout.positions) for layout in project.state_layouts.values())
    beat_bytes = ports.port_bits // 8
    return frames * ports.beats(project.outputs) * beat_bytes, state * beat_bytes


def wrong_golden(project: Project, calls: list[Call]) -> int | None:
    """The first call whose expected bytes are not what the interpreter gives, if there is one."""
    ports, layouts, graph = project.ports, project.state_layouts, project.graph
    state = initial_state(graph, ports.lanes)
    for number, call in enumerate(calls):
        if call.start == START_GIVEN:
            state = ports.state_from_beats(call.state, layouts)
        elif call.start != START_CARRIED:
            state = initial_state(graph, ports.lanes)
        result = evaluate(graph, call.x, call.lengths, state)
        state = {name: result.state[name] for name in layouts}
        final = ports.state_to_beats(state, layouts) if call.store else b""
        expected = ports.to_beats(result.y), final
        if expected != (call.expected_y, call.expected_state):
            return number
    return None


def _is_once(graph: Graph) -> bool:
    return graph.sweeps[graph.of_kind("output")[0].sweep] is Direction.ONCE
