"""Verilog of cell units, written from the very lines that the machine description gives.

Every operation is followed by as many registers as it takes cycles (those of a multiplier are in
its DSP), and an operand that is ready early waits in shift registers. Memories and tables are
outside.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from penstock import Hardware, compile_checkpoint
from penstock.ir import Graph, Node
from penstock.machine import Machine
from penstock.machine.units import Action, Unit
from primitives import Design, module

CELLS, INPUTS, SEED = 32, 16, 2017
NETWORKS = ("lstm", "gru")
OUTSIDE = ("const", "input", "state_read", "capture", "matvec", "lut")


@cache
def machine_of(network: str) -> Machine:
    """A small network of a kind: the widths of its unit are those of a large one."""
    gates = {"lstm": 4, "gru": 3}[network]
    generator = np.random.default_rng(SEED)

    def drawn(*shape: int) -> np.ndarray:
        return generator.normal(0, 0.3, shape).astype(np.float32)

    tensors = {
        "weight_ih_l0": drawn(gates * CELLS, INPUTS), "weight_hh_l0": drawn(gates * CELLS, CELLS),
        "bias_ih_l0": drawn(gates * CELLS), "bias_hh_l0": drawn(gates * CELLS),
    }  # fmt: skip
    if network == "lstm":
        tensors |= {f"weight_{gate}c_l0": drawn(CELLS) for gate in "ifo"}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.safetensors"
        save_file(tensors, path)
        return compile_checkpoint(path, None, Hardware(pes=4)).machine


class Writer:
    """One unit as a module. ready: of each value, the cycle in which it is there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ports = ["input clk, valid"]
        self.lines: list[str] = []
        self.ready: dict[str, int] = {}
        self.names: dict[str, str] = {}

    def add(self, node: Node) -> str:
        """The wire of a node's value."""
        if node.name in self.names:
            return self.names[node.name]
        name = self.names[node.name] = f"v{len(self.names)}"
        dtype = node.tensor.type
        sign = "signed " if dtype.signed else ""
        declared = f"{sign}[{dtype.width - 1}:0] {name}"
        if node.op.kind in OUTSIDE:
            self.ports.append(f"input {declared}")
            if node.op.kind == "lut":  # the index leaves; the result comes some cycles later
                index = self.add(self.graph.inputs(node)[0])
                width = self.graph.inputs(node)[0].tensor.type.width
                self.ports.append(f"output [{width - 1}:0] {name}_index")
                self.lines.append(f"assign {name}_index = {index};")
                self.ready.setdefault(index, 0)
                self.ready[name] = self.ready[index] + cycles(self.graph, node)
            return name
        vectors = self.graph.vectors(node)
        operands = [self.add(source) for source in vectors]
        start = max((self.ready.get(operand, 0) for operand in operands), default=0)
        for operand in operands:
            self.ready.setdefault(operand, start)  # a memory is read when its value is needed
        late = [self.delayed(source, operand, start)
                for source, operand in zip(vectors, operands, strict=True)]  # fmt: skip
        latency = cycles(self.graph, node)
        self.lines.append(f"wire {sign}[{dtype.width - 1}:0] {name}_0 = {self.value(node, late)};")
        is_in_dsp = node.op.kind == "mul"  # which has as many registers
        self.chain(f"{name}_0", name, sign, dtype.width, 0 if is_in_dsp else latency)
        self.ready[name] = start + latency
        return name

    def chain(self, source: str, name: str, sign: str, width: int, cycles: int) -> None:
        """``name`` is ``source``, so many cycles later."""
        before = source
        for cycle in range(cycles):
            after = f"{name}_r{cycle}"
            self.lines.append(f"reg {sign}[{width - 1}:0] {after};")
            self.lines.append(f"always @(posedge clk) {after} <= {before};")
            before = after
        self.lines.append(f"wire {sign}[{width - 1}:0] {name} = {before};")

    def delayed(self, source: Node, name: str, until: int) -> str:
        """A value that waits until a cycle."""
        wait = until - self.ready[name]
        late = f"{name}_at{until}"
        if wait and late not in self.ready:
            sign = "signed " if source.tensor.type.signed else ""
            self.chain(name, late, sign, source.tensor.type.width, wait)
            self.ready[late] = until
        return late if wait else name

    def value(self, node: Node, operands: list[str]) -> str:
        """An operation as an expression of its operands."""
        types = [source.tensor.type for source in self.graph.vectors(node)]
        signed = [name if dtype.signed else f"$signed({{1'b0, {name}}})"
                  for name, dtype in zip(operands, types, strict=True)]  # fmt: skip
        kind, to = node.op.kind, node.tensor.type
        if kind == "mul":
            return f"{signed[0]} * {signed[1]}"
        if kind in ("add", "sub"):
            terms = [f"({name} <<< {to.frac - dtype.frac})"
                     for name, dtype in zip(signed, types, strict=True)]  # fmt: skip
            return (" + " if kind == "add" else " - ").join(terms)
        if kind == "requant":
            return self.requantized(operands[0], signed[0], types[0].frac - to.frac, node)
        return signed[0]

    def requantized(self, stem: str, value: str, drop: int, node: Node) -> str:
        """Round half up, then saturate."""
        to = node.tensor.type
        name = f"{self.names[node.name]}_q"
        wide = self.graph.vectors(node)[0].tensor.type.width + 2 + max(-drop, 0)
        half = f" + {1 << drop - 1}" if drop > 0 else ""
        shift = f">>> {drop}" if drop >= 0 else f"<<< {-drop}"
        self.lines.append(f"wire signed [{wide - 1}:0] {name}_w = {value};")
        self.lines.append(f"wire signed [{wide - 1}:0] {name} = ({name}_w{half}) {shift};")
        return (f"{name} > {to.raw_max} ? {to.raw_max} : "
                f"{name} < {to.raw_min} ? {to.raw_min} : {name}")  # fmt: skip


def cycles(graph: Graph, node: Node) -> int:
    """Pipeline cycles of an operation."""
    return node.op.cost(*(source.tensor for source in graph.inputs(node))).latency_cycles


def unit_verilog(graph: Graph, unit: Unit) -> str:
    """The module of a unit's lines."""
    writer = Writer(graph)
    outputs = []
    for line in unit.lines:
        node = graph[line.node]
        if line.action is Action.COMPUTE:
            writer.add(node)
        elif line.action in (Action.WRITE_STATE, Action.RESULT, Action.GATHERED):
            value, width = writer.add(node), node.tensor.type.width
            outputs.append(f"output [{width - 1}:0] o{len(outputs)}")
            writer.lines.append(f"assign o{len(outputs) - 1} = {value};")
    return module(",\n".join([*writer.ports, *outputs]), "\n".join(writer.lines))


def unit_designs() -> list[Design]:
    """The cell unit of each network's first phase with products."""
    found = []
    for number, network in enumerate(NETWORKS):
        machine = machine_of(network)
        verilog = unit_verilog(machine.graph, machine.products[0].unit)
        found.append(Design("cell_unit", {"network": number}, verilog))
    return found
