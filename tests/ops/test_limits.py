"""At the edge of int64 and float64: what is accepted is exact, what would not be is refused."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir import Direction, Graph, Value
from penstock.ir.matrix import Matrix
from penstock.ir.op import Tensor
from penstock.ops import (
    Add,
    Capture,
    Clamp,
    Const,
    Input,
    Lut,
    MatVec,
    Mul,
    Output,
    Relu,
    Scale,
    Sub,
)
from penstock.ops.capture import LONGEST
from penstock.ops.lut import FUNCTIONS, lut_input_type, lut_tables


def graph_of(**operands):
    """A graph of inputs (a Fixed: two elements) and constants ((Fixed, raw))."""
    graph = Graph("edge", [Direction.FORWARD])
    for name, operand in operands.items():
        is_input = isinstance(operand, Fixed)
        op = Input(2, operand) if is_input else Const(operand[0], np.array(operand[1]))
        graph.add(name, op)
    return graph


def wide(value):
    return (Fixed(60, 0), [value, value])


def matvec(x, weights, frac=0):
    graph = graph_of(x=x, W=(Fixed(60, frac), [weights]))
    graph.add("acc", MatVec(), "x", "W")
    return graph


def test_an_accumulator_is_exact_up_to_the_last_integer_that_float64_can_prove():
    """2**53 is refused, 2**53 - 1 computed: float64 holds no odd number beyond."""
    x = Fixed(2, 0)  # -2 .. 1
    fitting, weights = matvec(x, [2**52 - 1, -1]), [2**52 - 1, -1]
    assert fitting["acc"].tensor.lo == -(2**53) + 1
    for raw in ([-2, 1], [1, -2], [-1, -1]):
        operands = [Value(np.array([raw]), x), Value(Matrix.of(np.array([weights])), Fixed(60, 0))]
        got = fitting["acc"].op.eval(None, *operands)
        assert got.tolist() == [[sum(a * b for a, b in zip(raw, weights, strict=True))]]
    with pytest.raises(ValueError, match="the accumulator needs more than 54 bits"):
        matvec(x, [2**52, 0])
    with pytest.raises(ValueError, match="the accumulator needs more than 54 bits"):
        matvec(x, [2**52 - 1, 2])


def test_weights_whose_sum_leaves_int64_are_refused():
    weights = (Fixed(60, 0), [[2**59 - 1] * 32])
    graph = Graph("edge", [Direction.FORWARD])
    graph.add("x", Input(32, Fixed(2, 0)))
    graph.add("W", Const(weights[0], np.array(weights[1])))
    with pytest.raises(ValueError, match="the accumulator needs more than 54 bits"):
        graph.add("acc", MatVec(), "x", "W")


def test_products_too_far_apart_to_be_aligned_are_refused_unless_they_are_zero():
    graph = graph_of(x=Fixed(4, -200), fine=Fixed(4, 50), one=(Fixed(4, 0), [[1, 1]]),
                     zero=(Fixed(4, 0), [[0, 0]]))  # fmt: skip
    with pytest.raises(ValueError, match="the accumulator needs more than 54 bits"):
        graph.add("acc", MatVec(), "x", "one", "fine", "one")
    graph.add("acc", MatVec(), "x", "zero", "fine", "one")
    x, whole = np.array([[7, -8]]), Fixed(4, 0)
    none, ones = (Value(Matrix.of(np.full((1, 2), w)), whole) for w in (0, 1))
    values = [Value(x, Fixed(4, -200)), none, Value(x, Fixed(4, 50)), ones]
    assert graph["acc"].op.eval(None, *values).tolist() == [[-1]]


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (Add(), [Fixed(60, 0), Fixed(60, 0)], "width 61 is outside 1..60"),
        (Add(), [Fixed(40, 0), Fixed(4, 30)], "s40.0 with 30 fraction bits needs more than 60"),
        (Add(), [Fixed(4, -200), Fixed(4, 200)], "s4.-200 with 200 fraction bits needs more"),
        (Sub(), [Fixed(60, 0), Fixed(60, 0)], "width 61 is outside 1..60"),
        (Sub(), [Fixed(4, 30), Fixed(40, 0)], "s40.0 with 30 fraction bits needs more than 60"),
        (Mul(), [Fixed(40, 0), Fixed(40, 0)], "width 80 is outside 1..60"),
        (Mul(), [Fixed(4, 200), Fixed(4, 200)], "frac 400 is outside -256..256"),
        (Scale(), [Fixed(50, 0), (Fixed(5, 0, False), [0, 20])], "width 70 is outside 1..60"),
        (Scale(), [Fixed(8, 0), (Fixed(60, 0, False), [0, 2**59])], "0..576460752303423488 are"),
    ],
)  # fmt: skip
def test_what_int64_would_not_hold_is_refused_when_the_graph_is_built(op, operands, message):
    graph = graph_of(**{f"in{k}": operand for k, operand in enumerate(operands)})
    with pytest.raises(ValueError, match=message):
        graph.add("result", op, "in0", "in1")


@pytest.mark.parametrize(
    ("op", "columns", "kinds"),
    [
        (Add(), [[-(2**58), 2**58 - 1]] * 2, [Fixed(59, 3)] * 2),
        (Add(), [[-(2**29), 2**29 - 1], [-8, 7]], [Fixed(30, 0), Fixed(4, 28)]),
        (Sub(), [[-(2**58), 2**58 - 1], [2**58 - 1, -(2**58)]], [Fixed(59, 3)] * 2),
        (Mul(), [[-(2**29), 2**29 - 1, -(2**29)], [2**29 - 1, 2**29 - 1, -(2**29) + 1]],
         [Fixed(30, 9)] * 2),
        (Relu(), [[-(2**59), 2**59 - 1]], [Fixed(60, 7)]),
    ],
)  # fmt: skip
def test_the_widest_values_are_computed_exactly(op, columns, kinds):
    operands = [Value(np.array([c]), k) for c, k in zip(columns, kinds, strict=True)]
    graph = graph_of(**{f"in{k}": kind for k, kind in enumerate(kinds)})
    tensor = graph[graph.add("result", op, *(f"in{k}" for k in range(len(kinds))))].tensor
    got = op.eval(None, *operands)[0].tolist()
    frac = max(kind.frac for kind in kinds)
    aligned = [[v << (frac - k.frac) for v in c] for c, k in zip(columns, kinds, strict=True)]
    wanted = {
        "add": lambda: [sum(pair) for pair in zip(*aligned, strict=True)],
        "sub": lambda: [a - b for a, b in zip(*aligned, strict=True)],
        "mul": lambda: [a * b for a, b in zip(*columns, strict=True)],
        "relu": lambda: [max(v, 0) for v in columns[0]],
    }[op.kind]()
    assert got == wanted and tensor.lo <= min(got) and max(got) <= tensor.hi


def test_interpolation_that_would_leave_int64_is_refused():
    x, to = Fixed(16, 12), Fixed(50, 45)
    graph = graph_of(x=x)
    graph.add("t", Const(to, np.full(32, to.raw_max)))
    graph.add("rise", Const(to, np.ones(32, dtype=np.int64)))
    with pytest.raises(ValueError, match=r"11 bits between entries of s50\.45 are too many"):
        graph.add("y", Lut("tanh", to, 11), "x", "t", "rise")
    with pytest.raises(ValueError, match=r"-1 bits of s16\.12 can't be interpolated"):
        graph.add("y", Lut("tanh", to, -1), "x", "t")


@pytest.mark.parametrize("function", ["sigma", "tanh"])
def test_every_rise_of_a_table_leads_to_its_next_entry(function):
    """Between the ends, where the entries are the limits, an entry is the function's value."""
    x = Fixed(10, 9)  # -1 .. 1, where the function still climbs at both ends
    to = Fixed(16, 14, True, Rounding.RND, Overflow.SAT)
    table, rise = (np.roll(values, 16) for values in lut_tables(function, x, to, 5))
    at = np.arange(-16, 16)[1:-1] / 16
    assert (table[1:-1] == to.quantize(FUNCTIONS[function](at))).all()
    assert (table[:-1] + rise[:-1] == table[1:]).all()
    assert (rise[:-1] > 0).all() and rise[-1] == 0


@pytest.mark.parametrize("bits", [0, 5])
@pytest.mark.parametrize("reach", [2.0, 4.0, 8.0, 16.0])
@pytest.mark.parametrize("function", ["sigma", "tanh"])
def test_saturated_inputs_give_the_limit_of_the_function(function, reach, bits):
    to = Fixed(16, 15, function == "tanh", Rounding.RND, Overflow.SAT)
    x = lut_input_type(2048, bits, reach)
    tables = [Value(raw, to) for raw in lut_tables(function, x, to, bits)]
    raw = np.arange(x.raw_min, x.raw_max + 1)
    got = Lut(function, to, bits).eval(None, Value(raw[None], x), *tables)[0]
    top = to.raw_max if function == "tanh" else 1 << 15
    assert got[0] == (to.raw_min if function == "tanh" else 0) and got[-1] == top
    assert (np.diff(got) >= 0).all() and got[raw == 0] == to.quantize(FUNCTIONS[function](0.0))


def test_relu_needs_no_sign_bit():
    graph = graph_of(x=Fixed(8, 4))
    graph.add("r", Relu(), "x")
    assert graph["r"].tensor.type == Fixed(7, 4, signed=False)
    assert (graph["r"].tensor.lo, graph["r"].tensor.hi) == (0, 127)


def test_vectors_are_what_operations_take():
    graph = graph_of(x=Fixed(8, 4), W=(Fixed(4, 0), [[1, 2]]))
    for op in (Relu(), Add(), Output()):
        with pytest.raises(ValueError, match=r"can't be combined|not vectors"):
            graph.add("y", op, "W")
    with pytest.raises(ValueError, match="there are no operands"):
        graph.add("y", Output())


def test_the_interval_of_a_sum_holds_every_part_of_it():
    """Terms come in any order, and pruned ones not at all: zero belongs to each."""
    x = Tensor((2,), Fixed(8, 0), 5, 7)
    weights = Tensor((1, 2), Fixed(8, 0), -1, 1, Matrix.of(np.array([[1, -1]])))
    found = MatVec().infer(x, weights)
    assert (found.lo, found.hi) == (-7, 7)


@pytest.mark.parametrize("reach", [4.0, 4.1, 5.0, 7.9, 8.0])
def test_a_table_reaches_at_least_as_far_as_it_was_asked_to(reach):
    dtype = lut_input_type(64, 2, reach)
    assert dtype.to_float(dtype.raw_min) == (-4.0 if reach == 4.0 else -8.0)
    assert dtype.width == 8


def test_the_sum_of_a_sequence_is_as_wide_as_that_of_the_longest():
    x = Tensor((2,), Fixed(8, 3), -5, 7)
    found = Capture("s", "sum").infer(x)
    assert (found.lo, found.hi) == (-5 * LONGEST, 7 * LONGEST)
    assert found.type == Fixed.exact(found.lo, found.hi, 3)
    assert Capture("s", "last").infer(x).type == x.type


def test_an_interval_ends_at_the_limits():
    x = Tensor((2,), Fixed(8, 0), -90, 50)
    assert (Clamp(-20, 70).infer(x).lo, Clamp(-20, 70).infer(x).hi) == (-20, 50)
    assert (Clamp(60, 70).infer(x).lo, Clamp(60, 70).infer(x).hi) == (60, 60)
