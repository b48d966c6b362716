"""The float product of a layer's matrix, however its weights are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import FloatArray
from penstock.ir.matrix import blocks


def product(x: FloatArray, weights: NDArray[Any]) -> FloatArray:
    """W x for every row x of an array, in float64: (lanes, columns) -> (lanes, rows).

    weights: (rows, columns), in float64 or, of a large checkpoint, in float32. These are widened a
    few rows at a time: a copy of all of them would take longer than the product, in every step.
    """
    y: FloatArray
    if weights.dtype == np.float64:
        y = x @ weights.T
        return y
    y = np.empty((len(x), len(weights)))
    for rows in blocks((weights.shape[0], weights.shape[1])):
        y[:, rows] = x @ weights[rows].astype(np.float64).T
    return y
