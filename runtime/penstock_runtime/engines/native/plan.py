"""A program before it has memory: groups of rows, buffers, products; ``planner`` makes it.

A *group* is a run of nodes of one length that can be executed block by block of rows: no node of it
reads a whole vector that the group itself computes. What a group computes stays in registers; a
value has a buffer only if a product reads it, or another group, or another sweep.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.fixed import IntArray
from penstock.ir.saturation import Saturable
from penstock.ir.walk import Program
from penstock.ir.walk import Sweep as WalkedSweep
from penstock_runtime.engines.native.coder import Line
from penstock_runtime.engines.native.matrix import Operand
from penstock_runtime.engines.native.program import Storage


@dataclass
class BufferPlan:
    """(rows, lanes) integers.

    constant: what they always are, (rows). initial: what they are when a run begins. later: kept
    for every step. position: where they begin in the arena of their storage, if a product reads
    them.
    """

    rows: int
    storage: Storage
    constant: IntArray | None = None
    initial: int = 0
    later: bool = False
    position: int | None = None


@dataclass
class MatrixPlan:
    """A product: operands, and the buffers of their vectors."""

    operands: list[Operand]
    buffers: list[int]
    rows: int
    storage: Storage


@dataclass
class GroupPlan:
    """Lines that are executed block by block over ``rows`` rows."""

    rows: int
    lines: list[Line]


@dataclass
class SweepPlan:
    """copies: (to, from) buffers of states, at the end of a step."""

    walked: WalkedSweep
    groups: list[GroupPlan] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Plan:
    """A program, before it has memory.

    states, captures: name -> buffer. values: of every sweep, node name -> its buffer, if it has
    one. slots: the tensors that can saturate, in the order of their counters.
    """

    program: Program
    sweeps: list[SweepPlan] = field(default_factory=list)
    buffers: list[BufferPlan] = field(default_factory=list)
    matrices: list[MatrixPlan] = field(default_factory=list)
    tables: list[tuple[IntArray, bool]] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)
    captures: dict[str, int] = field(default_factory=dict)
    values: list[dict[str, int]] = field(default_factory=list)
    slots: dict[str, Saturable] = field(default_factory=dict)
    registers: int = 1
