"""A random graph in the making: names, types, constants, what a node may read, states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir import Direction, Graph, Node
from penstock.ops import Const, MatVec, Requant, StateRead, StateWrite

ONCE = Direction.ONCE
WIDEST = 24
MOST_STATES = 5
ODD_NAMES = (
    "int", "class", "new", "and", "xor", "template", "register", "default", "alignas", "main",
    "acc", "lane", "packet", "pe", "position", "q", "results", "slot", "step", "unit", "valid",
    "vector", "words", "frames", "state", "steps", "start", "reload", "length_0", "parameters", "x",
    "raw", "raw_", "take", "spmv", "PES", "LANES", "TRACE", "beat_t", "acc_t", "std", "hls",
    "ap_int", "ap_fixed", "A_b", "a.b", "a_b", "a-b", "a__b", "_a", "__a", "9lives", "-", "..",
    "NULL", "true", "io_t",
    "value", "best", "broadcast", "compute", "phase_t", "BANKS", "sigma", "tanh", "table", "last",
    "raw_of", "NAN", "EOF", "M_PI", "AP_SAT", "errno", "assert", "exp", "y0", "index",
)  # fmt: skip
"""Names that a C++ emitter must not take as they are."""


@dataclass
class State:
    """A state that is not whole yet."""

    name: str
    length: int
    type: Fixed
    sweep: int
    is_read: bool = False
    is_written: bool = False


@dataclass
class Drawing:
    """A graph in the making; every method adds nodes that the graph accepts, or none."""

    draw: Any
    graph: Graph
    lengths: list[int]
    has_odd_names: bool
    sweep: int = 0
    states: list[State] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)

    def pick(self, choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(1, one_in)) == one_in

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def name(self, stem: str) -> str:
        """A name that is free, for a node or a state."""
        name = f"l{self.sweep}.{stem}"
        if self.has_odd_names and self.chance(2):
            name = self.pick(("", "", "l0.", "a.", "a_", "l0.b.")) + self.pick(ODD_NAMES)
        taken = {state.name for state in self.states}
        free, count = name, 1
        while free in self.graph or free in taken:
            count += 1
            free = f"{name}{count}"
        return free

    def type(self, widest: int = WIDEST, signed: bool | None = None) -> Fixed:
        width = self.number(2, 60 if self.chance(60) else widest)
        frac = self.number(-2, width + 2) if self.chance(3) else self.number(0, width)
        sign = (not self.chance(4)) if signed is None else signed
        if self.chance(2):
            return Fixed(width, frac, sign, Rounding.RND, Overflow.SAT)
        return Fixed(width, frac, sign, self.pick(list(Rounding)), self.pick(list(Overflow)))

    def add(self, stem: str, op: Any, *inputs: str) -> str | None:
        """A new node, or None where the operation refuses its operands."""
        return self.add_named(self.name(stem), op, *inputs)

    def add_named(self, name: str, op: Any, *inputs: str) -> str | None:
        """The same, of an operation that knows its node's name."""
        try:
            return self.graph.add(name, op, *inputs, sweep=self.sweep)
        except ValueError:
            return None

    def constant(self, shape: tuple[int, ...], kind: Fixed, density: float = 1.0) -> str:
        generator = np.random.default_rng(self.number(0, 2**32 - 1))
        raw = generator.integers(kind.raw_min, kind.raw_max, shape, endpoint=True)
        if self.chance(8):
            raw = np.where(generator.random(shape) < 0.5, kind.raw_min, kind.raw_max)
        raw = np.where(generator.random(shape) < density, raw, 0)
        name = self.add("w", Const(kind, raw))
        assert name is not None
        return name

    def matrix(self, shape: tuple[int, int], kind: Fixed, density: float) -> str:
        """New weights, or those of another product."""
        same = [node.name for node in self.graph.of_kind("const") if node.tensor.shape == shape]
        return self.pick(same) if same and self.chance(4) else self.constant(shape, kind, density)

    def values(self, length: int | None = None, constants: bool = False) -> list[Node]:
        """What a node of the present sweep may read as a vector of the step."""
        is_once = self.graph.sweeps[self.sweep] is ONCE
        found = []
        for node in self.graph.nodes():
            if length not in (None, node.tensor.length) or node.name in self.tables:
                continue
            kind = node.op.kind
            if kind == "const":
                fits = constants and len(node.tensor.shape) == 1
            elif node.sweep == self.sweep:
                fits = kind not in ("state_write", "capture", "argmax", "output")
            elif node.sweep < self.sweep and self.graph.sweeps[node.sweep] is not ONCE:
                fits = (kind == "capture") == is_once and kind not in ("state_write", "argmax")
            else:
                fits = False
            if fits:
                found.append(node)
        return found

    def unused(self) -> list[Node]:
        """What is computed in the present sweep and read by nobody yet."""
        used = {name for node in self.graph.nodes() for name in node.inputs}
        return [
            node for node in self.values()
            if node.sweep == self.sweep and not node.op.is_source and node.name not in used
        ]  # fmt: skip

    def operands(self, count: int) -> list[str]:
        """Vectors of one length, unused and late ones more often; empty if there is none."""
        found = self.values()
        if not found:
            return []
        latest = (self.chance(2) and self.unused()) or found[-4:]
        first = self.pick(latest if self.chance(2) else found)
        others = self.values(first.tensor.length, constants=True)
        return [first.name, *(self.pick(others).name for _ in range(count - 1))]

    def made_of_length(self, length: int) -> str:
        """A value of the sweep, by a product if need be."""
        found = self.values()
        if not found:
            return self.constant((length,), self.type())
        source = self.pick(found)
        weights = self.constant((length, source.tensor.length), Fixed(3, 2), 0.5)
        made = self.add("made", MatVec(), source.name, weights)
        return made or self.constant((length,), self.type())

    def new_state(self) -> State | None:
        """One that is read and written later on; of the type of some value, for a delay line."""
        if self.graph.sweeps[self.sweep] is ONCE or len(self.states) >= MOST_STATES:
            return None
        found = self.values()
        length, kind = self.pick(self.lengths), self.type()
        if found and self.chance(3):
            source = self.pick(found)
            length, kind = source.tensor.length, source.tensor.type
        state = State(self.name("s"), length, kind, self.sweep)
        self.states.append(state)
        if not self.chance(4):
            self.read(state)
        return state

    def use_up(self) -> None:
        """What nobody reads becomes states of its own type, more often than not."""
        if self.graph.sweeps[self.sweep] is ONCE:
            return
        for node in self.unused():
            kind = node.tensor.type if node.tensor.type.width < 32 else self.type()
            if len(self.states) < MOST_STATES and not self.chance(3):
                state = State(self.name("s"), node.tensor.length, kind, self.sweep)
                self.states.append(state)
                self.write(state, node.name)
                self.read(state)

    def read(self, state: State) -> str:
        name = f"{state.name}_before" if not self.chance(4) else self.name("old")
        if name in self.graph:
            name = self.name("old")
        self.graph.add(name, StateRead(state.name, state.length, state.type), sweep=state.sweep)
        state.is_read = True
        return name

    def read_state(self) -> None:
        open_states = [s for s in self.states if s.sweep == self.sweep and not s.is_read]
        if open_states:
            self.read(self.pick(open_states))

    def write_state(self) -> None:
        open_states = [s for s in self.states if s.sweep == self.sweep and not s.is_written]
        if open_states:
            self.write(self.pick(open_states))

    def write(self, state: State, source: str | None = None) -> None:
        """A value of the sweep becomes the state, converted where the types differ."""
        found = self.values(state.length)
        same = [node for node in found if node.tensor.type == state.type]
        if source is None and found:
            source = self.pick(same if same and self.chance(2) else found).name
        source = source or self.made_of_length(state.length)
        if self.graph[source].tensor.type != state.type:
            source = self.add("new", Requant(state.type), source)
        state.is_written = self.add("keep", StateWrite(state.name), source) is not None


def without_unused(graph: Graph) -> Graph:
    """The graph without values that nobody reads, which the verifier would refuse."""
    kept: set[str] = set()
    for node in reversed(list(graph.nodes())):
        op = node.op
        is_end = op.writes or op.reads or op.captures or op.kind in ("input", "output")
        if is_end or node.name in kept:
            kept |= {node.name, *node.inputs}
    made = Graph(graph.name, graph.sweeps)
    for node in graph.nodes():
        if node.name in kept:
            made.add(node.name, node.op, *node.inputs, sweep=node.sweep)
    return made
