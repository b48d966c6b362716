"""Sorting integers in linear time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray

DIGIT_BITS = 16


def stable_order(keys: NDArray[Any]) -> IntArray:
    """The order that sorts integers >= 0, those that are equal as they stand.

    It is that of ``np.argsort(keys, kind="stable")``. NumPy sorts integers of 16 bits by radix, and
    all others by comparisons, which takes several times as long on millions of them.
    """
    order = np.argsort(keys.astype(np.uint16), kind="stable")  # the low bits alone
    for shift in range(DIGIT_BITS, int(keys.max(initial=0)).bit_length(), DIGIT_BITS):
        digit = (keys >> shift).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order
