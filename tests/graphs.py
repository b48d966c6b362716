"""Small typed graphs by hand: what layers do not build yet, or never will."""

from __future__ import annotations

import numpy as np

from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir import Direction, Graph
from penstock.ops import (
    Add,
    Capture,
    Clamp,
    Const,
    Input,
    MatVec,
    Output,
    Requant,
    Scale,
    StateRead,
    StateWrite,
)

ACTIVATION = Fixed(16, 10, True, Rounding.RND, Overflow.SAT)
WEIGHT = Fixed(6, 5)


class Sketch:
    """A graph put together node by node; every method returns the node's name."""

    def __init__(self, inputs=6, sweeps=(Direction.FORWARD,), seed=0):
        self.graph = Graph("sketch", list(sweeps))
        self.generator = np.random.default_rng(seed)
        self.graph.add("x", Input(inputs, ACTIVATION))

    def add(self, name, op, *inputs, sweep=0):
        return self.graph.add(name, op, *inputs, sweep=sweep)

    def matrix(self, name, rows, columns):
        return self.add(name, Const(WEIGHT, self.generator.integers(-20, 20, (rows, columns))))

    def state(self, name, length, sweep=0):
        return self.add(f"{name}_before", StateRead(name, length, ACTIVATION), sweep=sweep)

    def write(self, name, value, sweep=0):
        return self.add(f"{name}_after", StateWrite(name), value, sweep=sweep)

    def product(self, name, rows, *vectors, sweep=0):
        operands = []
        for index, vector in enumerate(vectors):
            columns = self.graph[vector].tensor.length
            operands += [vector, self.matrix(f"{name}_W{index}", rows, columns)]
        return self.add(name, MatVec(), *operands, sweep=sweep)

    def requant(self, name, value, sweep=0):
        return self.add(name, Requant(ACTIVATION), value, sweep=sweep)

    def sum(self, name, *values, sweep=0):
        return self.requant(name, self.add(f"{name}_sum", Add(), *values, sweep=sweep), sweep)

    def done(self, *results, sweep=0):
        self.add("y", Output(), *results, sweep=sweep)
        return self.graph


def old_state_in_a_later_phase():
    """Phase 2 adds the state that phase 1 has replaced."""
    s = Sketch()
    c, y = s.state("l0.c", 8), s.state("l0.y", 8)
    new = s.sum("l0.c", s.product("l0.acc1", 8, "x"), c)
    s.write("l0.c", new)
    out = s.sum("l0.y", s.product("l0.acc2", 8, new, y), c)
    s.write("l0.y", out)
    return s.done(out)


def old_state_gathered_later():
    """A product of the old state stands behind the write in the graph, beside others in time."""
    s = Sketch()
    c = s.state("l0.c", 8)
    new = s.sum("l0.c", s.product("l0.acc1", 8, "x"), c)
    s.write("l0.c", new)
    return s.done(s.sum("l0.y", s.product("l0.acc2", 8, new), s.product("l0.acc3", 8, c)))


def state_gathered_behind_its_write():
    """A third product takes the old state when the new one is long there, and gathered, too."""
    s = Sketch()
    c = s.state("l0.c", 8)
    new = s.sum("l0.c", s.product("l0.acc1", 8, "x"), c)
    s.write("l0.c", new)
    hidden = s.requant("l0.h", s.product("l0.acc2", 8, new))
    return s.done(s.requant("l0.y", s.product("l0.acc3", 5, hidden, c, new)))


def old_state_used_after_its_write():
    """One phase; the only use of the old value stands behind the write."""
    s = Sketch()
    c = s.state("l0.c", 8)
    new = s.requant("l0.c", s.product("l0.acc1", 8, "x"))
    s.write("l0.c", new)
    return s.done(s.sum("l0.y", new, c))


def state_read_after_its_write():
    """The read itself stands behind the write."""
    s = Sketch()
    new = s.requant("l0.c", s.product("l0.acc1", 8, "x"))
    s.write("l0.c", new)
    return s.done(s.requant("l0.y", s.product("l0.acc2", 8, s.state("l0.c", 8))))


def delay_line():
    """y_t = W0 x_t + W1 x_(t-1) + W2 x_(t-2), and x_(t-2) again element by element."""
    s = Sketch(inputs=8)
    first, second = s.state("d1", 8), s.state("d2", 8)
    s.write("d1", "x")
    s.write("d2", first)
    return s.done(s.sum("y0", s.product("acc", 8, "x", first, second), second))


def residual():
    """y = W2 v + v + x, with v = W1 x: values and the frame itself carried past a product."""
    s = Sketch(inputs=8)
    v = s.requant("a.v", s.product("a.acc", 8, "x"))
    return s.done(s.sum("b.v", s.product("b.acc", 8, v), v, "x"))


def products_of_different_vectors():
    """Four products of one phase that read x, y, or both, and scattered operands in a second."""
    s = Sketch()
    y = s.state("l0.y", 8)
    sums = [s.product("l0.a", 8, "x"), s.product("l0.b", 8, y), s.product("l0.c", 8, y, "x")]
    new = s.sum("l0.y", *sums)
    s.write("l0.y", new)
    other = s.requant("l0.z", s.product("l0.d", 5, "x", new))
    return s.done(s.requant("l0.out", s.product("l0.e", 7, other, "x", new)))


def work_before_any_product():
    """x is doubled before a matrix takes it; the doubled value is used again behind it."""
    s = Sketch(inputs=8)
    twice = s.sum("pre.twice", "x", "x")
    v = s.sum("v", s.product("acc", 8, twice), twice)
    return s.done(v)


def carried_between_sweeps():
    """A backward sweep reads frames of a forward one by matrix and element by element."""
    s = Sketch(sweeps=(Direction.FORWARD, Direction.BACKWARD, Direction.FORWARD))
    v = s.requant("f.v", s.product("f.acc", 8, "x"))
    b = s.state("b.y", 8, sweep=1)
    back = s.sum("b.y", s.product("b.acc", 8, v, b, sweep=1), v, b, sweep=1)
    s.write("b.y", back, sweep=1)
    return s.done(s.sum("out", s.product("o.acc", 8, back, sweep=2), v, back, sweep=2), sweep=2)


def captured_for_the_end():
    """The last frame's value is captured, and used by matrix and element by element, once."""
    s = Sketch(sweeps=(Direction.FORWARD, Direction.ONCE))
    v = s.requant("v", s.product("acc", 8, "x"))
    last = s.add("v.captured", Capture("v.captured", "last"), v)
    return s.done(s.sum("out", s.product("o.acc", 8, last, sweep=1), last, sweep=1), sweep=1)


def state_as_the_result():
    """The result is the state as the step before left it: one step late."""
    s = Sketch()
    c = s.state("c", 8)
    s.write("c", s.requant("new", s.product("acc", 8, "x")))
    return s.done(c)


def gathered_and_the_state_of_a_later_sweep():
    """A value is gathered by a product of its own sweep, and becomes a state of the next one."""
    s = Sketch(sweeps=(Direction.FORWARD, Direction.FORWARD))
    v = s.sum("v", "x", "x")
    u = s.requant("u", s.product("acc", 6, v))
    old = s.state("s", 6, sweep=1)
    s.write("s", v, sweep=1)
    out = s.product("o.acc", 5, old, u, sweep=1)
    return s.done(s.requant("w", out, sweep=1), sweep=1)


def rows_that_all_have_a_scale():
    """Sums divided by powers of two of which none is 1."""
    s = Sketch()
    exponents = s.add("e", Const(Fixed(3, 0, signed=False), np.array([1, 3, 2, 5])))
    scaled = s.add("scaled", Scale(), s.product("acc", 4, "x"), exponents)
    return s.done(s.requant("v", scaled))


def state_of_a_value_in_front_of_the_products():
    """A value that no product leads to is gathered, and becomes a state that nobody reads."""
    s = Sketch()
    v = s.sum("v", "x", "x")
    s.state("s", 6)
    s.write("s", v)
    return s.done(s.requant("w", s.product("acc", 5, v)))


def values_of_constants_alone():
    """What no frame leads to, and is the same in every lane: a state, and a result."""
    s = Sketch()
    bias = s.add("bias", Const(WEIGHT, s.generator.integers(-20, 20, 6)))
    fixed = s.requant("fixed", bias)
    old = s.state("s", 6)
    s.write("s", fixed)
    out = s.product("acc", 6, old, fixed, "x")
    return s.done(s.requant("v", out), s.requant("again", s.add("twice", Add(), bias, bias)))


def limits_of_a_frame():
    """A frame is kept without the modes of its type; what limits it has them."""
    s = Sketch()
    limited = s.add("limited", Clamp(-900, 800), "x")
    return s.done(s.requant("v", s.product("acc", 6, limited)))


GRAPHS = {
    graph.__name__: graph
    for graph in (
        old_state_in_a_later_phase, old_state_gathered_later, old_state_used_after_its_write,
        state_read_after_its_write, state_gathered_behind_its_write, delay_line, residual,
        products_of_different_vectors,
        work_before_any_product, carried_between_sweeps, captured_for_the_end, state_as_the_result,
        gathered_and_the_state_of_a_later_sweep, rows_that_all_have_a_scale,
        state_of_a_value_in_front_of_the_products, values_of_constants_alone, limits_of_a_frame,
    )
}  # fmt: skip
