"""Verilog of the operands of a phase: which of its vectors a column is of, and where that lies."""

from __future__ import annotations

from primitives import Design, index_bits, module, scrambled

COLUMN, ADDRESS = 11, 11
"""Bits of a column's number and of an address of the activation memory."""


def ends(phases: int, operands: int) -> list[list[int]]:
    """Of each phase, the columns where its next operand begins: in order, else drawn."""
    drawn = [[scrambled(phase * operands + k, COLUMN - 1) for k in range(operands - 1)]
             for phase in range(phases)]  # fmt: skip
    return [sorted(row) for row in drawn]


def chosen(name: str, bits: int, select: str, values: list[int]) -> str:
    """A constant for each value of ``select``."""
    lines = [f"{index}: {name} = {bits}'d{value};" for index, value in enumerate(values)]
    cases = "\n".join([*lines, f"default: {name} = 0;"])
    return f"reg [{bits - 1}:0] {name};\nalways @* case ({select})\n{cases}\nendcase"


def operand_of(phases: int, operands: int) -> str:
    """``operand``, from ``phase`` and ``here``: a chain of comparisons."""
    found = ends(phases, operands)
    lines, number = [], "0"
    for k in range(operands - 1):
        lines.append(chosen(f"end{k}", COLUMN, "phase", [row[k] for row in found]))
        number = f"here >= end{k} ? {k + 1} : {number}"
    bits = index_bits(operands)
    return "\n".join([*lines, f"wire [{bits - 1}:0] operand = {number};"])


def base_of(phases: int, operands: int) -> str:
    """``base``, from ``phase`` and ``operand``: a table."""
    padded = 1 << index_bits(operands)
    values = [scrambled(index + 64, ADDRESS - 1) for index in range(phases * padded)]
    return chosen("base", ADDRESS, "{phase, operand}", values)


def operand_address(phases: int, operands: int) -> Design:
    """The address of a column where operands lie apart."""
    ports = f"""input clk, input [{index_bits(phases) - 1}:0] phase, input [{COLUMN - 1}:0] here,
output reg [{ADDRESS - 1}:0] gather"""
    body = "\n".join([operand_of(phases, operands), base_of(phases, operands),
                      "always @(posedge clk) gather <= base + here;"])  # fmt: skip
    return Design("operand_address", {"phases": phases, "operands": operands}, module(ports, body))
