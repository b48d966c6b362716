"""What an engine counts as out of range."""

from itertools import product

import numpy as np
import pytest

from penstock.fixed import Fixed, Overflow, Rounding, requantize
from penstock.ir import Direction, Graph
from penstock.ir.evaluate import evaluate
from penstock.ir.saturation import (
    Counter,
    Kind,
    Saturation,
    lowest_of,
    merged,
    plainly_quantized,
    range_within,
    reals_outside,
    saturable,
)
from penstock.ops import Add, Capture, Const, Input, Lut, Mean, Output, Requant
from penstock.ops.lut import lut_input_type, lut_tables

WIDE = Fixed(8, 2)


@pytest.mark.parametrize(
    "modes", list(product(Rounding, Overflow)), ids=lambda modes: ",".join(modes)
)
def test_a_value_is_out_of_range_if_it_rounds_out_of_it(modes):
    rounding, overflow = modes
    raw = np.arange(-200, 200)
    exact = Fixed(40, 0, True, rounding, Overflow.SAT)
    for width, frac, signed, of in product((1, 2, 3), (-1, 0, 2), (True, False), range(-2, 6)):
        to = Fixed(width, frac, signed, rounding, overflow)
        wanted = requantize(raw, of, Fixed(40, frac, True, rounding, exact.overflow))
        is_inside = (wanted >= lowest_of(to)) & (wanted <= to.raw_max)
        lo, hi = range_within(to, of)
        assert (((raw >= lo) & (raw <= hi)) == is_inside).all(), to
        assert (reals_outside(to, raw * 2.0**-of) == ~is_inside).all(), to


def chain(to):
    """y = requant(x + x): sums beyond ``to`` are brought into its range."""
    graph = Graph("chain", [Direction.FORWARD])
    graph.add("x", Input(2, WIDE))
    graph.add("sum", Add(), "x", "x")
    graph.add("q", Requant(to), "sum")
    graph.add("y", Output(), "q")
    return graph


X = np.array([[[1, 2], [3, 100], [-100, 100]], [[0, 0], [0, 0], [127, 127]]])


@pytest.mark.parametrize("overflow", Overflow)
def test_values_are_counted_by_tensor_with_the_first_step(overflow):
    to = Fixed(8, 2, True, Rounding.RND, overflow)
    (found,) = evaluate(chain(to), X, np.array([3, 3])).saturations
    assert found == Saturation("q", Kind.VALUE, 5, 12, 1)


def test_steps_beyond_a_sequence_never_count():
    to = Fixed(8, 2, True, Rounding.RND, Overflow.SAT)
    (found,) = evaluate(chain(to), X, np.array([2, 2])).saturations
    assert found == Saturation("q", Kind.VALUE, 1, 8, 1)
    (found,) = evaluate(chain(to), X, np.array([1, 0])).saturations
    assert found == Saturation("q", Kind.VALUE, 0, 2, None)


def test_what_provably_fits_is_not_counted_at_all():
    assert evaluate(chain(Fixed(9, 2)), X, np.array([3, 3])).saturations == ()


def test_inputs_of_tables_stand_under_their_own_heading():
    dtype, to = lut_input_type(16, 0, 4.0), Fixed(8, 7)
    graph = Graph("table", [Direction.FORWARD])
    graph.add("x", Input(2, WIDE))
    graph.add("x_in", Requant(dtype), "x")
    table = graph.add("table", Const(to, lut_tables("tanh", dtype, to, 0)[0]))
    graph.add("tanh", Lut("tanh", to), "x_in", table)
    graph.add("y", Output(), "tanh")
    (found,) = evaluate(graph, X, np.array([3, 3])).saturations
    assert (found.name, found.kind, found.count) == ("x_in", Kind.TABLE, 5)


def test_a_mean_counts_once_a_sequence_at_its_last_step():
    graph = Graph("mean", [Direction.FORWARD, Direction.ONCE])
    graph.add("x", Input(2, WIDE))
    graph.add("sum", Capture("sum", "sum"), "x")
    graph.add("mean", Mean(Fixed(4, 2, True, Rounding.RND, Overflow.SAT)), "sum", sweep=1)
    graph.add("y", Output(), "mean", sweep=1)
    (found,) = evaluate(graph, X, np.array([3, 2])).saturations
    assert found == Saturation("mean", Kind.VALUE, 2, 4, 2)  # -32 and 67.3 quarters; 0 and 0


def test_symmetric_saturation_leaves_out_the_lowest_value():
    assert [lowest_of(Fixed(4, 0, True, Rounding.RND, mode)) for mode in Overflow] == [
        -7 if mode is Overflow.SAT_SYM else -8 for mode in Overflow
    ]


def in_front_of_a_table(overflow, is_read_by_others):
    """A value that a table reads, and, if so, the result, too."""
    dtype, to = lut_input_type(16, 0, 4.0), Fixed(8, 7)
    dtype = Fixed(dtype.width, dtype.frac, dtype.signed, dtype.rounding, overflow)
    graph = Graph("table", [Direction.FORWARD])
    graph.add("x", Input(2, WIDE))
    graph.add("x_in", Requant(dtype), "x")
    table = graph.add("table", Const(to, lut_tables("tanh", dtype, to, 0)[0]))
    graph.add("tanh", Lut("tanh", to), "x_in", table)
    graph.add("y", Output(), "x_in" if is_read_by_others else "tanh")
    return graph


@pytest.mark.parametrize(
    ("overflow", "is_read_by_others", "kind"),
    [(Overflow.SAT, False, Kind.TABLE), (Overflow.SAT_SYM, False, Kind.TABLE),
     (Overflow.WRAP, False, Kind.VALUE), (Overflow.SAT, True, Kind.VALUE)],
)  # fmt: skip
def test_a_tables_input_is_one_that_saturates_and_that_nothing_else_reads(
    overflow, is_read_by_others, kind
):
    graph = in_front_of_a_table(overflow, is_read_by_others)
    assert [one.kind for one in saturable(graph).values()] == [kind]


@pytest.mark.parametrize("steps", [(1, 2, 4), (4, 2, 1)], ids=["forward", "backward"])
def test_the_first_step_is_the_least_in_whatever_order_a_sweep_runs(steps):
    nodes = saturable(chain(Fixed(8, 2, True, Rounding.RND, Overflow.SAT)))
    counter = Counter(nodes, [Direction.FORWARD])
    for step in steps:
        counter.add("q", np.array([[False, True]]), np.array([step]))
    assert counter.result(np.array([5])) == (Saturation("q", Kind.VALUE, 3, 10, 1),)


def test_counts_of_several_runs_add_up():
    first, second = Saturation("a", Kind.VALUE, 0, 10), Saturation("a", Kind.VALUE, 2, 10, 1)
    other = Saturation("a", Kind.STATE, 1, 4, 0)
    assert merged([first, other], [second.later(5)]) == (
        Saturation("a", Kind.VALUE, 2, 20, 6), other,
    )  # fmt: skip
    (found,) = merged([second], [second.later(5)])
    assert found == Saturation("a", Kind.VALUE, 4, 20, 1)


def test_a_mean_that_provably_fits_is_not_counted():
    graph = Graph("mean", [Direction.FORWARD, Direction.ONCE])
    graph.add("x", Input(2, WIDE))
    graph.add("sum", Capture("sum", "sum"), "x")
    graph.add("mean", Mean(Fixed(40, 2, True, Rounding.RND, Overflow.SAT)), "sum", sweep=1)
    graph.add("y", Output(), "mean", sweep=1)
    assert evaluate(graph, X, np.array([3, 2])).saturations == ()


EDGES = (0.0, 0.25, 0.49999999999999994, 0.5, 0.75, 1.0, 1.5, 2.5)


@pytest.mark.parametrize("kind", [Fixed(8, 3), Fixed(16, 12), Fixed(4, -3), Fixed(5, 9, False)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_plainly_quantized_is_what_is_quantized(kind, dtype):
    to = Fixed(kind.width, kind.frac, kind.signed, Rounding.RND, Overflow.SAT)
    ends = (to.raw_min, -1, 0, 1, to.raw_max)
    raws = [end + sign * edge for end in ends for edge in EDGES for sign in (1, -1)]
    values = (np.array(raws) * to.step).astype(dtype)
    inside = ~reals_outside(to, values)
    assert inside.any() and not inside.all()
    assert plainly_quantized(to, values) is None
    assert (plainly_quantized(to, values[inside]) == to.quantize(values[inside])).all()
    for value, is_inside in zip(values, inside, strict=True):
        found = plainly_quantized(to, value[None])
        assert (found is not None) == is_inside
        assert found is None or found == to.quantize(value[None])


def test_only_finite_values_of_usual_types_are_plainly_quantized():
    usual = Fixed(8, 3, True, Rounding.RND, Overflow.SAT)
    for value in (np.nan, np.inf, -np.inf, 1e300):
        assert plainly_quantized(usual, np.array([0.0, value])) is None
    for to in (Fixed(8, 3), Fixed(8, 3, True, Rounding.RND), Fixed(40, 3, *usual_modes(usual))):
        assert plainly_quantized(to, np.zeros(2)) is None


def usual_modes(to):
    return to.signed, to.rounding, to.overflow
