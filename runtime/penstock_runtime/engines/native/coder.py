"""Instructions of one group: values in registers, loaded, widened, narrowed as needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from penstock.ir import Node
from penstock.ir.saturation import Kind, Saturable
from penstock_runtime.engines.native.program import Opcode

OPERANDS = ("a", "b")
INT32 = (-(1 << 31), (1 << 31) - 1)


def is_wide(*values: int) -> bool:
    """True unless all fit int32."""
    return not all(INT32[0] <= value <= INT32[1] for value in values)


@dataclass
class Line:
    """One instruction; registers are virtual until ``allocate`` has seen the group."""

    opcode: Opcode
    fields: dict[str, int] = field(default_factory=dict)


class Places(Protocol):
    """Where values lie that a group does not compute itself, and what else it refers to."""

    def node(self, name: str) -> Node:
        """A node of the graph."""
        ...

    def buffer_of(self, name: str) -> int:
        """The buffer from which this sweep reads a node's value."""
        ...

    def shifts(self, name: str) -> int:
        """The buffer of how far ``ops.Scale`` moves each element by these exponents."""
        ...

    def table(self, name: str, wide: bool) -> int:
        """A constant table, of int64 or int32."""
        ...

    def saturable(self, name: str) -> tuple[int, Saturable] | None:
        """Counter and limits of a node whose operand can lie outside them, else None."""
        ...


class Coder:
    """Collects the lines of a group. A register is wide if its value's interval needs int64."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.lines: list[Line] = []
        self._registers: dict[str, int] = {}
        self._wide: list[bool] = []
        self._converted: dict[tuple[int, bool], int] = {}

    def emit(self, opcode: Opcode, wide: bool, **fields: int) -> int:
        """Append an instruction with a result. -> its register."""
        result = len(self._wide)
        self._wide.append(wide)
        self.act(opcode, wide, result=result, **fields)
        return result

    def act(self, opcode: Opcode, wide: bool, **fields: int) -> None:
        """Append an instruction without a result."""
        self.lines.append(Line(opcode, {"wide": int(wide), **fields}))

    def value(self, name: str, wide: bool | None = None) -> int:
        """The register of a node's value, as int64 or int32 (default: as it is)."""
        register = self._registers.get(name)
        if register is None:
            tensor = self.places.node(name).tensor
            is_long, buffer = is_wide(tensor.lo, tensor.hi), self.places.buffer_of(name)
            register = self.emit(Opcode.LOAD, is_long, buffer=buffer)
            self._registers[name] = register
        return register if wide is None else self.converted(register, wide)

    def is_wide(self, register: int) -> bool:
        """True if it holds int64."""
        return self._wide[register]

    def converted(self, register: int, wide: bool) -> int:
        """The register's value as int64 or int32."""
        if self._wide[register] == wide:
            return register
        key = (register, wide)
        if key not in self._converted:
            opcode = Opcode.WIDEN if wide else Opcode.NARROW
            self._converted[key] = self.emit(opcode, wide, a=register)
        return self._converted[key]

    def set(self, name: str, register: int) -> None:
        """``register`` holds the node's value."""
        tensor = self.places.node(name).tensor
        self._registers[name] = self.converted(register, is_wide(tensor.lo, tensor.hi))

    def store(self, name: str, buffer: int, opcode: Opcode = Opcode.STORE, **fields: int) -> None:
        """Write a node's value to a buffer."""
        register = self.value(name)
        self.act(opcode, self._wide[register], a=register, buffer=buffer, **fields)

    def count(self, name: str, register: int, limits: tuple[int, int] | None = None) -> None:
        """Count what of the register lies outside the limits of a node that can saturate.

        limits: lo, hi; default: those of its operand.
        """
        found = self.places.saturable(name)
        if found is None:
            return
        slot, own = found
        wide = self._wide[register]
        lo, hi = limits or (own.lo, own.hi)
        self.act(Opcode.COUNT, wide, a=register, slot=slot,
                 mode=int(own.kind is not Kind.TABLE), **bounded(lo, hi, wide))  # fmt: skip


def bounded(lo: int, hi: int, wide: bool) -> dict[str, int]:
    """Limits as the values' own type has them: what lies beyond it can't be exceeded."""
    least, greatest = (-(1 << 63), (1 << 63) - 1) if wide else INT32
    return {"lo": min(max(lo, least), greatest), "hi": min(max(hi, least), greatest)}


def allocate(lines: list[Line]) -> int:
    """Give virtual registers real ones, in place. -> how many."""
    last = {
        line.fields[operand]: index
        for index, line in enumerate(lines)
        for operand in (*OPERANDS, "result")
        if operand in line.fields
    }
    places: dict[int, int] = {}
    free: list[int] = []
    used = 0
    for index, line in enumerate(lines):
        if "result" in line.fields:
            if not free:
                free.append(used)
                used += 1
            places[line.fields["result"]] = free.pop()
        touched = {line.fields[own] for own in (*OPERANDS, "result") if own in line.fields}
        for operand in (*OPERANDS, "result"):
            if operand in line.fields:
                line.fields[operand] = places[line.fields[operand]]
        free += [places[virtual] for virtual in touched if last[virtual] == index]
    return used


Rule = Callable[[Coder, Node], None]
