"""An element-wise unit in C++: the function's parameters, and what each line's template needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.codegen.hls.group_arrays import GroupArray, acc_arrays, parameters_of, sums_arrays
from penstock.codegen.hls.names import Names, cpp, one_line, plain_cpp, short
from penstock.fixed import Fixed
from penstock.ir import Node, Tensor
from penstock.machine import Machine
from penstock.machine.arrays import Array, Role
from penstock.machine.memories import table_reads
from penstock.machine.phases import Phase
from penstock.machine.units import Action, Line, Need
from penstock.ops import Clamp, Mean

DECLARATIONS = {
    Need.ACTIVATIONS: "activations_t vector[GROUPS][GROUP_COPIES][VECTOR_DEPTH]",
    Need.VALID: "const bool valid[LANES]",
    Need.LAST: "const bool last[LANES]",
    Need.LENGTH: "const unsigned length[LANES]",
    Need.STEP: "unsigned step",
    Need.RESULTS: "result_stream &results",
}
BROADCAST = {Need.ACTIVATIONS: "activations_t vector[VECTOR_DEPTH]"}
"""Where one copy of the activations serves all PEs."""
ARGUMENTS = {Need.ACTIVATIONS: "vector"}
MOMENTS = {"first": "step == 0 && valid[{}]", "last": "last[{}]"}
"""When a capture takes its value, in one lane; in any other way: in every valid step."""


@dataclass(frozen=True)
class UnitCode:
    """One phase's function, as the template needs it."""

    function: str
    rows_per_pe: int
    comment: str
    lines: list[dict[str, Any]]
    parameters: list[str]
    arguments: list[str]
    in_order: list[str]
    """Memories of which each address is visited once."""
    writes_results: bool
    uses_position: bool
    interval: int
    loop: str
    published: list[dict[str, Any]]
    """Packets that it makes for the activation memory."""


def unit_code(machine: Machine, names: Names, phase: Phase, numbers: dict[str, int]) -> UnitCode:
    """A unit's lines in C++. numbers: of the graph's nodes, for the trace."""
    local = names.locals_of(phase)
    uses = phase.unit.uses
    arrays = [use for use in uses if isinstance(use, Array)]
    lines = [
        _line(machine, names, phase, line, local, numbers) | {"lanes": word}
        for line, word in zip(phase.unit.lines, names.words_of(phase), strict=True)
    ]
    overlaps = machine.hardware.overlaps
    sums: list[GroupArray] = []
    if machine.hardware.is_bank:
        uses = tuple(use for use in uses if isinstance(use, Array))  # all else is the sweep's own
    else:
        sums = sums_arrays(machine) if overlaps else acc_arrays(machine)  # drained before, or by it
    constant = "const " if overlaps else ""
    other = BROADCAST if machine.hardware.is_broadcast else {}
    published = []
    if overlaps or machine.hardware.is_bank:
        published = _published(machine, names, phase, lines)
    packets = [one["packets"] for one in published]
    return UnitCode(
        function=names.unit(phase.name),
        rows_per_pe=phase.unit.rows_per_pe,
        comment=_comment(phase),
        lines=lines,
        parameters=[
            text
            for use in uses
            for text in (
                [declaration(machine, names, use)] if isinstance(use, Array)
                else [f"gathered_t {name}[GROUPS][MAX_PACKETS]" for name in packets]
                if overlaps and use is Need.ACTIVATIONS
                else [constant + one for one in parameters_of(sums)] if use is Need.SUMS
                else [other.get(use, DECLARATIONS[use])]
            )
        ],
        arguments=[
            text
            for use in uses
            for text in (
                [names.array(use)] if isinstance(use, Array)
                else packets if overlaps and use is Need.ACTIVATIONS
                else [array.name for array in sums] if use is Need.SUMS
                else [ARGUMENTS.get(use, str(use))]
            )
        ],
        published=published,
        in_order=([array.name for array in sums] if Need.SUMS in uses and not overlaps else [])
        + [names.array(array) for array in arrays if array.role in (Role.STATE, Role.CAPTURE)],
        writes_results=phase.unit.writes_results, interval=phase.interval,
        uses_position=any(line.array or line.segment or line.action is Action.SUM
                          for line in phase.unit.lines),
        loop="" if machine.programs else names.loop("cells", phase.name),
    )  # fmt: skip


def _published(
    machine: Machine, names: Names, phase: Phase, lines: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The packets of a unit; marks the lines that fill them."""
    found: dict[str, dict[str, Any]] = {}
    for line, code in zip(phase.unit.lines, lines, strict=True):
        if line.segment is not None:
            packets = names.packets(line.segment)
            code["packet"] = f"{packets}_next"
            found[packets] = {
                "packets": packets, "packet": code["packet"], "condition": code["condition"],
            }  # fmt: skip
            if machine.hardware.is_bank:
                region = machine.kept.activations.region_of(line.segment)
                found[packets] |= {
                    "packets": names.segment(line.segment), "written": f"into_{region}",
                    "is_later": line.segment in machine.kept.doubled,
                }  # fmt: skip
    return list(found.values())


def _comment(phase: Phase) -> str:
    name = one_line(phase.name)
    if phase.product is None:
        return f"{name}: element by element, without a product."
    sums = ", ".join(short(matvec) for matvec in phase.nodes.matvecs)
    sources = ", ".join(map(one_line, phase.nodes.operands))
    return f"{name}: {sums} are the sums over {sources}."


def declaration(machine: Machine, names: Names, array: Array) -> str:
    """An array as the parameter of a function."""
    name = names.array(array)
    if array.role is Role.PARAMETER:
        return f"const {plain_cpp(array.type)} {name}[{array.positions}]"
    own = own_part(machine)
    if array.role is Role.FRAMES:
        return f"activations_t {name}[MAX_STEPS]{own}[{array.positions}]"
    return f"lanes_of<{plain_cpp(array.type)} > {name}{own}[{array.positions}]"


def own_part(machine: Machine) -> str:
    """The dimension of an array that has a part for each sequence that takes turns."""
    return "[INTERLEAVE]" if machine.hardware.interleave > 1 else ""


def _line(
    machine: Machine, names: Names, phase: Phase, line: Line, local: dict[str, str],
    numbers: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    node = machine.graph[line.node]
    sources = [local.get(source, "") for source in node.inputs]
    code: dict[str, Any] = {
        "id": local[line.node], "cpp": cpp(node.tensor.type), "number": numbers[node.name],
        "inputs": sources, "before": None, "template": None, "after": None,
        "packet": None, "keeps_old": False, "condition": "",
        "array": names.array(line.array) if line.array is not None else None,
        "base": names.segment(line.segment) if line.segment is not None else None,
    }  # fmt: skip
    match line.action:
        case Action.SUM:
            assert phase.product is not None
            ways = phase.product.code.ways
            code |= {"template": "ops/matvec.h.j2", "before": "words/take.h.j2",
                     "ways": ways, "first_bank": line.sibling * ways,
                     "sibling": line.sibling, "siblings": phase.product.code.siblings}  # fmt: skip
        case Action.READ:
            code |= _read(line, node)
        case Action.RESULT:
            code |= {"template": "ops/output.h.j2", "inputs": [local[line.node]]}
        case Action.GATHERED | Action.KEPT:
            code |= _keep(line, node) | {"inputs": [local[line.node]]}
        case Action.WRITE_STATE | Action.CAPTURE:
            code |= _conditional(machine, line, node)
        case _:
            code |= {"template": f"ops/{node.op.kind}.h.j2", **_operation(machine, names, node,
                                                                          sources)}  # fmt: skip
    return code


def _read(line: Line, node: Node) -> dict[str, Any]:
    """A word is read before the lanes are taken apart."""
    assert line.array is not None
    plain = {"cpp": plain_cpp(node.tensor.type)}
    if line.array.role is Role.PARAMETER:
        return plain | {"before": "words/read_parameter.h.j2"}
    if line.array.role is Role.FRAMES:
        return plain | {"before": "words/read_frames.h.j2", "template": "arrays/read_frames.h.j2"}
    return plain | {"before": "words/read.h.j2", "template": "ops/state_read.h.j2"}


def _keep(line: Line, node: Node) -> dict[str, Any]:
    """A word is written after all of its lanes are known."""
    if line.array is None:
        return {"before": "words/declare_raw.h.j2", "template": "arrays/gathered.h.j2",
                "after": "words/write_gathered.h.j2"}  # fmt: skip
    if line.array.role is Role.FRAMES:
        return {"before": "words/declare_raw.h.j2", "template": "arrays/keep_frames.h.j2",
                "after": "words/write_frames.h.j2"}  # fmt: skip
    return {"before": "words/declare.h.j2", "template": "arrays/keep.h.j2",
            "after": "words/write.h.j2", "kept_cpp": plain_cpp(node.tensor.type)}  # fmt: skip


def _conditional(machine: Machine, line: Line, node: Node) -> dict[str, Any]:
    """What is written in some lanes only: the others keep what the word held before."""
    when = node.op.when if node.op.captures is not None else None
    moment = MOMENTS.get(when or "", "valid[{}]")
    is_deferred = line.array is not None and line.array.role is Role.NEXT
    has_lanes = machine.hardware.lanes_at_once > 1 and not is_deferred
    has_lanes |= line.segment in machine.kept.doubled  # all of an image is written in every step
    return {
        "template": f"ops/{node.op.kind}.h.j2", "before": "words/declare.h.j2",
        "after": "words/write.h.j2", "kept_cpp": plain_cpp(node.tensor.type), "when": when,
        "moment": moment.format("lane"), "keeps_old": has_lanes or when in ("max", "sum"),
        "condition": "" if has_lanes or is_deferred else moment.format("0"),
    }  # fmt: skip


def _operation(machine: Machine, names: Names, node: Node, sources: list[str]) -> dict[str, Any]:
    if node.op.kind == "lut":
        return {"table": names.table(node.inputs[1]), "call": table_call(machine, node)}
    if node.op.kind == "requant":
        source = machine.graph[node.inputs[0]].tensor.type
        return {"operand": requant_operand(source, node.tensor.type, sources[0])}
    if node.op.kind == "scale":
        least = machine.graph[node.inputs[1]].tensor.lo
        return {"wide": widened(node.tensor.type, least) if least else ""}
    if isinstance(node.op, Clamp):
        bits = node.tensor.type.width + 1
        return {"bits": bits, "low": node.op.low, "high": node.op.high}
    if isinstance(node.op, Mean):
        return mean_operands(node.op, machine.graph[node.inputs[0]].tensor)
    return {}


def table_call(machine: Machine, node: Node) -> int:
    """The number of a look-up among those of its table in one unit."""
    reads = table_reads(machine.kept)
    return next(nodes.index(node.name) for nodes in reads.values() if node.name in nodes)


def mean_operands(op: Mean, x: Tensor) -> dict[str, Any]:
    """How a mean is divided; the quotient has the fraction bits of the result."""
    bits, (up, down) = op.quotient_bits(x), op.shifts(x)
    quotient = f"ap_fixed<{bits}, {bits - op.to.frac}>"
    return {"quotient": quotient, "bits": bits, "up": up, "down": down}


def widened(dtype: Fixed, bits: int) -> str:
    """``dtype`` with more integer bits; it may be wider than a Fixed can be."""
    name = "ap_fixed" if dtype.signed else "ap_ufixed"
    return f"{name}<{dtype.width + bits}, {dtype.width - dtype.frac + bits}>"


def requant_operand(source: Fixed, to: Fixed, name: str) -> str:
    """The operand of a conversion, widened where all of its bits and more are dropped.

    AMD's headers stop with an assertion where a rounding bit lies above the operand's own bits.
    """
    needed = source.frac - to.frac + 2
    if source.width >= needed:
        return name
    kind = "ap_fixed" if source.signed else "ap_ufixed"  # may be wider than a Fixed can be
    return f"{kind}<{needed}, {needed - source.frac}>({name})"
