"""What a step of quantization-aware training costs, counted, and that its savings change nothing.

Seconds and megabytes are measured by benchmarks/performance/training.py.
"""

from __future__ import annotations

import weakref
from itertools import product

import numpy as np
import pytest
from support import random_model

from penstock import Fixed, Overflow, Precision, Rounding
from penstock.compress import calibrate
from penstock.ir import Direction, Graph
from penstock.ops import Const, Input, MatVec, Output, Requant, StateRead, StateWrite

torch = pytest.importorskip("torch")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from penstock.compress import products, straight_through  # noqa: E402
from penstock.compress.execution import Execution  # noqa: E402
from penstock.compress.qat import QuantizedNetwork  # noqa: E402
from penstock.compress.straight_through import fake_quantize  # noqa: E402
from penstock.compress.training import Loop, Split, Stage  # noqa: E402

LANES, CELLS, OUTPUTS, INPUTS = 4, 64, 32, 5
VIEWS = {"detach", "view", "t", "transpose", "split", "unbind", "expand", "slice", "select",
         "_unsafe_view", "alias", "permute"}  # fmt: skip


def network():
    """A cell with everything that an LSTM can have: ESE's, in small."""
    model = random_model(cells=(CELLS,), outputs=OUTPUTS, peephole=True, density=0.3, seed=4)
    x = np.random.default_rng(1).normal(0, 1, (LANES, 6, INPUTS))
    return QuantizedNetwork(model, calibrate(model, x), Precision())


def frames(steps):
    return torch.tensor(np.random.default_rng(2).normal(0, 1, (LANES, steps, INPUTS)))


class Dispatched(TorchDispatchMode):
    """The operations that torch computes, views apart: (name, shape of the result)."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in VIEWS:
            self.found.append((name, tuple(getattr(result, "shape", ()))))
        return result


def dispatched(steps):
    trained, x = network(), frames(steps)
    with Dispatched() as mode:
        trained(x).square().sum().backward()
    return mode.found


def test_a_step_takes_few_operations_forward_and_backward():
    """147 when this was written; 222 when each step made its own gradients of the matrices."""
    per_step = (len(dispatched(12)) - len(dispatched(4))) / 8
    assert per_step <= 150


def test_gradients_of_matrices_are_made_of_all_steps_at_once():
    def of_matrices(steps):
        shapes = {(4 * CELLS, INPUTS), (4 * CELLS, OUTPUTS), (OUTPUTS, CELLS)}
        return [name for name, shape in dispatched(steps) if shape in shapes]

    assert of_matrices(4) == of_matrices(12)


def test_a_step_keeps_little_until_the_gradient_has_come():
    """Bytes for each cell and lane: 68, of which eight are masks; 108 with indices and copies."""

    def saved(steps):
        storages = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        trained, x = network(), frames(steps)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            kept = trained(x)
        assert kept.requires_grad
        return sum(storages.values())

    per_cell = (saved(12) - saved(4)) / 8 / LANES / CELLS
    assert per_cell <= 70


def recurrent(kind):
    """s' = U s + W x, rounded; y = s'."""
    generator = np.random.default_rng(5)
    graph = Graph("recurrent", [Direction.FORWARD])
    graph.add("x", Input(3, kind))
    graph.add("s", StateRead("s", 2, kind))
    graph.add("W", Const(Fixed(4, 2), generator.integers(-7, 7, (2, 3))))
    graph.add("U", Const(Fixed(4, 2), generator.integers(-2, 3, (2, 2))))
    graph.add("acc", MatVec(), "x", "W", "s", "U")
    graph.add("new", Requant(kind), "acc")
    graph.add("s_new", StateWrite("s"), "new")
    graph.add("y", Output(), "new")
    return graph


def real(graph, name):
    """A matrix of two fraction bits, to be trained."""
    raw = np.asarray(graph[name].tensor.constant)
    return torch.tensor(raw * 0.25, requires_grad=True)


def executed(graph, x):
    """(y, W, U)."""
    matrices = {name: real(graph, name) for name in "WU"}
    y = Execution(graph, matrices, {}, x, torch.full((len(x),), x.shape[1])).run()
    return y, *matrices.values()


def by_autograd(graph, x, weights):
    """The gradients of x, W, U, each product by itself; exact, as few bits are multiplied."""
    w, u = (real(graph, name) for name in "WU")
    x = x.detach().requires_grad_()
    state, total = torch.zeros(len(x), 2, dtype=torch.float64), 0.0
    for step in range(x.shape[1]):
        acc = x[:, step] @ w.T + state @ u.T
        state = acc + (torch.floor(acc * 8 + 0.5) / 8 - acc).detach()
        total = total + (state * weights[:, step]).sum()
    return torch.autograd.grad(total, (x, w, u))


@pytest.mark.parametrize("rows", [1, 6, 512])
def test_gradients_are_those_of_products_made_one_by_one(monkeypatch, rows):
    """However many steps wait for each other; also when they are asked for again, or in part."""
    monkeypatch.setattr(products, "ROWS_AT_ONCE", rows)
    graph = recurrent(Fixed(40, 3, True, Rounding.RND, Overflow.SAT))
    generator = np.random.default_rng(6)
    x = torch.tensor(generator.integers(-40, 40, (3, 5, 3)) / 8.0, requires_grad=True)
    weights = torch.tensor(generator.integers(-3, 4, (3, 5, 2)).astype(float))
    y, w, u = executed(graph, x)
    total = (y * weights).sum()
    wanted = by_autograd(graph, x, weights)
    (of_x,) = torch.autograd.grad(total, x, retain_graph=True)
    assert torch.equal(of_x, wanted[0])
    for _ in range(2):
        found = torch.autograd.grad(total, (x, w, u), retain_graph=True)
        assert all(map(torch.equal, found, wanted))


def test_matrices_whose_sums_no_loss_reads_get_no_gradient():
    graph = recurrent(Fixed(40, 3, True, Rounding.RND, Overflow.SAT))
    y, w, u = executed(graph, torch.ones(2, 3, 3, dtype=torch.float64))
    y[:, 0].sum().backward()
    assert torch.equal(w.grad, torch.full((2, 3), 2.0)) and not u.grad.any()


def edges(frac, width):
    """Multiples of 2**-frac of at most 53 bits: random ones, ties of ``width``, and their ends."""
    generator = np.random.default_rng(100 + frac)
    raw = [0, 1, -1, 2**53 - 1, 1 - 2**53, 2**52 + 1, 2**52 - 1, *generator.integers(-99, 99, 60)]
    raw += [*generator.integers(-(2**52), 2**52, 60), 1 << (width - 1), (1 << width) + 1]
    return np.ldexp(np.array(raw, dtype=np.float64), -frac)


@pytest.mark.parametrize("frac", [-2, 0, 1, 7, 30, 52, 53, 54, 60])
def test_multiples_of_a_step_are_rounded_as_any_numbers_are(frac):
    for width, rounding, overflow in product((1, 5, 20, 52, 54, 60), Rounding, Overflow):
        kind = Fixed(width, 0, True, rounding, overflow)
        values = edges(frac, width)
        got = fake_quantize(torch.tensor(values), kind, frac=frac).numpy()
        if width < 54:  # beyond, float64 does not hold the ends of the type
            assert (got == kind.to_float(kind.quantize(values))).all(), kind
        assert (got == fake_quantize(torch.tensor(values), kind).numpy()).all(), kind


def test_the_gradients_of_a_multiple_are_those_of_any_number():
    kind = Fixed(4, 2, True, Rounding.RND, Overflow.SAT)

    def gradients(frac):
        x = torch.tensor([-9.0, 0.125, 0.3125, 9.0], dtype=torch.float64, requires_grad=True)
        reach = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(fake_quantize(x, kind, reach, frac).sum(), (x, reach))

    assert all(map(torch.equal, gradients(4), gradients(None)))


@pytest.mark.parametrize("is_masked", [False, True])
def test_large_matrices_are_rounded_as_small_ones(monkeypatch, is_masked):
    kind = Fixed(4, 2, True, Rounding.RND, Overflow.SAT)
    generator = np.random.default_rng(7)
    values, factors = torch.tensor(generator.normal(0, 1, (2, 5, 9)))
    mask = torch.tensor(generator.random((5, 9)) < 0.5) if is_masked else None

    def run():
        x = values.clone().requires_grad_()
        reach = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        y = fake_quantize(x, kind, reach, mask=mask)
        (y * factors).sum().backward()
        return y, x.grad, reach.grad

    whole = run()
    monkeypatch.setattr(straight_through, "PIECE", 7)
    assert all(map(torch.equal, run(), whole))


def test_what_is_masked_counts_as_zero_and_gets_no_gradient():
    kind = Fixed(4, 2, True, Rounding.RND, Overflow.SAT)
    x = torch.tensor([0.3, 0.3, -9.0, -9.0], dtype=torch.float64, requires_grad=True)
    reach = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    y = fake_quantize(x, kind, reach, mask=torch.tensor([True, False, True, False]))
    assert y.tolist() == [0.25, 0.0, -2.0, 0.0]
    y[1::2].sum().backward(retain_graph=True)
    assert not x.grad.any() and reach.grad == 0.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 0.0] and reach.grad < 0


class Probe:
    """Lives as long as the graph that it is hooked to."""


def test_the_graph_of_an_update_is_gone_when_the_next_one_is_built(tmp_path):
    layer, probes = torch.nn.Linear(2, 2), []

    def forward(x, lengths):
        assert all(probe() is None for probe in probes)
        logits = layer(x.float()[:, 0])
        if logits.requires_grad:
            probe = Probe()
            probes.append(weakref.ref(probe))
            logits.register_hook(lambda gradient, probe=probe: gradient)
        return logits

    data = Split(np.ones((6, 1, 2), np.float32), np.arange(6) % 2, np.ones(6, np.int64))
    Loop(tmp_path, batch=2).fit(Stage("dense", layer, forward, 2, 0.1), data, data)
    assert len(probes) == 6
