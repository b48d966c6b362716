"""The same products on this processor: dense, sparse, and the whole step in the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from operator import matmul
from typing import Any

import numpy as np

from penstock.ir.matrix import Matrix
from penstock_runtime.bench.clock import counters, joules, median_seconds
from penstock_runtime.interpreter import Interpreter
from penstock_runtime.project import Project

DENSE, SPARSE, ENGINE = "dense", "sparse", "engine"
STEPS = 16
"""Of a run of the interpreter."""
LARGEST_BYTES = 1 << 31
"""Matrices that are larger when dense are not multiplied densely."""
Product = Callable[[], Any]


def measured(
    project: Project, matrices: list[Matrix], sequences: int, repeat: int, has_sparse: bool
) -> dict[str, dict[str, Any]]:
    """Contender -> its ``row``; has_sparse: SciPy's products, which have one thread, are wanted."""
    found = {}
    vectors = [_vectors(matrix.shape[1], sequences) for matrix in matrices]
    if 4 * sum(matrix.shape[0] * matrix.shape[1] for matrix in matrices) <= LARGEST_BYTES:
        found[DENSE] = row(_dense_products(matrices, vectors), repeat)
    if has_sparse and find_spec("scipy") is not None:
        found[SPARSE] = row(_sparse_products(matrices, vectors), repeat)
    found[ENGINE] = _engine(project, sequences, repeat)
    return found


def row(products: list[Product], repeat: int) -> dict[str, Any]:
    """seconds of each product, step_seconds of all in a row, step_joules or None."""

    def step() -> None:
        for product in products:
            product()

    return {
        "seconds": [median_seconds(product, repeat) for product in products],
        "step_seconds": median_seconds(step, repeat),
        "step_joules": joules(step, counters()),
    }


def _vectors(length: int, sequences: int) -> np.ndarray:
    generator = np.random.default_rng(1)
    shape = (length,) if sequences == 1 else (length, sequences)
    return generator.standard_normal(shape, dtype=np.float32)


def _dense_products(matrices: list[Matrix], vectors: list[np.ndarray]) -> list[Product]:
    dense = [np.asarray(matrix).astype(np.float32) for matrix in matrices]
    return [partial(matmul, *operands) for operands in zip(dense, vectors, strict=True)]


def _sparse_products(matrices: list[Matrix], vectors: list[np.ndarray]) -> list[Product]:
    csr_array = import_module("scipy.sparse").csr_array
    sparse = [
        csr_array(
            (matrix.values.astype(np.float32), matrix.columns.astype(np.int32),
             matrix.row_starts.astype(np.int32)),
            shape=matrix.shape,
        )
        for matrix in matrices
    ]  # fmt: skip
    return [partial(matmul, *operands) for operands in zip(sparse, vectors, strict=True)]


def _engine(project: Project, sequences: int, repeat: int) -> dict[str, Any]:
    """Floats in, floats out: all of a step, not its products alone."""
    interpreter = Interpreter(project)
    shape = (sequences, STEPS, project.inputs)
    x = np.random.default_rng(1).standard_normal(shape)

    def run() -> None:
        interpreter.run_quietly(x, batch_first=True)

    seconds, energy = median_seconds(run, repeat), joules(run, counters())
    return {
        "name": interpreter.engine, "seconds": None, "step_seconds": seconds / STEPS,
        "step_joules": None if energy is None else energy / STEPS,
    }  # fmt: skip
