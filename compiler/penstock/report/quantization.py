"""What quantization changed: dequantized weights against the float ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock.fidelity.errors import Histogram
from penstock.fixed import FloatArray, IntArray
from penstock.ir import Graph, Node
from penstock.ir.matrix import Matrix, blocks
from penstock.layers.build import exponents_of, parts_of
from penstock.report.error import histogram_row


def quantization_section(
    graph: Graph, float_weights: Mapping[str, FloatArray]
) -> list[dict[str, Any]]:
    """One row for each weight matrix of the graph; a matrix of several sources has several."""
    rows, exponents = [], exponents_of(graph)
    for name, values in float_weights.items():
        start = 0
        for node in parts_of(graph, name):
            stop = start + node.tensor.shape[1]
            once = np.zeros(len(values), dtype=np.int64)
            error = _error(node, values[:, start:stop], exponents.get(node.name, once))
            rows.append({"of": name, "columns": [start, stop], **error})
            start = stop
    return rows


def _error(node: Node, values: FloatArray, exponents: IntArray) -> dict[str, Any]:
    """exponents: (rows); row r is stored 2**exponents[r] times as great as it is."""
    raw, dtype = node.tensor.constant, node.tensor.type
    assert isinstance(raw, Matrix)
    squares, max_abs_error, histogram = np.empty(raw.shape), 0.0, Histogram(dtype)
    for rows in blocks(raw.shape):
        real = np.ldexp(dtype.to_float(raw.dense(rows)), -exponents[rows, None])
        error = real - values[rows]
        max_abs_error = max(max_abs_error, float(np.abs(error).max()))
        squares[rows] = error**2
        is_there = values[rows] != 0
        of_rows = np.repeat(exponents[rows], np.count_nonzero(is_there, axis=1))
        histogram.add(np.ldexp(values[rows][is_there], of_rows))
    noise = float(np.mean(squares))
    signal = float(np.mean(np.square(values, out=squares, dtype=np.float64)))
    return {
        "name": node.name, "shape": list(node.tensor.shape), "type": str(dtype), "step": dtype.step,
        "peak": max(abs(float(values.max())), abs(float(values.min()))),
        "max_abs_error": max_abs_error,
        "rms_error": noise**0.5,
        "snr_db": 10.0 * float(np.log10(signal / noise)) if signal > 0 and noise > 0 else None,
        "float_nonzeros": int(np.count_nonzero(values)),
        "nonzeros": raw.count, "histogram": histogram_row(histogram),
    }  # fmt: skip
