"""Pruning for the banks of the hardware: what masks keep, and that nothing of it is wasted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from compress.networks import adamw, make_net, train  # noqa: E402

import penstock.nn  # noqa: E402
from penstock import Hardware, PenstockError  # noqa: E402
from penstock.calibration import calibrate  # noqa: E402
from penstock.compress import BankInterleaved, Cubic, Pruner  # noqa: E402
from penstock.compress.recognize import NonZeros, banks_of_sum, common_banks  # noqa: E402
from penstock.driver import compile_model  # noqa: E402
from penstock.frontend import from_module  # noqa: E402
from penstock.lowering import lower  # noqa: E402
from penstock.machine.choose import choose  # noqa: E402
from penstock.settings import Balance, Precision  # noqa: E402

CASES = [((5, [8]), 4), ((7, [9]), 4), ((3, [16, 8]), 8), ((6, [5, 12]), 4), ((4, [10, 10, 3]), 8),
         ((1, [1]), 1), ((2, [40, 128]), 16)]  # fmt: skip
OF_8 = Balance(banks=8)
shapes = pytest.mark.parametrize(("shape", "banks"), CASES, ids=str)


def score_of(rows, vectors):
    return np.random.default_rng(rows + sum(vectors)).random((rows, sum(vectors)))


def by_bank(values, vectors, banks):
    """Bank -> its columns of ``values``, counted one by one."""
    bank_of = [column % banks for length in vectors for column in range(length)]
    return [values[:, [c for c, own in enumerate(bank_of) if own == bank]] for bank in range(banks)]


@shapes
@pytest.mark.parametrize("density", [0.03, 0.1, 0.3, 0.5, 0.9, 1.0])
def test_every_bank_keeps_the_same_number_of_a_row_the_greatest(shape, banks, density):
    rows, vectors = shape
    score, pattern = score_of(rows, vectors), BankInterleaved(banks)
    mask = pattern.joint_mask(score, vectors, density)
    count = pattern.kept_per_bank(vectors, density)
    for own, kept in zip(by_bank(score, vectors, banks), by_bank(mask, vectors, banks),
                         strict=True):  # fmt: skip
        assert (kept.sum(axis=1) == min(count, kept.shape[1])).all()
        for row, flags in zip(own, kept, strict=True):
            assert row[~flags].max(initial=0.0) <= row[flags].min(initial=np.inf)
    reached = [sum(min(n, part.shape[1]) for part in by_bank(score, vectors, banks))
               for n in range(1, max(vectors) * len(vectors) + 1)]  # fmt: skip
    wanted = density * sum(vectors)
    assert abs(mask[0].sum() - wanted) == min(abs(one - wanted) for one in reached)


@shapes
def test_a_mask_lies_within_that_of_any_higher_density(shape, banks):
    rows, vectors = shape
    score, pattern = score_of(rows, vectors), BankInterleaved(banks)
    masks = [pattern.joint_mask(score, vectors, density) for density in np.linspace(0.02, 1, 50)]
    for lower_one, higher in pairwise(masks):
        assert not (lower_one & ~higher).any()
    assert masks[-1].all()


@pytest.mark.parametrize("direction", ["", "_reverse"])
@pytest.mark.parametrize("layer", [0, 1])
def test_what_meets_in_one_sum_shares_the_banks(direction, layer):
    model = make_net(lstm=penstock.nn.LSTM, bidirectional=True, num_layers=2, proj_size=6)
    pruner = Pruner(model, "bank_balanced", 0.25, banks=4)
    train(model, pruner, adamw(model), range(2))
    name = f"l{layer}{direction}"
    both = [getattr(model.lstm, f"weight_{kind}_{name}").detach().numpy() for kind in ("ih", "hh")]
    vectors = [12, 6] if layer == 0 else [6, 6, 6]
    for rows in np.split(np.concatenate(both, axis=1) != 0, 4):
        counts = [part.sum(axis=1) for part in by_bank(rows, vectors, 4)]
        assert {*np.concatenate(counts)} == {1}
    assert len({(both[0] != 0).sum(axis=1)[row] for row in range(64)}) > 1, "not each by itself"
    alone = getattr(model.lstm, f"weight_hr_{name}").detach().numpy() != 0
    assert {*np.concatenate([part.sum(axis=1) for part in by_bank(alone, [16], 4)])} == {1}


def test_the_candidate_of_a_gru_has_two_sums():
    model = torch.nn.GRU(8, 16)
    rows = {row.matrix: row for row in Pruner(model, "bank_balanced", 0.5, banks=4).summary()}
    both = ("weight_ih_l0", "weight_hh_l0")
    for gate in "rz":
        for name in both:
            assert rows[f"{name}, gate {gate}"].in_banks == (both, 3, 3)
    assert rows["weight_ih_l0, gate n"].in_banks == (("weight_ih_l0",), 1, 1)
    assert rows["weight_hh_l0, gate n"].in_banks == (("weight_hh_l0",), 2, 2)


def test_densities_of_one_sum_are_kept_together_and_what_is_dense_is_left_alone():
    model = make_net()
    density = {"*hh_l0": 0.125, "*ih_l0": 0.5}
    rows = Pruner(model, "bank_balanced", density, banks=4).summary()
    assert {row.in_banks.max_per_bank for row in rows} == {2}  # 0.5 x 12 + 0.125 x 16, of 4 banks
    model = make_net()
    rows = Pruner(model, "bank_balanced", density | {"*ih_l0": 1.0}, banks=2).summary()
    assert [row.density for row in rows] == [1.0] * 4 + [0.125] * 4
    assert {row.in_banks.matrices for row in rows[4:]} == {("lstm.weight_hh_l0",)}


def test_along_a_schedule_masks_only_shrink():
    model = make_net()
    pruner = Pruner(model, "bank_balanced", 0.25, Cubic(1, 7, 2), banks=4)
    optimizer, before = adamw(model), np.ones((64, 28), bool)
    for step in range(9):
        train(model, pruner, optimizer, [step])
        both = (model.lstm.weight_ih_l0, model.lstm.weight_hh_l0)
        now = np.concatenate([weight.detach().numpy() != 0 for weight in both], axis=1)
        assert not (now & ~before).any()
        before = now
    assert {*np.concatenate([part.sum(axis=1) for part in by_bank(now, [12, 16], 4)])} == {2}


ERRORS = {
    "both": (
        {"bank": 4, "banks": 4}, "bank and banks are both given", "pruning",
        "give bank, the columns of a bank, or banks, as many as the hardware has",
    ),
    "not a power of two": (
        {"banks": 6}, "the hardware has no 6 banks", "pruning", "choose a power of two",
    ),
    "a bank without a column": (
        {"banks": 1 << 40}, f"{1 << 40} banks are more than a vector has columns, 16",
        "lstm.weight_ih_l0 and lstm.weight_hh_l0, gate i",
        "use fewer banks, or leave this matrix dense: density={..., 'its name': 1.0}",
    ),
    "a bank that keeps none": (
        {"banks": 8}, "at density 0.1, a bank of 3.5 weights keeps none",
        "lstm.weight_ih_l0 and lstm.weight_hh_l0, gate i",
        "choose fewer banks, or a density of at least 0.14",
    ),
    "another pattern": (
        {"pattern": "unstructured", "banks": 4}, "pattern unstructured has no banks", "pruning",
        "leave banks out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_no_hardware_has_is_refused(case):
    options, *wanted = ERRORS[case]
    with pytest.raises(PenstockError) as caught:
        Pruner(make_net(), **({"pattern": "bank_balanced"} | options))
    assert [caught.value.what, caught.value.where, caught.value.hint] == wanted


@shapes
@pytest.mark.parametrize("density", [0.1, 0.3, 0.5])
def test_banks_are_recognized_where_the_pattern_would_keep_all(shape, banks, density):
    rows, vectors = shape
    mask = BankInterleaved(banks).joint_mask(score_of(rows, vectors), vectors, density)

    def parts(matrix):
        return [NonZeros.of(part) for part in
                np.split(matrix.astype(float), np.cumsum(vectors)[:-1], axis=1)]  # fmt: skip

    for matrix in (mask, mask ^ (np.arange(mask.size).reshape(mask.shape) == mask.size // 2)):
        tried = [n for n in (2, 4, 8, 16, 32) if n <= max(vectors)]
        same = [n for n in tried if (
            BankInterleaved(n).joint_mask(matrix.astype(float), vectors, matrix.mean()) == matrix
        ).all()]  # fmt: skip
        assert [n for n in banks_of_sum(parts(matrix)) if n <= 32] == (same if matrix.any() else [])


def test_banks_in_common_are_those_of_all_sums_that_are_not_dense():
    of_4, of_8 = (
        [NonZeros.of(BankInterleaved(n).mask(score_of(4, [16]), 0.5).astype(float))] for n in (4, 8)
    )
    dense = [NonZeros.of(np.ones((4, 5)))]
    assert common_banks([of_8, dense]) == banks_of_sum(of_8) and 8 in banks_of_sum(of_8)
    assert common_banks([of_4, of_8]) == [n for n in (2, 4) if n in banks_of_sum(of_4)]
    assert common_banks([dense]) == []


class Tagger(torch.nn.Module):
    """Directions of 12 outputs, which 8 banks do not divide, below a layer that gathers both."""

    def __init__(self):
        super().__init__()
        options = {"bidirectional": True, "num_layers": 2, "proj_size": 12, "batch_first": True}
        self.lstm = penstock.nn.LSTM(12, 16, **options)

    def forward(self, x):
        return self.lstm(x)[0]


@pytest.fixture(scope="module")
def pruned():
    torch.manual_seed(0)
    module = Tagger()
    Pruner(module, "bank_balanced", 0.25, banks=8).finalize()
    return from_module(module.eval())


def waste(machine):
    return sum(sum(product.waste.values()) for product in machine.plan.products)


def test_the_hardware_that_it_is_pruned_for_wastes_nothing(pruned):
    ranges = calibrate(pruned, None)
    made = compile_model(pruned, ranges, Hardware(dataflow="bank", rows=4, banks=8))
    assert waste(made.machine) == 0
    other = compile_model(pruned, ranges, Hardware(dataflow="bank", rows=4, banks=16))
    assert waste(other.machine) > 0


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    module = penstock.nn.LSTM(16, 32, batch_first=True)
    Pruner(module, "bank_balanced", 0.25, banks=8).finalize()
    model = from_module(module.eval())
    return lower(model, calibrate(model, None), Precision())


def test_the_compiler_prefers_the_banks_that_the_masks_are_balanced_for(small):
    free, notes = choose(small, Hardware(dataflow="bank", pes=64))
    assert free.hardware.banks == 4 and not any("masks are" in note for note in notes)
    for dataflow in ("bank", "auto"):
        machine, notes = choose(
            small, Hardware(dataflow=dataflow, pes=64), balanced_for=Balance(banks=8)
        )
        assert (machine.hardware.rows, machine.hardware.banks) == (8, 8)
        assert "the masks are balanced for 8 banks" in notes and waste(machine) == 0


def test_what_is_given_goes_before_what_masks_are_balanced_for(small):
    given, _ = choose(
        small, Hardware(dataflow="bank", rows=8, banks=2), balanced_for=Balance(banks=8)
    )
    assert given.hardware.banks == 2


def test_much_faster_banks_go_before_those_of_the_masks(small):
    machine, notes = choose(small, Hardware(dataflow="bank", pes=16), balanced_for=Balance(banks=8))
    assert machine.hardware.banks < 8 and "the masks are balanced for 8 banks" not in notes


def test_gather_says_that_it_has_no_use_for_banks(small):
    _, notes = choose(small, Hardware(pes=4), balanced_for=Balance(banks=8))
    told = "the masks are balanced for 8 banks, of which only --dataflow bank makes use"
    assert notes[0] == told


@pytest.mark.parametrize(("rows", "banks", "cause"), [
    (256, 8, "some matrices do not fill 256 rows at a time: see what fewer rows take"),
    (8, 16, "the mask is not balanced for 16 banks: prune it for them (pattern bank_balanced, "
            "banks 16), or see what --dataflow gather takes"),
])  # fmt: skip
def test_entries_without_a_weight_are_told_by_their_cause(rows, banks, cause, small):
    _, notes = choose(small, Hardware(dataflow="bank", rows=rows, banks=banks), OF_8)
    (note,) = [note for note in notes if "hold no weight" in note]
    assert note == f"50 % of all entries hold no weight, for {cause}"
