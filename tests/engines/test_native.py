"""The native engine gives the reference's bits: of every value, result, state and count."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from engines.runs import LANES, STEPS, difference, drawn_run
from fuzz.random_graphs import drawn_cases
from graphs import Sketch

from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir import Direction, Graph
from penstock.ir.evaluate import ReferenceEngine
from penstock.ir.matrix import Matrix
from penstock.ops import (
    ALL,
    Add,
    Capture,
    Clamp,
    Const,
    Input,
    MatVec,
    Mean,
    Output,
    Requant,
    StateRead,
    StateWrite,
)
from penstock_runtime.engines.native import NativeEngine
from penstock_runtime.engines.native.library import NATIVE, library
from penstock_runtime.engines.native.matrix import Operand, is_narrow, merged, pack_rows
from penstock_runtime.engines.native.planner import plan
from penstock_runtime.engines.native.program import BLOCK, Opcode, Storage
from penstock_runtime.engines.native.rules import RULES

PROCESSORS = {"this one": NATIVE, "any": (), "with AVX2": ("-mavx2",)}
SEEDS = range(6)
BY_THEMSELVES = {
    "input", "const", "state_read", "state_write", "matvec", "capture", "argmax", "output",
}  # fmt: skip
"""Operations that ``plan`` knows."""
SATURATING = (Rounding.RND, Overflow.SAT)


@pytest.fixture(params=PROCESSORS)
def engine(request):
    flags = PROCESSORS[request.param]
    if flags == ("-mavx2",) and not can_run_avx2():
        pytest.skip("this processor has no AVX2")
    return NativeEngine(flags=flags, threads=2)


def can_run_avx2():
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def agrees(engine, graph, seed, lanes, steps):
    run = drawn_run(graph, np.random.default_rng(seed), lanes, steps)
    found = difference(engine, graph, run)
    assert found is None, f"{found}; seed {seed}, {lanes} lanes, {steps} steps"


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_agree_in_every_value(engine, seed):
    generator = np.random.default_rng(seed)
    for number, case in enumerate(drawn_cases(seed, 26)):
        lanes, steps = int(generator.choice(LANES)), int(generator.choice(STEPS))
        agrees(engine, case.graph, 100 * seed + number, lanes, steps)


def layer(rows, columns, weight, activation, density=0.3, seed=0, extreme=False):
    """A recurrent product with more rows than a block, and a result behind it."""
    generator = np.random.default_rng(seed)
    graph = Graph("layer", [Direction.FORWARD])
    graph.add("x", Input(columns, activation))
    graph.add("y_before", StateRead("y", rows, activation))
    for name, width in (("W", columns), ("R", rows)):
        raw = generator.integers(weight.raw_min, weight.raw_max, (rows, width), endpoint=True)
        if extreme:
            raw = np.where(generator.integers(2, size=raw.shape), weight.raw_min, weight.raw_max)
        raw = raw * (generator.random((rows, width)) < density)
        raw[: rows // 7] *= generator.random((rows // 7, width)) < 0.1  # short rows beside long
        graph.add(name, Const(weight, raw))
    graph.add("acc", MatVec(), "x", "W", "y_before", "R")
    graph.add("y_new", Requant(Fixed(activation.width, activation.frac, True, *SATURATING)), "acc")
    graph.add("y_after", StateWrite("y"), "y_new")
    graph.add("y", Output(), "y_new")
    return graph


@pytest.mark.parametrize("lanes", [1, 3, 8, 33])
@pytest.mark.parametrize(
    ("rows", "weight", "activation", "extreme"),
    [
        (BLOCK + 37, Fixed(12, 11), Fixed(16, 12), False),
        (70, Fixed(12, 11), Fixed(16, 12), True),
        (70, Fixed(16, 15), Fixed(16, 12), True),  # a pair of -2**15 * -2**15 needs 33 bits
        (300, Fixed(12, 11), Fixed(20, 12), False),
        (70, Fixed(20, 19), Fixed(20, 12), True),
        (40, Fixed(3, 1), Fixed(40, 12), True),
        (90, Fixed(1, 0), Fixed(2, 0), True),
    ],
)
def test_products_of_all_sizes_agree(engine, rows, weight, activation, extreme, lanes):
    graph = layer(rows, 130, weight, activation, extreme=extreme)
    agrees(engine, graph, rows, lanes, 3)


def test_weights_that_need_int64_when_shifted_agree(engine):
    """Narrow weights, of which some meet wide vectors, and some are shifted far."""
    s = Sketch(5)
    fine, coarse = Fixed(22, 20), Fixed(6, -10)
    s.add("fine", Requant(fine), "x")
    s.add("coarse", Requant(coarse), "x")
    generator = np.random.default_rng(0)
    for name in ("V", "W"):
        s.add(name, Const(Fixed(12, 0), generator.integers(-2048, 2047, (7, 5))))
    s.add("acc", MatVec(), "fine", "V", "coarse", "W")
    agrees(engine, s.done(s.requant("q", "acc")), 3, 9, 2)


def test_padding_is_not_counted_where_zeros_saturate(engine):
    s = Sketch(6)
    s.add("bias", Const(Fixed(20, 10), np.full(6, 500_000)))
    graph = s.done(s.sum("q", "x", "bias"))
    for lanes in (1, 5, 12, 40):
        agrees(engine, graph, lanes, lanes, 3)


def test_columns_beyond_16_bits_agree(engine):
    graph = layer(3, (1 << 16) + 3000, Fixed(4, 3), Fixed(8, 4), 0.02)
    for lanes in (1, 4):
        agrees(engine, graph, lanes, lanes, 2)


def test_a_product_behind_another_of_the_same_length_waits_for_all_of_its_rows(engine):
    s = Sketch(6)
    first = s.requant("a", s.product("acc1", 60, "x"))
    second = s.requant("b", s.product("acc2", 60, first, s.state("c", 60)))
    s.write("c", second)
    graph = s.done(second)
    for lanes in (1, 32):  # 60 rows are several blocks
        agrees(engine, graph, lanes, lanes, 3)


@pytest.mark.parametrize("limits", [(3000, 4000), (-4000, -3000)])
@pytest.mark.parametrize("overflow", Overflow)
def test_values_that_are_all_out_of_range_agree(engine, limits, overflow):
    s = Sketch(6)
    s.add("far", Clamp(*limits), "x")
    for signed in (True, False):
        to = Fixed(5, 4, signed, Rounding.RND, overflow)
        s.add(f"q{signed}", Requant(to), "far")
    s.add("sum", Add(), "qTrue", "qFalse")
    agrees(engine, s.done("sum"), 1, 9, 2)


def operand(weights, shift, reach):
    return Operand.of(Matrix.of(weights), shift, reach)


def test_a_pair_that_needs_33_bits_is_not_narrow():
    lowest, reach = Fixed(16, 15).raw_min, 1 << 15
    assert not is_narrow([operand(np.array([[lowest, lowest]]), 0, reach)])
    assert is_narrow([operand(np.array([[lowest + 1, lowest + 1]]), 0, reach)])


def test_sums_of_a_run_fit_32_bits_and_a_run_is_as_long_as_it_can_be():
    weights = np.full((1, 40), 2047)
    (part,) = merged([operand(weights, 0, 1 << 15)], [0])
    runs = np.diff(pack_rows([part], 1).arrays["run_pairs"]).tolist()
    cost = 2 * 2047 << 15
    assert sum(runs) == 20 and max(runs) * cost < 1 << 31 <= (max(runs) + 2) * cost


def test_weights_that_fit_when_shifted_share_runs():
    operands = [operand(np.array([[1000]]), shift, 100) for shift in (0, 3, 8)]
    assert [part.shift for part in merged(operands, [0, 1, 2])] == [0, 8]


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
def test_every_conversion_agrees(engine, rounding, overflow):
    sources = [Fixed(12, 5), Fixed(33, 20), Fixed(31, 4, False), Fixed(60, 30), Fixed(9, -70)]
    targets = [(8, 3), (8, 3 - 70), (32, 18), (33, 22), (12, 9), (60, 40), (1, 0), (20, 60)]
    for source, (width, frac), signed in product(sources, targets, (True, False)):
        graph = Graph("conversion", [Direction.FORWARD])
        graph.add("x", Input(40, source))
        graph.add("q", Requant(Fixed(width, frac, signed, rounding, overflow)), "x")
        graph.add("y", Output(), "q")
        agrees(engine, graph, width, 4, 2)


@pytest.mark.parametrize("frac", [3, 9, 15, 22])
@pytest.mark.parametrize("overflow", Overflow)
def test_means_agree(engine, frac, overflow):
    s = Sketch(5, (Direction.FORWARD, Direction.ONCE))
    s.add("total", Capture("sum", "sum"), "x")
    s.add("mean", Mean(Fixed(12, frac, True, Rounding.RND, overflow)), "total", sweep=1)
    agrees(engine, s.done("mean", sweep=1), 7, 9, 5)


def test_every_operation_has_a_rule():
    assert {op.kind for op in ALL} == {op.kind for op in RULES} | BY_THEMSELVES


def test_int32_is_used_wherever_it_does():
    graph = layer(20, 10, Fixed(6, 5), Fixed(8, 4))
    lines = [line for own in plan(graph).sweeps for group in own.groups for line in group.lines]
    wide = {line.opcode for line in lines if line.fields["wide"]}
    assert wide == {Opcode.MATVEC}  # whose sums are of 64 bits
    assert {own.storage for own in plan(graph).matrices} == {Storage.INT16}


def test_a_whole_cell_is_one_group():
    s = Sketch(6)
    y, c = s.state("y", 8), s.state("c", 8)
    gate, fresh = (s.requant(f"q{k}", s.product(f"acc{k}", 8, "x", y)) for k in range(2))
    s.write("c", s.sum("new", gate, fresh, c))
    s.write("y", "new")
    groups = plan(s.done("new")).sweeps[0].groups
    opcodes = [{line.opcode for line in own.lines} for own in groups]
    assert [own.rows for own in groups] == [6, 8]  # the frame, then all of the cell
    assert opcodes[0] == {Opcode.READ_FRAME} and Opcode.MATVEC in opcodes[1]
    assert Opcode.OUTPUT in opcodes[1]


def test_threads_share_a_batch_and_give_the_same_bits():
    graph = layer(90, 40, Fixed(12, 11), Fixed(16, 12))
    run = drawn_run(graph, np.random.default_rng(0), 100, 4)
    results = [
        NativeEngine(threads=threads).prepare(graph).run(run.x, run.lengths, run.state)
        for threads in (1, 4)
    ]
    assert (results[0].y == results[1].y).all()
    assert (results[0].state["y"] == results[1].state["y"]).all()
    assert results[0].saturations == results[1].saturations


def test_runs_of_one_executable_do_not_touch_each_other():
    graph = layer(30, 8, Fixed(12, 11), Fixed(16, 12))
    executable = NativeEngine().prepare(graph)
    runs = [drawn_run(graph, np.random.default_rng(seed), 9, 3) for seed in (0, 1)]
    first = executable.run(runs[0].x, runs[0].lengths, runs[0].state)
    kept = first.y.copy(), first.state["y"].copy()
    executable.run(runs[1].x, runs[1].lengths, runs[1].state)
    again = executable.run(runs[0].x, runs[0].lengths, runs[0].state)
    assert (first.y == kept[0]).all() and (first.state["y"] == kept[1]).all()
    assert (again.y == first.y).all() and again.saturations == first.saturations


def test_a_value_that_is_only_added_is_not_moved():
    s = Sketch(6)
    s.add("sum", Add(), s.product("acc", 8, "x"))
    s.requant("q", "sum")
    lines = plan(s.done("q")).sweeps[0].groups[1].lines
    assert Opcode.STORE not in {line.opcode for line in lines}


def test_permuting_and_gathering_agree():
    if not library(NATIVE).can_permute:
        pytest.skip("this processor can't permute")
    for columns, density, pays in ((300, 0.4, True), (20_000, 1 / 10_000, False)):
        graph = layer(100, columns, Fixed(12, 11), Fixed(16, 12), density)
        executable = NativeEngine().prepare(graph)
        (matrix,) = executable._image.matrices(True)
        assert bool(matrix.is_permuted) == pays
        for lanes in (1, 2):
            agrees(NativeEngine(), graph, 1, lanes, 3)


def test_what_a_long_sequence_took_is_given_back():
    s = Sketch(6, (Direction.FORWARD, Direction.BACKWARD, Direction.FORWARD))
    s.state("c", 8, sweep=1)
    s.write("c", s.requant("q", s.product("acc", 8, "x", "c_before", sweep=1), sweep=1), sweep=1)
    graph = s.done("q", sweep=2)
    executable = NativeEngine(threads=1).prepare(graph)
    long = drawn_run(graph, np.random.default_rng(0), 1, 100_000)
    executable.run(long.x, np.array([100_000]))
    (memory,) = executable._idle[1]
    assert sum(array.nbytes for array in memory.arrays) < 1 << 20
    short, lengths = long.x[:, :3], np.array([3])
    wanted = ReferenceEngine().prepare(graph).run(short, lengths)
    assert (executable.run(short, lengths).y == wanted.y).all()


def test_an_interrupt_is_heard_before_a_long_sequence_has_ended(monkeypatch):
    executable = NativeEngine(threads=1).prepare(layer(20, 8, Fixed(6, 5), Fixed(8, 4)))
    steps = []
    run = executable._built.run

    def interrupted(call, sweep, first, last):
        run(call, sweep, first, last)
        steps.append(last - first)
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(executable._built, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executable.run(np.zeros((1, 10**5, 8), np.int64), np.array([10**5]))
    assert sum(steps) < 10**4
