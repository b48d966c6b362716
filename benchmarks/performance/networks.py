"""One network, run by several: as a project, by torch densely and sparsely, by SciPy.

A network is a state dict of one LSTM layer, pruned, with or without projection and peepholes. All
runners take frames (sequences, steps, inputs) in float32. torch.nn.LSTM has no peepholes: it leaves
them out, and so has less to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

PES, SEED = 8, 2017
Runner = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Shape:
    """Of a layer. density: share of the weights that are not zero; projection: 0 for none."""

    inputs: int
    cells: int
    projection: int = 0
    density: float = 0.1
    has_peepholes: bool = False

    @property
    def outputs(self) -> int:
        return self.projection or self.cells


ESE = Shape(153, 1024, 512, 0.1, True)
SMALL = Shape(40, 64)


def tensors(shape: Shape) -> dict[str, np.ndarray]:
    """The state dict: random weights, pruned so that 32 PEs, or 8, have equal shares."""
    from penstock.compress import pe_balanced_mask

    generator = np.random.default_rng(SEED)
    pes = 32 if shape.cells % 32 == 0 else PES

    def matrix(rows: int, columns: int) -> np.ndarray:
        values = generator.normal(0, 0.1, (rows, columns))
        return (values * pe_balanced_mask(values, shape.density, pes)).astype(np.float32)

    def gates(columns: int) -> np.ndarray:
        return np.concatenate([matrix(shape.cells, columns) for _ in range(4)])

    found = {
        "lstm.weight_ih_l0": gates(shape.inputs),
        "lstm.weight_hh_l0": gates(shape.outputs),
        "lstm.bias_ih_l0": generator.uniform(-0.1, 0.1, 4 * shape.cells).astype(np.float32),
        "lstm.bias_hh_l0": np.zeros(4 * shape.cells, np.float32),
    }
    if shape.projection:
        found["lstm.weight_hr_l0"] = matrix(shape.projection, shape.cells)
    if shape.has_peepholes:
        for gate in "ifo":
            values = generator.uniform(-0.1, 0.1, shape.cells)
            found[f"lstm.weight_{gate}c_l0"] = values.astype(np.float32)
    return found


def project(shape: Shape, folder: Path) -> Path:
    """The network compiled in ``folder``, unless it is there."""
    from children import penstock

    path = folder / f"{shape.inputs}_{shape.cells}_{shape.projection}_{shape.density}"
    if not path.exists():
        checkpoint = path.with_suffix(".safetensors")
        save_file(tensors(shape), checkpoint)
        pes = 32 if shape.cells >= 256 else PES
        penstock("compile", str(checkpoint), "-o", str(path), "--pes", str(pes))
    return path


def frames(shape: Shape, sequences: int, steps: int) -> np.ndarray:
    """Normally distributed."""
    generator = np.random.default_rng(SEED)
    return generator.normal(0, 1, (sequences, steps, shape.inputs)).astype(np.float32)


def lstm(shape: Shape, found: dict[str, np.ndarray]) -> Any:
    """torch.nn.LSTM with these weights, dense."""
    import torch

    layer = torch.nn.LSTM(shape.inputs, shape.cells, proj_size=shape.projection, batch_first=True)
    own = {name.removeprefix("lstm."): torch.from_numpy(raw) for name, raw in found.items()}
    layer.load_state_dict({name: own[name] for name in layer.state_dict()})
    return layer.eval()


def peers(shape: Shape) -> dict[str, Runner]:
    """Name -> what runs the network."""
    import scipy.sparse
    import torch

    found = tensors(shape)
    gates = np.concatenate([found["lstm.weight_ih_l0"], found["lstm.weight_hh_l0"]], axis=1)
    matrices = [gates, *([found["lstm.weight_hr_l0"]] if shape.projection else [])]
    in_torch = [torch.from_numpy(matrix).to_sparse_csr() for matrix in matrices]
    in_scipy = [scipy.sparse.csr_matrix(matrix) for matrix in matrices]
    layer = lstm(shape, found)

    def dense(x: np.ndarray) -> Any:
        with torch.no_grad():
            return layer(torch.from_numpy(x))[0]

    def sparse(x: np.ndarray) -> Any:
        with torch.no_grad():
            return _loop(shape, found, in_torch, torch.from_numpy(x), torch)

    return {
        "torch.nn.LSTM": dense,
        "torch CSR": sparse,
        "SciPy CSR": lambda x: _loop(shape, found, in_scipy, x, np),
    }


def _loop(shape: Shape, found: Any, matrices: list[Any], x: Any, library: Any) -> Any:
    """A step after the other, values (features, sequences); ``library``: NumPy or torch."""
    cells, sequences, steps = shape.cells, x.shape[0], x.shape[1]
    as_own = (lambda raw: raw) if library is np else library.from_numpy
    bias = as_own(found["lstm.bias_ih_l0"])[:, None]
    peepholes = [
        as_own(found[f"lstm.weight_{gate}c_l0"])[:, None] if shape.has_peepholes else None
        for gate in "ifo"
    ]
    zeros, join = library.zeros, getattr(library, "cat", None) or library.concatenate
    h, c = zeros((shape.outputs, sequences)), zeros((cells, sequences))
    if library is np:
        h, c = h.astype(np.float32), c.astype(np.float32)
    results = []
    for step in range(steps):
        z = matrices[0] @ join([x[:, step].T, h]) + bias
        i, f, g, o = (z[k * cells : (k + 1) * cells] for k in range(4))
        if peepholes[0] is not None:
            i, f = i + peepholes[0] * c, f + peepholes[1] * c
        c = _sigma(f, library) * c + _sigma(i, library) * library.tanh(g)
        o = o if peepholes[2] is None else o + peepholes[2] * c
        h = _sigma(o, library) * library.tanh(c)
        h = matrices[1] @ h if len(matrices) > 1 else h
        results.append(h)
    return results


def _sigma(x: Any, library: Any) -> Any:
    if library is np:
        return np.float32(0.5) * (np.float32(1) + np.tanh(np.float32(0.5) * x))
    return library.sigmoid(x)
