"""Binary points and the reach of tables: by error, by peak or by percentile."""

from __future__ import annotations

import numpy as np
import pytest
from support import random_model

from penstock import Fixed, PenstockError, Precision
from penstock.calibration import Ranges, calibrate
from penstock.fixed import Overflow
from penstock.ir.evaluate import evaluate
from penstock.layers import Lstm
from penstock.layers.ranges import BINS, CENTRES, bins_of
from penstock.layers.types import Types
from penstock.lowering import lower
from penstock.model import stack

pytestmark = pytest.mark.long

CELLS = 4
WRITES, WRITE_EVERY, STEPS = 18, 60, 30_000


def seen(values, name="t"):
    """Ranges of one tensor."""
    ranges = Ranges()
    ranges.watch(name, 0, np.asarray(values))
    return ranges


def chosen(values, method, width=8, kind="activation"):
    types = Types(Precision(outputs=width, cell_state=width, range_method=method), seen(values))
    return getattr(types, kind)("t").frac


def slow_network():
    """Cells that are written when x is not zero, and hold their value for good between."""
    nothing = np.zeros((CELLS, CELLS))
    w_x = {gate: np.zeros((CELLS, 2)) for gate in "ifgo"}
    w_x["i"][:, 0] = 30.0
    w_x["g"][:, 1] = [3.0, -2.0, 1.0, 0.5]
    bias = {"i": -20.0, "f": 24.0, "g": 0.0, "o": 2.0}
    biases = {gate: np.full(CELLS, value) for gate, value in bias.items()}
    return stack([Lstm(w_x, dict.fromkeys("ifgo", nothing), biases)])


def writes(steps):
    """As many writes up at the beginning as down at the end; between, nothing for very long."""
    x = np.zeros((1, steps, 2))
    up = np.arange(WRITES) * WRITE_EVERY
    x[0, up], x[0, steps - 1 - up] = [1.0, 1.0], [1.0, -1.0]
    return x


def test_a_network_of_slow_states_stays_with_float_for_thirty_thousand_steps():
    model, x = slow_network(), writes(STEPS)
    ranges = calibrate(model, x[:, : WRITES * WRITE_EVERY])
    assert ranges.peak["l0.pre_f"] == 24.0 and 17 < ranges.peak["l0.c"] < 18
    graph = lower(model, ranges, Precision())
    raw = evaluate(graph, graph["x"].tensor.type.quantize(x), np.array([STEPS])).y
    error = np.abs(graph["y"].tensor.type.to_float(raw) - model.run(x))[0].max(axis=1)
    assert error.max() < 0.002
    held = error[WRITES * WRITE_EVERY : -WRITES * WRITE_EVERY]
    assert np.ptp(held) == 0, "the cell drifts"


def test_a_range_just_above_a_power_of_two_is_not_doubled_twice():
    for method in ("error", "peak", "percentile"):
        assert chosen([16.4] * 9 + [1.0], method, 16, "cell") == 10, "the type ends at 32"


def test_a_cell_has_headroom_and_never_clips_what_calibration_saw():
    rare = np.append(np.full(100_000, 0.01), 15.9)
    assert chosen([15.9, 12.0], "peak", 16, "cell") == 10, "a quarter further than 15.9"
    for method in ("error", "percentile"):
        assert chosen(rare, method, 4, "cell") <= -1
        assert chosen(rare, method, 4) > -1 or method == "error"
    assert chosen(np.append(rare, np.full(10**6, 0.9)), "error", 4) > -1


def test_a_power_of_two_that_is_common_is_in_range_by_error():
    """Pixels from 0 to 1: of s8.7 and of s16.15, one step is missing for the white ones."""
    pixels = np.random.default_rng(0).integers(0, 17, 4096) / 16
    dull = np.append(np.minimum(pixels, 0.5), 1.0)
    for width in (8, 16):
        fracs = [
            Types(Precision(inputs=width), seen(values, "x")).input().frac
            for values in (pixels, dull)
        ]
        assert fracs == [width - 2, width - 1], "one white pixel of many is an outlier"


@pytest.mark.parametrize("width", [4, 6, 8, 12, 16])
def test_by_error_no_other_binary_point_has_a_smaller_one(width):
    values = np.random.default_rng(3).laplace(0, 1, 20_000)

    def error(frac):
        dtype = Fixed(width, frac, True, "AP_RND", Overflow.SAT)
        stretched = 1.25 * values
        return np.mean((dtype.to_float(dtype.quantize(stretched)) - stretched) ** 2)

    found = chosen(values, "error", width)
    assert error(found) <= 1.02 * min(error(frac) for frac in range(-6, 20))
    assert found >= chosen(values, "peak", width)


def test_a_percentile_leaves_out_one_value_in_a_thousand():
    values = np.append(np.linspace(0.1, 0.7, 2000), 60.0)
    assert chosen(values, "percentile") == 7
    assert chosen(values, "peak") == 0


def test_a_table_reaches_where_its_error_is_least():
    def reach(values, function, **precision):
        return Types(Precision(**precision), seen(values)).reach("t", function)

    near, held = np.linspace(-2, 2, 99), np.linspace(6.5, 8.5, 99)
    assert reach(near, "sigma") == 4.0 and reach(near, "tanh") == 4.0
    assert reach(held, "sigma") == 16.0, "at 8 its limit is further off than a coarser step"
    assert reach(held, "sigma", range_method="peak") == 8.0
    assert reach(np.full(99, 40.0), "sigma") == 8.0, "all of it gives the limit"
    assert reach(held, "sigma", interpolate_bits=8) == 16.0
    assert reach(near, "sigma", interpolate_bits=8) == 8.0, "4 would be no better"


def test_bins_cover_all_magnitudes_in_order():
    values = 2.0 ** np.arange(-80, 80, 0.01)
    bins = bins_of(values)
    assert (np.diff(bins) >= 0).all() and bins[0] == 0 and bins[-1] == BINS
    assert bins_of(np.array([0.0])) == 0
    inner = (bins > 0) & (bins < BINS)
    assert np.abs(CENTRES[bins[inner] - 1] / values[inner] - 1).max() < 1 / 8


def test_ranges_of_two_parts_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(0, 1, (40, 3))
    parts = Ranges()
    for step, part in enumerate(np.split(values, 4)):
        parts.watch("t", step, part)
    whole = seen(values)
    assert parts == whole and (parts.counts["t"] == whole.counts["t"]).all()


def test_a_method_that_does_not_exist_is_refused():
    with pytest.raises(PenstockError) as caught:
        Precision(range_method="best")
    assert caught.value.line() == (
        "there is no range method 'best' (precision); hint: choose error, peak or percentile"
    )


def test_by_error_narrow_networks_are_closer_to_float_than_by_peak():
    errors = {"error": [], "peak": []}
    for method, found in errors.items():
        for seed in range(6):
            model = random_model(inputs=6, cells=(16,), density=1.0, seed=seed)
            generator = np.random.default_rng(seed)
            frames = generator.laplace(0, 0.7, (8, 40, 6))
            x = generator.laplace(0, 0.7, (8, 80, 6))
            widths = dict.fromkeys(("inputs", "gates", "cell_state", "outputs"), 8)
            precision = Precision(range_method=method, **widths)
            graph = lower(model, calibrate(model, frames), precision)
            raw = evaluate(graph, graph["x"].tensor.type.quantize(x), np.full(8, 80)).y
            y = graph["y"].tensor.type.to_float(raw)
            found.append(np.sqrt(np.mean((y - model.run(x)) ** 2)))
    assert np.mean(np.log(errors["error"])) < np.mean(np.log(errors["peak"]))


def test_what_is_not_a_number_stays_among_the_ranges():
    ranges = seen([1.0, np.nan])
    ranges.watch("t", 1, np.array([2.0]))
    assert np.isnan(ranges.peak["t"])


def test_all_of_the_values_reach_up_to_their_peak():
    magnitudes = seen([1.0] * 98 + [9.9, 9.95]).magnitudes("t")
    assert magnitudes.percentile(1.0) == 9.95 > CENTRES[bins_of(np.array([9.95])) - 1]
    assert magnitudes.percentile(0.5) == pytest.approx(1.0, rel=1 / 16)
