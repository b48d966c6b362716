"""What holds for every tensor of a file or a live module before anything else reads it."""

from __future__ import annotations

import re

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray

LONGEST_NAME = 1000
LEAST, GREATEST = 1e-100, 1e100
"""A tensor's greatest magnitude lies between: far beyond what can be trained, and squares and
products stay within float64."""
TOO_MANY_LAYERS = re.compile(r"_l\d{5,}(_reverse)?$")


def checked(tensors: dict[str, FloatArray], where: str) -> dict[str, FloatArray]:
    """``tensors`` as they are. Raises PenstockError for odd names and impossible values."""
    for name, value in tensors.items():
        _check_name(name, where)
        _check_values(name, value, where)
    return tensors


def _check_name(name: str, where: str) -> None:
    if len(name) > LONGEST_NAME:
        fault = f"of {len(name)} characters"
    elif not name.isprintable() or set("{}") & set(name):
        fault = f"with braces or control characters ({name[:60]!r})"
    elif TOO_MANY_LAYERS.search(name):
        fault = f"of an impossible layer ({name[:60]})"
    else:
        return
    raise PenstockError(f"a tensor has a name {fault}", where, "rename it and save again")


def _check_values(name: str, value: FloatArray, where: str) -> None:
    if value.size == 0:
        return
    peak = float(np.maximum(value.max(), -value.min()))  # NaN stays
    if not np.isfinite(peak):
        bad = int(np.count_nonzero(~np.isfinite(value)))
        raise PenstockError(
            f"{name} has {bad} NaN or infinite values",
            where,
            "did training diverge? use an earlier checkpoint",
        )
    if peak >= GREATEST:
        raise PenstockError(
            f"{name} reaches {peak:.3g}", where, "did training diverge? use an earlier checkpoint"
        )
    if 0 < peak < LEAST:
        raise PenstockError(
            f"{name} has no magnitude greater than {peak:.3g}",
            where,
            "was it damaged? set it to zero if it is meant to be",
        )
