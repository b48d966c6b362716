"""The same products on a GPU, by torch: dense and CSR."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from operator import matmul
from typing import Any

import numpy as np

from penstock.ir.matrix import Matrix
from penstock_runtime.bench.clock import median_seconds

DENSE, SPARSE = "dense", "sparse"
POWER_SECONDS = 1.0
POWER = ("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits", "--id=0")


def measured(matrices: list[Matrix], sequences: int, repeat: int) -> dict[str, Any]:
    """``name`` of the device and a row of each contender; or ``note``, why there is none."""
    torch: Any = import_module("torch")
    if not torch.cuda.is_available():
        return {"note": "torch finds no CUDA device"}
    dense = [torch.tensor(np.asarray(matrix).astype(np.float32)).cuda() for matrix in matrices]
    sparse = [weights.to_sparse_csr() for weights in dense]
    vectors = [torch.randn(weights.shape[1], sequences, device="cuda") for weights in dense]
    with torch.no_grad():
        return {
            "name": torch.cuda.get_device_name(0),
            DENSE: _row(dense, vectors, torch.cuda.synchronize, repeat),
            SPARSE: _row(sparse, vectors, torch.cuda.synchronize, repeat),
        }


def _row(
    weights: list[Any], vectors: list[Any], wait: Callable[[], None], repeat: int
) -> dict[str, Any]:
    """As ``cpu.row``; energy is the board's mean power times the time of a step."""

    def step() -> None:
        for matrix, x in zip(weights, vectors, strict=True):
            matrix @ x

    seconds = [
        median_seconds(partial(matmul, matrix, x), repeat, wait)
        for matrix, x in zip(weights, vectors, strict=True)
    ]
    step_seconds = median_seconds(step, repeat, wait)
    watts = mean_watts(step, wait)
    energy = None if watts is None else watts * step_seconds
    return {"seconds": seconds, "step_seconds": step_seconds, "step_joules": energy}


def mean_watts(work: Callable[[], None], wait: Callable[[], None]) -> float | None:
    """Of the board while it works; None if nvidia-smi is not there or does not know."""
    if shutil.which(POWER[0]) is None:
        return None
    samples, start = [], time.perf_counter()
    while time.perf_counter() - start < POWER_SECONDS:
        with subprocess.Popen(POWER, stdout=subprocess.PIPE, text=True) as asked:
            while asked.poll() is None:
                work()
                wait()
            answer = asked.stdout.read() if asked.stdout is not None else ""
        try:
            samples.append(float(answer))
        except ValueError:
            return None
    return statistics.fmean(samples)
