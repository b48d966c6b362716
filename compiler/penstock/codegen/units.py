"""The cell unit of one phase: which lines it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.codegen.names import identifier, local, storage
from penstock.codegen.storage import Storage
from penstock.fixed import Fixed
from penstock.ir import Node
from penstock.schedule import Phase

VECTOR = "activation_t vector[GROUPS][GROUP_COPIES][VECTOR_DEPTH][LANES]"
ACC = "acc_t acc[GROUPS][GROUP_PES][BANKS][ACC_DEPTH][LANES]"


@dataclass
class Unit:
    """One phase's element-wise function, as the template needs it."""

    function: str
    rows_per_pe: int
    comment: list[str]
    nodes: list[dict[str, Any]] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    state_arrays: list[str] = field(default_factory=list)
    writes_results: bool = False

    def needs(self, declaration: str, argument: str) -> None:
        """Pass one more thing to the function, once."""
        if argument not in self.arguments:
            self.parameters.append(declaration)
            self.arguments.append(argument)


def build_unit(keep: Storage, phase: Phase, numbers: dict[str, int]) -> Unit:
    """Lay out a phase's nodes in graph order, constants and state just before their first use."""
    part = phase.part
    unit = Unit(f"{identifier(part.name)}_cells", phase.code.rows_per_pe, _comment(keep, phase))
    unit.needs(ACC, "acc")
    for index, name in enumerate(part.matvecs):
        line = _line(keep.graph[name], numbers, "matvec")
        line["ways"] = phase.code.ways
        line["first_bank"] = index * phase.code.ways
        unit.nodes.append(line)
    seen = set(part.matvecs)
    for name in part.elementwise:
        node = keep.graph[name]
        for source in keep.graph.vectors(node):
            if source.op.kind in ("const", "state_read") and source.name not in seen:
                seen.add(source.name)
                _add_leaf(keep, unit, source, numbers)
        _add_node(keep, unit, node, numbers)
    unit.needs("const bool valid[LANES]", "valid")
    unit.needs("unsigned step", "step")
    return unit


def _comment(keep: Storage, phase: Phase) -> list[str]:
    part = phase.part
    sums = ", ".join(local(name) for name in part.matvecs)
    sources = ", ".join(part.operands)
    return [f"{part.name}: {sums} are the sums over {sources}."]


def _line(node: Node, numbers: dict[str, int], kind: str) -> dict[str, Any]:
    return {
        "template": f"ops/{kind}.h.j2",
        "id": local(node.name),
        "cpp": node.tensor.type.cpp,
        "number": numbers[node.name],
        "inputs": [local(source) for source in node.inputs],
    }


def _add_leaf(keep: Storage, unit: Unit, node: Node, numbers: dict[str, int]) -> None:
    line = _line(node, numbers, node.op.kind)
    line["cpp"] = storage(node.tensor.type)
    if node.op.kind == "const":
        line["array"] = identifier(node.name)
        unit.needs(
            f"const {line['cpp']} {line['array']}[{keep.positions(node.name)}]", line["array"]
        )
    else:
        line["array"] = keep.state_of(node).array
        _need_state(keep, unit, node)
    unit.nodes.append(line)


def _need_state(keep: Storage, unit: Unit, node: Node) -> None:
    block = keep.state_of(node)
    if block.array is not None and block.array not in unit.state_arrays:
        unit.state_arrays.append(block.array)
        unit.needs(f"{storage(block.type)} {block.array}[{block.positions}][LANES]", block.array)


def _add_node(keep: Storage, unit: Unit, node: Node, numbers: dict[str, int]) -> None:
    if node.op.kind == "argmax":  # the results are compared in the caller's order, see ports.h
        return
    line = _line(node, numbers, node.op.kind)
    if node.op.kind == "lut":
        line["table"] = local(node.inputs[1])
    elif node.op.kind == "requant":
        line["operand"] = requant_operand(keep.graph[node.inputs[0]].tensor.type, node.tensor.type,
                                          line["inputs"][0])  # fmt: skip
    elif node.op.kind == "state_write":
        block = keep.state_of(node)
        line["array"], line["base"] = block.array, block.base
        _need_state(keep, unit, node)
    elif node.op.kind == "capture":
        line["base"], line["when"] = keep.base(node.name), vars(node.op)["when"]
        if line["when"] == "last":
            unit.needs("const bool last[LANES]", "last")
    elif node.op.kind == "output":
        line["inputs"] = [local(keep.results()[0].name)]
        unit.writes_results = True
        unit.needs("result_stream &results", "results")
    unit.nodes.append(line)
    _add_stores(keep, unit, node, line)
    if line.get("base"):
        unit.needs(VECTOR, "vector")


def requant_operand(source: Fixed, to: Fixed, name: str) -> str:
    """The operand of a conversion, widened where all of its bits and more are dropped.

    AMD's headers stop with an assertion where a rounding bit lies above the operand's own bits.
    """
    needed = source.frac - to.frac + 2
    if source.width >= needed:
        return name
    kind = "ap_fixed" if source.signed else "ap_ufixed"  # may be wider than a Fixed can be
    return f"{kind}<{needed}, {needed - source.frac}>({name})"


def _add_stores(keep: Storage, unit: Unit, node: Node, line: dict[str, Any]) -> None:
    """A value that a matrix of this sweep gathers, or that a later sweep reads, is kept."""
    if node.op.kind in ("state_write", "capture", "output"):
        return
    base, frames = keep.own_segment(node), keep.frame_array(node)
    if base is not None:
        unit.needs(VECTOR, "vector")
        unit.nodes.append(
            {"template": "stores/gathered.h.j2", "base": base, "inputs": [line["id"]]}
        )
    if frames is not None:
        unit.needs(f"activation_t {frames}[MAX_STEPS][{keep.positions(node.name)}][LANES]", frames)
        unit.nodes.append(
            {"template": "stores/framed.h.j2", "array": frames, "inputs": [line["id"]]}
        )
