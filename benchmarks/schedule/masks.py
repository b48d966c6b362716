"""Masks of ESE's layer (Han et al. 2017) that differ in how uneven their rows are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from penstock.compress import pe_balanced_mask

INPUTS, CELLS, PROJECTION = 153, 1024, 512
DENSITY = 0.1
SHAPES = ((4 * CELLS, INPUTS + PROJECTION), (PROJECTION, CELLS))
"""The gates' matrices on top of one another, over the input and the projected state; W_ym."""


def masks(pes: int, seed: int = 3) -> Iterator[tuple[str, list[np.ndarray]]]:
    """(name, masks of the shapes above); only the first depends on the number of PEs."""
    makers: dict[str, Callable[[np.random.Generator], list[np.ndarray]]] = {
        "balanced for the PEs": lambda g: [balanced(g, shape, pes) for shape in SHAPES],
        "unstructured": lambda g: largest(g, 0.0),
        "row norms of CV 0.2": lambda g: largest(g, 0.2),
        "row norms of CV 0.4": lambda g: largest(g, 0.4),
        "power law, exponent 0.5": lambda g: [power_law(g, shape, 0.5) for shape in SHAPES],
        "power law, exponent 1": lambda g: [power_law(g, shape, 1.0) for shape in SHAPES],
        "5 % empty, one full row": odd_rows,
    }
    for name, make in makers.items():
        yield name, make(np.random.default_rng(seed))


def balanced(generator: np.random.Generator, shape: tuple[int, int], pes: int) -> np.ndarray:
    """As many non-zeros on every PE, of every gate and of each of the two vectors."""
    found = np.zeros(shape, dtype=bool)
    height = min(shape[0], CELLS)
    edges = (0, INPUTS, shape[1]) if shape[0] > CELLS else (0, shape[1])
    for top in range(0, shape[0], height):
        for left, right in pairwise(edges):
            weights = generator.normal(size=(height, right - left))
            found[top : top + height, left:right] = pe_balanced_mask(weights, DENSITY, pes)
    return found


def largest(generator: np.random.Generator, spread: float) -> list[np.ndarray]:
    """The largest of all weights; the scales of the rows are log-normal with such a CV."""
    sigma = np.sqrt(np.log1p(spread**2))
    weights = [
        generator.normal(size=shape) * np.exp(generator.normal(0, sigma, (shape[0], 1)))
        for shape in SHAPES
    ]
    limit = np.quantile(np.abs(np.concatenate([w.ravel() for w in weights])), 1 - DENSITY)
    return [np.abs(w) > limit for w in weights]


def power_law(
    generator: np.random.Generator, shape: tuple[int, int], exponent: float
) -> np.ndarray:
    """The k-th heaviest row has non-zeros as k to the power of -exponent; no row more than all."""
    rows, columns = shape
    weight = np.arange(1.0, rows + 1) ** -exponent
    low, high = 0.0, columns / weight[-1]
    for _ in range(60):  # the factor that gives the density, rows cut off at full
        middle = (low + high) / 2
        is_enough = np.minimum(middle * weight, columns).sum() >= DENSITY * rows * columns
        low, high = (low, middle) if is_enough else (middle, high)
    counts = np.minimum(high * weight, columns).round().astype(int)
    generator.shuffle(counts)
    return np.argsort(generator.random(shape), axis=1) < counts[:, None]


def odd_rows(generator: np.random.Generator) -> list[np.ndarray]:
    """Unstructured, with every twentieth row empty and one row full."""
    found = largest(generator, 0.0)
    for mask in found:
        mask[generator.choice(len(mask), len(mask) // 20, replace=False)] = False
        mask[7] = True
    return found
