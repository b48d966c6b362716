"""Quantization-aware training computes, and compiles to, the integers of the interpreter."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from graphs import GRAPHS
from support import random_model

from penstock import Fixed, Overflow, PenstockError, Precision, Rounding
from penstock.compress import calibrate
from penstock.ir import Direction, Graph
from penstock.ir.evaluate import evaluate
from penstock.ir.verify import verify
from penstock.lowering import lower
from penstock.ops import (
    Add,
    ArgMax,
    Const,
    Input,
    Lut,
    MatVec,
    Mul,
    Output,
    Relu,
    Requant,
    StateRead,
    StateWrite,
    Sub,
)
from penstock.ops.lut import lut_tables

torch = pytest.importorskip("torch")
from penstock.compress.execution import Execution  # noqa: E402
from penstock.compress.qat import QuantizedNetwork  # noqa: E402
from penstock.compress.straight_through import fake_quantize  # noqa: E402

MATRIX = {
    "plain": ({}, {}),
    "projection, peepholes, sigma as g": (
        {"cells": (7,), "outputs": 4, "peephole": True, "g_function": "sigma"}, {},
    ),
    "two layers, head at every step": ({"cells": (6, 5), "head": 3, "at": "step"}, {}),
    "bidirectional, sigmoid of the final state": (
        {"cells": (6, 5), "bidirectional": True, "head": 2, "at": "final",
         "activation": "sigmoid"}, {},
    ),
    "bidirectional, head at the last step": (
        {"cells": (6,), "bidirectional": True, "head": 3, "at": "last"}, {},
    ),
    "2-bit weights, 8-bit activations": (
        {"cells": (8,), "head": 3}, {"weights": 2, "inputs": 8, "outputs": 8, "cell_state": 8},
    ),
    "rows of their own scale": (
        {"cells": (7,), "outputs": 4, "head": 3, "peephole": True},
        {"weights": 4, "row_scales": True},
    ),
    "interpolated tables": ({"cells": (8,)}, {"interpolate_bits": 5, "table_entries": 64}),
}  # fmt: skip


def network(model, precision, x, **options):
    return QuantizedNetwork(model, calibrate(model, x), Precision(**precision), **options)


def interpreted(graph, x, lengths):
    result = evaluate(graph, graph["x"].tensor.type.quantize(x), lengths)
    return graph["y"].tensor.type.to_float(result.y)


def test_fake_quantization_is_fixed_in_every_mode():
    edges = [2.0**60, -(2.0**60) - 512, 2.0**53 + 2, -0.125 + 2**-56, 2**-80, -(2**-80)]
    values = np.array([*np.linspace(-9, 9, 1441), *edges])
    for rounding, overflow, signed in product(Rounding, Overflow, (True, False)):
        kind = Fixed(5, 2, signed, rounding, overflow)
        got = fake_quantize(torch.tensor(values), kind).numpy()
        assert (got == kind.to_float(kind.quantize(values))).all(), kind


def test_the_gradient_passes_where_the_type_reaches_and_stops_beyond():
    x = torch.tensor([-9.0, -1.03, 0.3, 9.0], dtype=torch.float64, requires_grad=True)
    kind = Fixed(4, 2, True, Rounding.RND, Overflow.SAT)
    fake_quantize(x, kind).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("case", MATRIX)
def test_forward_is_the_interpreter_to_the_last_bit(case):
    arguments, precision = MATRIX[case]
    model = random_model(**arguments, seed=4)
    x = np.random.default_rng(1).normal(0, 1, (3, 6, 5))
    lengths = np.array([6, 1, 4])
    trained = network(model, precision, x)
    with torch.no_grad():
        got = trained(torch.tensor(x), torch.tensor(lengths)).numpy()
    assert (got == interpreted(trained.graph, x, lengths)).all()


@pytest.mark.parametrize("row_scales", [False, True])
@pytest.mark.parametrize(
    ("weights", "activations"), [*product((16, 12, 8, 6, 5, 4, 3, 2), (8,)), (16, 16), (2, 12)]
)
def test_forward_is_the_interpreter_at_all_widths(weights, activations, row_scales):
    model = random_model(cells=(9,), outputs=5, head=3, peephole=True, density=0.4, seed=6)
    x = np.random.default_rng(2).normal(0, 1, (3, 6, 5))
    precision = {"weights": weights, "row_scales": row_scales}
    precision |= dict.fromkeys(("inputs", "gates", "outputs", "cell_state"), activations)
    trained = network(model, precision, x)
    assert {trained.graph[f"l0.W_{gate}r"].tensor.type.width for gate in "ifgo"} == {weights}
    assert trained.graph["l0.y"].tensor.type.width == activations
    with torch.no_grad():
        got = trained(torch.tensor(x)).numpy()
    assert (got == interpreted(trained.graph, x, np.full(3, 6))).all() and got.any()


@pytest.mark.parametrize("function", ["sigma", "tanh"])
def test_a_table_has_the_slope_of_its_function(function):
    x, to = Fixed(8, 5, True, "AP_RND", "AP_SAT"), Fixed(16, 14)
    (table,) = lut_tables(function, x, to, 0)
    graph = Graph("slope", [Direction.FORWARD])
    graph.add("x", Input(4, x))
    graph.add("table", Const(to, table))
    graph.add("f", Lut(function, to), "x", "table")
    graph.add("y", Output(), "f")
    real = torch.tensor([[[-3.0, -0.5, 0.25, 1.0]]], dtype=torch.float64, requires_grad=True)
    y = Execution(graph, {}, {}, real, torch.tensor([1])).run()
    y.sum().backward()
    value = y.detach()
    slope = value * (1 - value) if function == "sigma" else 1 - value**2
    assert (real.grad == slope).all() and slope.min() > 0


@pytest.mark.parametrize("rounding", Rounding)
def test_interpolation_is_rounded_as_a_whole(rounding):
    """An entry and its share of the rise; only with the default rounding may they be parted."""
    x, to = Fixed(8, 5, True, "AP_RND", "AP_SAT"), Fixed(6, 4, True, rounding, Overflow.SAT)
    table, rise = lut_tables("tanh", x, to, 4)
    graph = Graph("interpolated", [Direction.FORWARD])
    graph.add("x", Input(256, x))
    graph.add("table", Const(to, table))
    graph.add("rise", Const(Fixed(7, to.frac), rise))
    graph.add("f", Lut("tanh", to, 4), "x", "table", "rise")
    graph.add("y", Output(), "f")
    raw, lengths = np.arange(-128, 128)[None, None], np.array([1])
    assert np.array_equal(execute(graph, raw, lengths), evaluate(graph, raw, lengths).y)


def test_quantized_weights_are_those_of_the_graph_with_their_scales_taken_back():
    arguments, precision = MATRIX["rows of their own scale"]
    trained = network(random_model(**arguments, seed=4), precision, np.ones((2, 6, 5)))
    weights = trained.to_model(quantized=True).weights()
    assert any(rows.any() for rows in trained.exponents.values())
    for name, values in weights.items():
        tensor = trained.graph[name].tensor
        rows = trained.exponents.get(name, np.zeros(len(values), dtype=np.int64))
        assert (np.ldexp(values, rows[:, None]) == tensor.type.to_float(tensor.constant)).all()


def execute(graph, raw, lengths):
    """The trainer's values of a graph without trained constants, as raw integers."""
    x, y = graph["x"].tensor.type, graph["y"].tensor.type
    real = torch.tensor(x.to_float(raw))
    got = Execution(graph, {}, {}, real, torch.tensor(lengths)).run()
    return (got.detach().numpy() * 2.0**y.frac).astype(np.int64)


def test_a_graph_of_any_operations_trains_on_the_values_of_the_interpreter():
    """A state is used after it is written; products of states and frames stand side by side."""
    kind = Fixed(12, 6, True, "AP_RND", "AP_SAT")
    generator = np.random.default_rng(3)
    graph = Graph("any", [Direction.FORWARD])
    graph.add("x", Input(3, kind))
    for name in "UV":
        graph.add(name, Const(Fixed(5, 3), generator.integers(-15, 15, (3, 3))))
    graph.add("acc_u", MatVec(), "x", "U")
    graph.add("u", Requant(kind), "acc_u")
    graph.add("s_new", StateWrite("s"), "u")
    graph.add("s_old", StateRead("s", 3, kind))
    graph.add("acc_v", MatVec(), "s_old", "V")
    graph.add("acc_w", MatVec(), "s_old", "U")
    graph.add("difference", Sub(), "acc_v", "u")
    graph.add("positive", Relu(), "difference")
    graph.add("product", Mul(), "positive", "s_old")
    graph.add("sum", Add(), "product", "acc_w")
    graph.add("greatest", ArgMax(), "sum")
    graph.add("y", Output(), "greatest")
    verify(graph)
    raw, lengths = generator.integers(-2000, 2000, (9, 7, 3)), np.array([7] * 8 + [3])
    wanted = evaluate(graph, raw, lengths).y
    assert (execute(graph, raw, lengths) == wanted).all() and len(np.unique(wanted)) == 3


def test_an_operation_without_a_rule_is_named_before_anything_runs():
    class Twice(Add):
        kind = "twice"

    graph = Graph("twice", [Direction.FORWARD])
    graph.add("x", Input(3, Fixed(8, 4)))
    graph.add("t", Twice(), "x", "x")
    graph.add("y", Output(), "t")
    with pytest.raises(LookupError, match=r"^operations without a rule for training: twice; write"):
        execute(graph, np.zeros((1, 1, 3)), np.array([1]))


def test_values_that_float64_does_not_hold_are_refused_in_training():
    graph = Graph("wide", [Direction.FORWARD])
    graph.add("x", Input(3, Fixed(28, 4)))
    graph.add("t", Mul(), "x", "x")
    graph.add("y", Output(), "t")
    with pytest.raises(PenstockError) as caught:
        execute(graph, np.zeros((1, 1, 3)), np.array([1]))
    assert caught.value.line() == (
        "t needs 56 bits, but training is exact only up to 54 (quantization-aware training); hint: "
        "give weights, inputs and states fewer bits"
    )


@pytest.mark.parametrize("case", MATRIX)
def test_a_trained_network_compiles_to_the_integers_it_was_trained_with(case):
    arguments, precision = MATRIX[case]
    model = random_model(**arguments, seed=4)
    generator = np.random.default_rng(1)
    x = generator.normal(0, 1, (8, 6, 5))
    trained = network(model, precision, x)
    before = {name: trained.effective(name).detach().clone() for name in trained.constants()}
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.05)
    with torch.no_grad():
        target = torch.tensor(generator.normal(0, 0.3, trained(torch.tensor(x)).shape))
    losses = []
    for _ in range(12):
        loss = ((trained(torch.tensor(x)) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    assert any((trained.effective(name) != before[name]).any() for name in before)
    compiled = lower(trained.to_model(), trained.ranges, trained.trained_precision)
    for name in trained.constants():
        kind = compiled[name].tensor.type
        real = kind.to_float(compiled[name].tensor.constant)
        assert (real == trained.effective(name).detach().numpy()).all(), name
    with torch.no_grad():
        got = trained(torch.tensor(x)).numpy()
    assert (got == interpreted(compiled, x, np.full(8, 6))).all()


def test_pruned_weights_stay_pruned_through_training():
    model = random_model(cells=(8,), density=0.3)
    x = np.random.default_rng(1).normal(0, 1, (8, 6, 5))
    trained = network(model, {}, x)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(5):
        loss = trained(torch.tensor(x)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, values in trained.to_model().weights().items():
        assert (values[model.weights()[name] == 0] == 0).all(), name
        assert (values != model.weights()[name]).any()


def test_the_state_dict_carries_weights_and_masks():
    model = random_model(cells=(8,), density=0.3)
    x = np.random.default_rng(1).normal(0, 1, (2, 3, 5))
    first, second = (network(random_model(cells=(8,), density=0.3, seed=s), {}, x) for s in (0, 1))
    second.load_state_dict(first.state_dict())
    second.graph = first.graph
    with torch.no_grad():
        assert (first(torch.tensor(x)) == second(torch.tensor(x))).all()
    assert model.weights().keys() == second.to_model().weights().keys()


def learning(case, x, **precision):
    arguments, others = MATRIX[case]
    model = random_model(**arguments, seed=4)
    return network(model, others | precision, x, learn_ranges=True)


def test_a_range_learns_to_reach_as_far_as_its_values():
    """Values beyond the range ask for more; values far within it, for a finer step."""
    kind = Fixed(4, 3, True, Rounding.RND, Overflow.SAT)
    for size, sign in ((4.0, -1), (0.2, 1)):
        x = torch.linspace(-size, size, 41, dtype=torch.float64)
        reach = torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
        (fake_quantize(x, kind, reach) - x).square().sum().backward()
        assert np.sign(reach.grad.item()) == sign


def test_the_gradient_of_a_range_is_that_of_tqt():
    """Jain et al. 2020, equation 6: s ln 2 times (round(x/s) - x/s, or the end of the range)."""
    kind = Fixed(4, 2, True, Rounding.RND, Overflow.SAT)
    x = torch.tensor([-9.0, 0.3, 9.0], dtype=torch.float64)
    for k, wanted in enumerate([-8.0, 1 - 1.2, 7.0]):
        reach = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        fake_quantize(x, kind, reach)[k].backward()
        assert reach.grad.item() == pytest.approx(0.25 * np.log(2) * wanted)


@pytest.mark.parametrize("case", MATRIX)
def test_learned_ranges_move_binary_points_and_compile_to_the_integers_trained(case):
    generator = np.random.default_rng(1)
    x = generator.normal(0, 1, (8, 6, 5))
    trained = learning(case, x)
    before = {node.name: node.tensor.type for node in trained.graph.nodes()}
    optimizer = torch.optim.Adam(trained.parameter_groups(0.02))
    assert [group["lr"] for group in optimizer.param_groups] == [0.02, 0.2]
    with torch.no_grad():
        target = 2 * trained(torch.tensor(x))
    for _ in range(15):
        loss = ((trained(torch.tensor(x)) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        got = trained(torch.tensor(x)).numpy()
    moved = {name for name, kind in before.items()
             if trained.graph[name].tensor.type.frac != kind.frac}  # fmt: skip
    assert any(name.rpartition(".")[2].startswith("W") for name in moved)
    compiled = lower(trained.to_model(), trained.ranges, trained.trained_precision)
    assert (got == interpreted(compiled, x, np.full(8, 6))).all()
    for name in trained.constants():
        assert compiled[name].tensor.type == trained.graph[name].tensor.type
        real = compiled[name].tensor.type.to_float(compiled[name].tensor.constant)
        assert (real == trained.effective(name).detach().numpy()).all(), name


def test_learned_ranges_come_back_with_the_state_dict():
    x = np.random.default_rng(1).normal(0, 1, (4, 3, 5))
    first, second = (learning("plain", x) for _ in range(2))
    with torch.no_grad():
        for value in first.log2_ranges.values():
            value += 1.2
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert (first(torch.tensor(x)) == second(torch.tensor(x))).all()
    assert first.trained_precision == second.trained_precision


@pytest.mark.parametrize("quantized", [False, True])
def test_learned_ranges_count_at_once_also_without_a_run(quantized):
    """After the last update, and after a checkpoint is loaded."""
    x = np.random.default_rng(1).normal(0, 1, (4, 3, 5))
    trained = learning("plain", x)
    start = trained.trained_precision
    with torch.no_grad():
        for value in trained.log2_ranges.values():
            value += 1.2
    model, precision = trained.to_model(quantized), trained.trained_precision
    assert precision != start
    with torch.no_grad():
        want = trained(torch.tensor(x)).numpy()
    compiled = lower(model, trained.ranges, precision)
    assert (interpreted(compiled, x, np.full(4, 3)) == want).all()


def test_what_has_its_range_by_nature_does_not_learn_one():
    x = np.random.default_rng(1).normal(0, 1, (4, 3, 5))
    names = set(learning("bidirectional, sigmoid of the final state", x).log2_ranges)
    assert {"x", "l0__c", "l0_reverse__c", "head__W0"} <= names
    assert not any(name.endswith(("__m", "__i", "__b_i", "__tanh_c", "__y")) for name in names)
    assert "l0__y" in learning("projection, peepholes, sigma as g", x).log2_ranges


def test_values_of_constants_alone_train_as_they_run():
    graph = GRAPHS["values_of_constants_alone"]()
    x, lengths = np.random.default_rng(0).integers(-1000, 1000, (3, 4, 6)), np.array([4, 2, 1])
    mine, reference = execute(graph, x, lengths), evaluate(graph, x, lengths).y
    for lane, length in enumerate(lengths):
        assert np.array_equal(mine[lane, :length], reference[lane, :length])
