"""What the project's README tells: sizes, tensors, phases, the timeline, the memory layout."""

from __future__ import annotations

from typing import Any

from penstock.codegen.hls.names import one_line
from penstock.ir import Node
from penstock.ir.matrix import Matrix
from penstock.machine import Machine
from penstock.machine.logic import ERROR
from penstock.machine.order import Issue, Work
from penstock.machine.phases import Phase
from penstock.machine.resources import NAMES, Verdict, estimate
from penstock.packing.vectors import parameter_offsets

WORK = {
    Work.LOAD: "load of {}", Work.SPMV: "{}: SpMV", Work.CELLS: "{}: cell unit",
    Work.COMMIT: "{} takes effect", Work.DRAIN: "{}: sums", Work.CLEAR: "{} cleared",
    Work.PARTS: "{}: shared rows", Work.PROGRAM: "program of {}",
    Work.FLUSH: "end of the pipeline of {}",
}  # fmt: skip


def readme_context(machine: Machine) -> dict[str, Any]:
    """All names that only the README's template uses."""
    return {
        **_sizes(machine), **_memory(machine), **_timeline(machine), **_places(machine),
        "phases": [_phase(machine, phase) for phase in machine.products],
        "tensors": [_tensor(node) for node in _named_tensors(machine)],
    }  # fmt: skip


def _sizes(machine: Machine) -> dict[str, Any]:
    hardware, source, output = machine.hardware, machine.input, machine.output
    is_once = machine.is_once(output.sweep)
    y_frame_bytes = machine.port("y").beats * hardware.beat_bits // 8
    longest = machine.max_steps
    return {
        "pes": hardware.pes, "group_pes": machine.groups.group_pes,
        "rows": hardware.rows, "banks": hardware.banks,
        "array_about": f"{hardware.pes} multipliers: {hardware.rows} rows of {hardware.banks} banks"
        if hardware.is_bank else f"{hardware.pes} PEs",
        "queue_depth": hardware.activation_queue if hardware.is_broadcast else None,
        "groups_about": _count(machine.groups.groups, "group"),
        "cell_units_about": _count(hardware.cell_units, "element"),
        "acc_bits": machine.accumulator_bits, "members_about": _members(machine),
        "lanes_about": _lanes(machine),
        "fit_about": _fit(machine),
        "max_steps_about": "frames are buffered between sweeps" if machine.kept.frames
        else "sums over time are proven to fit",
        "max_steps_note": f"; at most {longest}" if longest else "",
        "inputs_about": _count(source.tensor.length, "element"),
        "outputs_about": _count(output.tensor.length, "element"),
        "output_about": "once a sequence" if is_once else "for every step",
        "y_frames": 1 if is_once else "steps",
        "y_about": y_frame_bytes if is_once else f"steps x {y_frame_bytes}",
    }  # fmt: skip


def _lanes(machine: Machine) -> str:
    hardware = machine.hardware
    if hardware.lanes == 1:
        return "one sequence at a time"
    told = "independent sequences that share the weight stream"
    if hardware.interleave == 1:
        return told
    if hardware.lanes_at_once == 1:
        return "independent sequences that take turns in the pipeline"
    return f"{told}, {hardware.lanes_at_once} at a time: they take turns in the pipeline"


def _places(machine: Machine) -> dict[str, Any]:
    """Where element k (position p, of a state) of lane l stands in its frame, as formulas."""
    hardware = machine.hardware
    at_once, turns, bytes_of = (
        hardware.lanes_at_once,
        hardware.interleave,
        machine.beats.io_bits // 8,
    )
    beat_bytes = hardware.beat_bits // 8

    def place(stride: str, element: str) -> str:
        if turns == 1:
            return f"({element} * {at_once} + l) * {bytes_of}"
        if at_once == 1:
            return f"l * {stride} + {element} * {bytes_of}"
        return f"l / {at_once} * {stride} + ({element} * {at_once} + l % {at_once}) * {bytes_of}"

    x, y = (machine.port(name).beats * beat_bytes // turns for name in "xy")
    return {
        "interleave": turns, "x_place": place(str(x), "k"), "y_place": place(str(y), "k"),
        "state_place": place(f"(size / {turns})", "p"),
    }  # fmt: skip


def _members(machine: Machine) -> str:
    """The PEs of group G, in the order of their entries."""
    groups = machine.groups
    if groups.groups == 1:
        return f"all PEs, 0 .. {groups.pes - 1}"
    if groups.neighbours_share:
        last = groups.group_pes - 1
        return f"PEs G * {groups.group_pes} .. G * {groups.group_pes} + {last}"
    share = groups.per_cycle // groups.groups
    return f"the PEs p with p % {groups.per_cycle} // {share} == G, in ascending order"


def _fit(machine: Machine) -> str:
    """What the estimate says of the device, and of what it is not sure."""
    found = estimate(machine)
    told = [
        f"{NAMES[name]} {fit.verdict}"
        for name, fit in found.fits.items()
        if fit.verdict is not Verdict.FITS
    ]
    if found.bandwidth.are_too_many:
        told.append(f"{len(found.bandwidth.ports)} memory ports of {found.bandwidth.port_limit}")
    device = found.device.name
    if not told:
        return f"fits {device}; logic within {ERROR:.0%} of open synthesis, see report.html"
    return f"{device}: {', '.join(told)}, see report.html"


def _memory(machine: Machine) -> dict[str, Any]:
    """What lies behind the ports state, parameters and weights_*."""
    beat_bytes = machine.hardware.beat_bits // 8
    arrays = machine.kept.parameters
    offsets = parameter_offsets([array.positions for array in arrays], machine.hardware.beat_bits)
    return {
        "states": [
            {"name": one_line(state.name), "first_byte": state.first_beat * beat_bytes,
             "positions": state.positions, "elements": state.layout.length, "type": state.type,
             "order": "the model's" if state.layout.is_identity else "see the manifest"}
            for state in machine.kept.states
        ],
        "vectors": [
            {"name": one_line(array.name), "first_byte": beat * beat_bytes,
             "positions": array.positions, "type": array.type}
            for array, beat in zip(arrays, offsets, strict=False)
        ],
        "parameter_bytes": offsets[-1] * beat_bytes,
        "weights_on_chip": machine.on_chip,
        "weight_ports": [
            {"index": index, "name": name,
             "bytes": machine.port(f"weights_{index}").beats * beat_bytes}
            for index, name in enumerate(machine.weight_files)
        ],
    }  # fmt: skip


def _timeline(machine: Machine) -> dict[str, Any]:
    order, clock, whole = machine.order, machine.hardware.clock_mhz, machine.timeline
    return {
        "spans": [_issue(machine, issue) for issue in order.issues],
        "step_cycles": whole.step,
        "bound_cycles": order.bound_cycles,
        "step_time": f"{whole.step / clock:.2f}",
        "processes": whole.busy,
        "slowest": whole.slowest.what,
        "one_step_call": whole.call(1, "carried", store=False),
        "timeline": whole,
        "once_cycles": order.once_cycles,
        "step_bytes": machine.step_weight_beats * machine.hardware.beat_bits // 8,
    }


def _issue(machine: Machine, issue: Issue) -> dict[str, Any]:
    name = WORK[issue.work].format(one_line(issue.name))
    if issue.run is not None and not issue.run.phase:
        name = f"{one_line(issue.name)}: packets"
    return {
        "name": f"{name}{', beside it' if issue.is_beside else ''}"
        f"{', before the first step' if issue.is_first else ''}",
        "cycles": issue.cycles,
        "sweep": f"{issue.sweep}, {machine.graph.sweeps[issue.sweep]}",
        "bound": issue.bound if issue.work in (Work.SPMV, Work.PROGRAM) else "",
    }  # fmt: skip


def _phase(machine: Machine, phase: Phase) -> dict[str, Any]:
    product = phase.product
    assert product is not None
    code, nodes = product.code, phase.nodes
    columns = " + ".join(str(machine.graph[source].tensor.length) for source in nodes.operands)
    return {
        "name": one_line(code.name), "sweep": code.sweep,
        "matrices": f"{len(nodes.matvecs)} of {nodes.rows} x ({columns})",
        "nonzeros": product.nonzeros, "words": code.words, "bound": product.bound,
        "entry_bits": f"{code.weight_bits} + {code.index_bits}",
        "utilization": f"{100 * product.bound / code.words:.1f} %" if code.words else "-",
    }  # fmt: skip


def _named_tensors(machine: Machine) -> list[Node]:
    """What a reader may look for: the ends, states, matrices and vectors, in graph order."""
    vectors = {array.name for array in machine.kept.parameters}
    return [
        node
        for node in machine.graph.nodes()
        if node.op.kind in ("input", "state_read", "output")
        or node.name in vectors
        or (node.op.kind == "const" and len(node.tensor.shape) == 2)
    ]


def _tensor(node: Node) -> dict[str, Any]:
    tensor = node.tensor
    weights = tensor.constant
    name = node.op.reads or node.name
    return {
        "name": one_line(name), "type": tensor.type, "shape": " x ".join(map(str, tensor.shape)),
        "nonzeros": weights.count if isinstance(weights, Matrix) else "",
    }  # fmt: skip


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
