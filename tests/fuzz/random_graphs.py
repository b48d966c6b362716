"""Random small graphs of typed operations on random hardware, drawn by Hypothesis.

Not only networks that a frontend gives: states of all kinds, values carried over phases and sweeps,
delay lines, residuals, GRU-like cells, every rounding and overflow, names that clash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hypothesis
from fuzz.drawing import ONCE, WIDEST, Drawing, State, without_unused
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir import Direction, Graph, Node
from penstock.ops import (
    CAPTURES,
    Add,
    ArgMax,
    Capture,
    Clamp,
    Const,
    Input,
    Lut,
    MatVec,
    Mean,
    Mul,
    Output,
    Relu,
    Requant,
    Scale,
    StateWrite,
    Sub,
)  # fmt: skip
from penstock.ops.lut import lut_tables
from penstock.settings import ASSIGNMENTS

F, B = Direction.FORWARD, Direction.BACKWARD
SWEEPS = ([F], [F], [F], [F, ONCE], [F, ONCE], [F, F], [F, B, F], [F, B, ONCE], [F, B, B, F],
          [F, B, F, ONCE])  # fmt: skip
STEPS = {
    "matvec": 8, "requant": 8, "add": 4, "sub": 2, "mul": 4, "lut": 4, "relu": 1, "scale": 2,
    "const": 3, "new_state": 4, "read_state": 2, "write_state": 4, "capture": 2, "gru": 1,
    "clamp": 1, "mean": 2, "shift_register": 1, "residual": 2,
}  # fmt: skip
"""What may come next, and how often."""


@dataclass(frozen=True)
class Case:
    """A graph and the arguments of Hardware."""

    graph: Graph
    hardware: dict[str, Any]


class RandomGraph(Drawing):
    """The steps by which a graph grows."""

    def matvec(self) -> str | None:
        """One to three products, mostly of different vectors."""
        inputs: list[str] = []
        rows = self.pick(self.lengths)
        for _ in range(self.pick((1, 1, 1, 2, 2, 3))):
            found = [node for node in self.values() if node.tensor.type.width <= 40]
            fresh = [node for node in found if node.name not in inputs[::2]]
            if fresh or (found and self.chance(10)):
                source = self.pick(fresh or found)
                density = self.pick((0.0, 0.15, 0.4, 0.7, 1.0))
                kind = Fixed(self.number(2, 18), self.number(-1, 18))
                inputs += [source.name, self.matrix((rows, source.tensor.length), kind, density)]
        width = self.number(20, 60) if self.chance(6) else 0
        return self.add("acc", MatVec(width), *inputs) if inputs else None

    def requant(self) -> str | None:
        names = self.operands(1)
        return self.add("q", Requant(self.type()), *names) if names else None

    def eltwise(self, kind: str) -> str | None:
        counts = {"add": self.pick((1, 2, 2, 2, 3)), "relu": 1}
        names = self.operands(counts.get(kind, 2))
        op = {"add": Add, "sub": Sub, "mul": Mul, "relu": Relu}[kind]()
        if names and self.chance(3):
            names.reverse()
        return self.add(kind, op, *names) if names else None

    def scale(self) -> str | None:
        names = self.operands(1)
        if not names:
            return None
        length = self.graph[names[0]].tensor.length
        exponents = self.constant((length,), Fixed(self.number(1, 3), 0, signed=False))
        return self.add("scaled", Scale(), *names, exponents)

    def lut(self) -> str | None:
        """sigma or tanh of some vector, whose table may be another node's too."""
        names = self.operands(1)
        if not names:
            return None
        known = self.graph.of_kind("lut")
        if known and self.chance(2):
            twin = self.pick(known)
            x, op, tables = self.graph[twin.inputs[0]].tensor.type, twin.op, twin.inputs[1:]
            return self.add("f", op, self.add("at", Requant(x), *names), *tables)
        bits, fine = self.pick((1, 3, 6, 8)), self.pick((0, 0, 0, 1, 4, 8))
        x = Fixed(bits + fine, bits + fine - self.number(1, 4), True, Rounding.RND, Overflow.SAT)
        function = self.pick(("sigma", "tanh"))
        to = self.type(16, signed=None if function == "sigma" else True)
        raw = lut_tables(function, x, to, fine)
        rise = Fixed(min(to.width + 1, 18), to.frac)
        if fine and not rise.fits(raw[1]):
            return None
        kinds = [to, rise]
        tables = [self.add("table", Const(kinds[n], part)) for n, part in enumerate(raw)]
        self.tables.update(tables)
        rounded = self.add("at", Requant(x), *names)
        return self.add("f", Lut(function, to, fine), rounded, *tables)

    def clamp(self) -> str | None:
        names = self.operands(1)
        if not names:
            return None
        dtype = self.graph[names[0]].tensor.type
        low, high = sorted(self.number(dtype.raw_min, dtype.raw_max) for _ in range(2))
        return self.add("limited", Clamp(low, high), *names)

    def mean(self) -> str | None:
        """Of any vector, in any sweep: sums over a sequence are among them."""
        names = self.operands(1)
        to = self.type()
        to = Fixed(to.width, to.frac, to.signed, Rounding.RND, to.overflow)
        return self.add("mean", Mean(to), *names) if names else None

    def const(self) -> str:
        return self.constant((self.pick(self.lengths),), self.type())

    def capture(self) -> str | None:
        is_read = ONCE in self.graph.sweeps[self.sweep + 1 :]
        names = self.operands(1)
        if not is_read or not names or self.graph.sweeps[self.sweep] is ONCE:
            return None
        name = self.name("taken")
        op = Capture(name, self.pick(CAPTURES))
        return self.add_named(name, op, *names)

    def shift_register(self) -> None:
        """A chain of states that starts at a value: taps of a convolution over time."""
        found = self.values()
        if not found or self.graph.sweeps[self.sweep] is ONCE:
            return
        source = self.pick(found)
        inputs = []
        for _ in range(self.number(2, 3)):
            state = State(self.name("tap"), source.tensor.length, source.tensor.type, self.sweep)
            self.states.append(state)
            self.add("keep", StateWrite(state.name), source.name)
            state.is_written = True
            source = self.graph[self.read(state)]
            kind = Fixed(self.number(2, 8), self.number(0, 8))
            inputs += [source.name, self.constant((self.lengths[0], source.tensor.length), kind)]
        self.add("conv", MatVec(), *inputs)

    def residual(self) -> None:
        """Some value added to a matrix product of it, or of what came before it."""
        names = self.operands(1)
        if not names:
            return
        length = self.graph[names[0]].tensor.length
        weights = self.constant((length, length), Fixed(self.number(2, 6), 4), 0.5)
        product = self.add("res_acc", MatVec(), names[0], weights)
        if product is not None:
            self.add("res", Add(), product, names[0])

    def gru(self) -> None:
        """A cell whose candidate reads products of its own, and whose old state is used late."""
        found = [node for node in self.values() if node.tensor.type.width <= WIDEST]
        if not found or self.graph.sweeps[self.sweep] is ONCE:
            return
        x, cells = self.pick(found), self.pick(self.lengths)
        y = Fixed(self.number(4, 16), self.number(2, 14), True, Rounding.RND, Overflow.SAT)
        state = State(self.name("h"), cells, y, self.sweep)
        self.states.append(state)
        old = self.read(state)

        def product(source: Node) -> tuple[str, str]:
            kind = Fixed(self.number(3, 8), 6)
            return source.name, self.constant((cells, source.tensor.length), kind, 0.6)

        z = self.add("acc_z", MatVec(), *product(x), *product(self.graph[old]))
        n_x = self.add("acc_n", MatVec(), *product(x))
        n_h = self.add("acc_r", MatVec(), *product(self.graph[old]))
        if None in (z, n_x, n_h):
            return
        gate = self.add("z", Requant(Fixed(8, 7, False, Rounding.RND, Overflow.SAT)), z)
        inner = self.add("n", Requant(y), self.add("pre", Add(), n_x, n_h))
        change = self.add("d", Sub(), old, inner)
        kept = self.add("zd", Mul(), gate, change)
        new = self.add("new", Requant(y), self.add("sum", Add(), inner, kept))
        state.is_written = self.add("keep", StateWrite(state.name), new) is not None

    def fill(self, most: int) -> None:
        """The nodes of the present sweep, and what its states still lack."""
        kinds = [kind for kind, often in STEPS.items() for _ in range(often)]
        for _ in range(self.number(2, most)):
            kind = self.pick(kinds)
            if kind in ("add", "sub", "mul", "relu"):
                self.eltwise(kind)
            else:
                getattr(self, kind)()
        for state in [s for s in self.states if s.sweep == self.sweep]:
            if not state.is_written:
                self.write(state)
            if not state.is_read:
                self.read(state)
        if not self.graph.of_kind("matvec") and not self.chance(8):
            self.matvec()
        if ONCE in self.graph.sweeps[self.sweep + 1 :] and not self.graph.of_kind("capture"):
            self.capture()
        if self.sweep + 1 < len(self.graph.sweeps) or self.chance(2):
            self.use_up()

    def place(self, node: Node) -> tuple[Any, ...]:
        """Different for results that are computed in different phases, mostly."""
        if node.sweep != self.sweep or node.op.kind in ("input", "capture"):
            return (node.name,)
        depth: dict[str, int] = {}
        for one in self.graph.nodes(self.sweep):
            before = [depth.get(source.name, 0) for source in self.graph.vectors(one)]
            depth[one.name] = max(before, default=0) + (one.op.kind == "matvec")
        return (depth[node.name], node.tensor.length)

    def finish(self) -> None:
        """The output: one to three vectors of one type, or an argmax."""
        self.sweep = len(self.graph.sweeps) - 1
        if self.chance(8):
            self.sweep = self.number(0, self.sweep)
        while self.sweep > 0 and (self.graph.sweeps[self.sweep] is B or not self.values()):
            self.sweep -= 1
        found = self.values()
        if not found:
            return
        first = self.pick(self.unused() or found[-3:])
        kind = first.tensor.type
        if kind.width > WIDEST or self.chance(3):
            kind = self.type()
        results = {self.place(first): first}
        for _ in range(self.pick((0, 0, 0, 1, 2))):
            node = self.pick(self.unused() or found)
            results.setdefault(
                (*self.place(node), *("again" for _ in "x" if self.chance(20))), node
            )
        names = []
        for node in results.values():
            same = node.tensor.type == kind
            names.append(node.name if same else self.add("y", Requant(kind), node.name))
        if self.chance(6):
            names = [self.add("best", ArgMax(), names[0])]
        self.use_up()
        name = "y" if "y" not in self.graph else self.name("y")
        self.graph.add(name, Output(), *names, sweep=self.sweep)


@st.composite
def graphs(draw: Any) -> Graph:
    """A graph that ``Graph.add`` took; the compiler may still refuse it."""
    sweeps = draw(st.sampled_from(SWEEPS))
    longest = draw(st.sampled_from((6, 9, 16)))
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=3))
    has_odd_names = draw(st.integers(1, 3)) == 1
    drawing = RandomGraph(draw, Graph("random", list(sweeps)), lengths, has_odd_names)
    drawing.sweep = int(sweeps[0] is B and not drawing.chance(10))
    if sweeps[:2] in ([F, F], [F, B]):
        drawing.sweep = int(sweeps[1] is F and drawing.chance(10))
    source = Input(drawing.number(1, 8), drawing.type())
    drawing.graph.add(drawing.name("x") if has_odd_names else "x", source, sweep=drawing.sweep)
    for drawing.sweep in range(len(sweeps)):
        drawing.fill(16 if len(sweeps) == 1 else 8)
    drawing.finish()
    return without_unused(drawing.graph)


DATAFLOWS = (
    *({"overlap": overlap} for overlap in (None, True, True, True, True, True, True, False)),
    *({"dataflow": "broadcast", "queue_depth": depth} for depth in (None, 1)),
    *(
        {
            "dataflow": "bank",
            "rows": rows,
            "banks": banks,
            "pes": None,
            "index_bits": None,
            "elements_per_cycle": 1,
        }
        for rows, banks in ((16, 4),)
    ),
)
"""Settings that go together."""


@st.composite
def hardware(draw: Any, rows: int = 9) -> dict[str, Any]:
    """Arguments of Hardware; ``rows``: of the largest product, for PEs that mostly suit it."""
    most = rows if draw(st.integers(1, 10)) < 10 else 2 * rows
    pes = most if draw(st.integers(1, 3)) == 1 else draw(st.integers(1, most))
    divisors = [units for units in range(1, pes + 1) if pes % units == 0]
    port_bits = draw(st.sampled_from((64, 128, 256, 512)))
    dataflow = draw(st.sampled_from(DATAFLOWS))
    most_lanes = port_bits // (16 if draw(st.integers(1, 8)) == 8 else 32)
    lanes = [lanes for lanes in (1, 2, 2, 4, 8, 16, 16) if lanes <= most_lanes]
    count = draw(st.sampled_from(lanes))
    if dataflow.get("dataflow") == "bank" and count > 1 and draw(st.booleans()):
        turns = draw(st.sampled_from([turns for turns in (2, 4) if turns <= count]))
        dataflow = {**dataflow, "interleave": turns, "weight_storage": "onchip"}
    return {
        "pes": pes, "lanes": count,
        "elements_per_cycle": draw(st.sampled_from([None, *divisors])),
        "accumulator_banks": draw(st.sampled_from((None, None, 4, 8, 16))),
        "hazard_distance": draw(st.integers(2, 10)),
        "assign": draw(st.sampled_from(ASSIGNMENTS)),
        "index_bits": draw(st.sampled_from((None, None, 1, 2, 3, 5, 8))),
        "port_bits": port_bits,
        "max_steps": draw(st.integers(3, 6)),
        "weight_storage": draw(st.sampled_from(("stream", "onchip"))),
        "io": draw(st.sampled_from(("memory", "memory", "stream"))),
        **dataflow,
    }  # fmt: skip


@st.composite
def cases(draw: Any) -> Case:
    """A graph, and hardware that mostly suits it."""
    graph = draw(graphs())
    rows = [node.tensor.length for node in graph.of_kind("matvec")]
    return Case(graph, draw(hardware(min(rows, default=4))))


def drawn_cases(seed: int, count: int) -> list[Case]:
    """``count`` cases, the same for the same seed and the same version of Hypothesis."""
    found: list[Case] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=count, phases=[Phase.generate], deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found
