"""Inputs of very different ranges: a power of two of each moves into the weights that read it.

All inputs share one type. Where one reaches much further than another, little of the type is left
for the other. So the kernel may be given x_j / 2**k_j in place of x_j: the columns of all matrices
that read x are multiplied by 2**k_j before they are quantized, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from penstock.fixed import Fixed, FloatArray, IntArray
from penstock.layers.gated import Gated
from penstock.layers.layer import Layer
from penstock.layers.linear import Linear
from penstock.layers.ranges import Ranges
from penstock.model import INPUT, Place, RecurrentModel
from penstock.settings import Precision

MOST = 24
"""The greatest exponent of an input: a type has no more bits."""
SPREAD = 4
"""Inputs whose ranges differ by no more powers of two are left as they are."""
GAIN = 4.0
"""So many times smaller the expected squared error must become."""
FEWEST_BITS = 8
"""An input that is left fewer bits than these is swallowed by the others."""


@dataclass(frozen=True)
class Folded:
    """A network for scaled inputs, and what calibration saw of it.

    exponents: k_j of each input, or empty for none. notes: a sentence each, for the user.
    """

    model: RecurrentModel
    ranges: Ranges
    exponents: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def fold_inputs(model: RecurrentModel, ranges: Ranges, precision: Precision) -> Folded:
    """Scale the inputs if calibration found that it makes the network's sums more accurate.

    They are left alone where anything but a matrix reads x, or where its type or that of a matrix
    is the user's choice. A note says what was scaled, or which input is left too few bits.
    """
    peaks = np.array(ranges.columns)
    if not peaks.any():
        return Folded(model, ranges)
    readers = [place for place in model.places if INPUT in place.sources]
    exponents = np.zeros(len(peaks), dtype=np.int64)
    if _is_free(model, readers, precision):
        weights = (_columns_of_x(place, model) for place in readers)
        exponents = _best_exponents(weights, peaks, precision)
    notes = _notes(exponents, np.ldexp(peaks, -exponents), precision)
    if not exponents.any():
        return Folded(model, ranges, (), notes)
    layers = {place.name: _scaled(place, model, np.exp2(exponents)) for place in readers}
    columns = np.ldexp(peaks, -exponents)
    seen = replace(
        ranges,
        peak=ranges.peak | {INPUT: float(columns.max())},
        counts={name: counts for name, counts in ranges.counts.items() if name != INPUT},
        columns=tuple(columns.tolist()),
    )
    return Folded(model.with_layers(layers), seen, tuple(exponents.tolist()), notes)


def _is_free(model: RecurrentModel, readers: list[Place], precision: Precision) -> bool:
    """True if nothing but matrices reads x, and all types that scaling changes are ours to choose.

    (A row's own scale, if given, belongs to the weights as they were.)
    """
    given = [*precision.overrides, *precision.row_exponents]
    matrices = tuple(f"{place.name}.W" for place in readers)
    return (
        INPUT not in model.outputs
        and all(isinstance(place.layer, Gated | Linear) for place in readers)
        and not any(name == INPUT or name.startswith(matrices) for name in given)
        and not isinstance(precision.inputs, Fixed)
        and not isinstance(precision.weights, Fixed)
    )


def _matrices(layer: Layer) -> list[FloatArray]:
    """Those that the layer's input is multiplied by."""
    if isinstance(layer, Gated):
        return list(layer.w_x.values())
    assert isinstance(layer, Linear)
    return [layer.weight]


def _starts_of_x(place: Place, model: RecurrentModel) -> list[int]:
    """The first columns of x among those that a layer reads; it may read x twice."""
    widths = [model.width(source) for source in place.sources]
    starts = np.cumsum([0, *widths[:-1]])
    return [int(at) for at, source in zip(starts, place.sources, strict=True) if source == INPUT]


def _columns_of_x(place: Place, model: RecurrentModel) -> FloatArray:
    """(matrices, rows, inputs): the weights of x."""
    starts, width = _starts_of_x(place, model), model.inputs
    columns = [
        matrix[:, start : start + width] for matrix in _matrices(place.layer) for start in starts
    ]
    return np.stack(columns, dtype=np.float64)


def _scaled(place: Place, model: RecurrentModel, factors: FloatArray) -> Layer:
    """The layer, the weights of its x multiplied by ``factors``."""
    layer = place.layer
    of_all = np.ones(layer.inputs)
    for start in _starts_of_x(place, model):
        of_all[start : start + model.inputs] = factors
    if isinstance(layer, Gated):
        return replace(layer, w_x={gate: w * of_all for gate, w in layer.w_x.items()})
    assert isinstance(layer, Linear)
    return replace(layer, weight=layer.weight * of_all)


def _best_exponents(
    weights: Iterable[FloatArray], peaks: FloatArray, precision: Precision
) -> IntArray:
    """All reach no further than one of them, whichever makes the least error; or all zero.

    weights: taken only where the inputs' ranges differ by so much that it may matter.
    """
    none = np.zeros(len(peaks), dtype=np.int64)
    octaves = np.ceil(np.log2(np.where(peaks > 0, peaks, 1.0))).astype(np.int64)
    used = octaves[peaks > 0]
    if used.max() - used.min() <= SPREAD:
        return none
    candidates = [
        np.where(peaks > 0, np.clip(octaves - reach, 0, MOST), 0)
        for reach in sorted(set(used.tolist()), reverse=True)
    ]
    weights = list(weights)
    with np.errstate(over="ignore"):  # an error that is infinite is not the least
        errors = [_expected_error(weights, peaks, one, precision) for one in candidates]
    best = int(np.argmin(errors))
    return candidates[best] if GAIN * errors[best] <= errors[0] else none


def _expected_error(
    weights: list[FloatArray], peaks: FloatArray, exponents: IntArray, precision: Precision
) -> float:
    """Summed squared error of W x by the rounding of x and of W, as far as the inputs reach."""
    assert isinstance(precision.inputs, int) and isinstance(precision.weights, int)
    reach = np.ldexp(peaks, -exponents)
    step = np.ldexp(_step(reach.max(), precision.inputs), exponents)
    error = 0.0
    for matrices in weights:
        for matrix in matrices:
            scaled = np.ldexp(matrix, exponents)
            weight_step = _step(np.abs(scaled).max(), precision.weights)
            error += float((matrix**2 @ step**2).sum())
            error += float(((matrix != 0) @ reach**2).sum() * weight_step**2)
    return error


def _step(peak: float, width: int) -> float:
    return float(2.0 ** (np.ceil(np.log2(peak)) - width + 1)) if peak > 0 else 0.0


def _notes(exponents: IntArray, reach: FloatArray, precision: Precision) -> tuple[str, ...]:
    found = []
    if exponents.any():
        found.append(
            f"{np.count_nonzero(exponents)} of {len(exponents)} inputs are divided by powers of "
            f"two, up to 2**{exponents.max()}, for they reach further than the others; the weights "
            "make up for it, exactly (input_exponents in weights/manifest.json)"
        )
    width = precision.inputs.width if isinstance(precision.inputs, Fixed) else precision.inputs
    furthest, is_used = int(np.argmax(reach)), reach > 0
    least = int(np.argmin(np.where(is_used, reach, np.inf)))
    bits = width - int(np.ceil(np.log2(reach[furthest]) - np.log2(reach[least])))
    if bits < min(FEWEST_BITS, width - SPREAD):
        found.append(
            f"input {furthest} reaches {reach[furthest]:.4g}, input {least} only "
            f"{reach[least]:.4g}: of {width} bits, {max(bits, 0)} are left for it; scale the "
            "frames, and the weights to match"
        )
    return tuple(found)
