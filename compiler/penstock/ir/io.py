"""graph.json + graph.safetensors: the graph on disk, complete, in a versioned schema.

Constants stand in the safetensors file. A matrix that is mostly zero is kept as its non-zeros
(``NAME.values``, ``NAME.columns``, ``NAME.row_counts``), anything else whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from penstock.errors import PenstockError
from penstock.fixed import Fixed, IntArray
from penstock.ir.graph import Graph
from penstock.ir.matrix import Matrix, narrowest
from penstock.ir.op import Op, attributes
from penstock.ir.schema import SCHEMA, NodeFields, decode_graph

SPARSE_BELOW = 0.5


def dump_graph(graph: Graph) -> tuple[str, bytes]:
    """The texts of graph.json and graph.safetensors; equal graphs give equal bytes."""
    constants: dict[str, NDArray[Any]] = {}
    nodes = []
    for node in graph.nodes():
        entry: dict[str, Any] = {
            "name": node.name, "op": node.op.kind, "sweep": node.sweep,
            "inputs": list(node.inputs), "attributes": attributes(node.op),
            "shape": list(node.tensor.shape), "type": str(node.tensor.type),
            "range": [node.tensor.lo, node.tensor.hi],
        }  # fmt: skip
        if node.tensor.constant is not None:
            constants.update(_pack_constant(node.name, node.tensor.constant))
        nodes.append(entry)
    head = {"schema": SCHEMA, "name": graph.name, "sweeps": [str(s) for s in graph.sweeps]}
    body = ",\n  ".join(json.dumps(entry) for entry in nodes)
    text = json.dumps(head)[:-1] + ',\n "nodes": [\n  ' + body + "\n ]}\n"
    return text, save_safetensors({name: constants[name] for name in sorted(constants)})


def _pack_constant(name: str, raw: IntArray | Matrix) -> dict[str, NDArray[Any]]:
    if not isinstance(raw, Matrix) or raw.count > SPARSE_BELOW * raw.size:
        return {name: np.ascontiguousarray(narrowest(np.asarray(raw)))}
    return {
        f"{name}.values": raw.values,
        f"{name}.columns": raw.columns,
        f"{name}.row_counts": raw.row_counts.astype(np.uint32),
    }


def _unpack_constant(
    name: str, shape: tuple[int, ...], stored: dict[str, NDArray[Any]]
) -> IntArray | Matrix:
    """Take a constant out of ``stored``. Nothing is allocated before its parts fit its shape."""
    if name in stored:
        whole = _integers(stored, name)
        if whole.shape != shape:
            raise ValueError(f"{name} is of shape {list(whole.shape)}, not {list(shape)}")
        return Matrix.of(whole) if whole.ndim == 2 else whole.astype(np.int64)
    values, columns, counts = (
        _integers(stored, f"{name}.{part}") for part in ("values", "columns", "row_counts")
    )
    count, in_order = len(values), _row_starts(columns, counts)
    if len(shape) != 2 or counts.shape != shape[:1] or values.ndim != 1 or not in_order:
        raise ValueError(f"the non-zeros of {name} do not lie in {list(shape)}")
    if len(columns) != count or (count and int(columns.max()) >= shape[1]):
        raise ValueError(f"the non-zeros of {name} do not lie in {list(shape)}")
    if not values.all():
        raise ValueError(f"one of the non-zeros of {name} is zero")
    return Matrix.of_rows((shape[0], shape[1]), counts, columns, values)


def _row_starts(columns: NDArray[Any], counts: NDArray[Any]) -> bool:
    """True if the counts share out all columns, and columns ascend within each row."""
    if columns.ndim != 1 or counts.ndim != 1 or int(counts.min(initial=0)) < 0:
        return False
    ends = np.cumsum(counts, dtype=np.int64)
    if len(ends) == 0 or int(ends[-1]) != len(columns):
        return False
    rises = np.diff(columns.astype(np.int64)) > 0
    is_start = np.zeros(len(columns) + 1, dtype=bool)
    is_start[ends] = True
    return bool((rises | is_start[1:-1]).all()) if len(columns) else True


def _integers(stored: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """Take one array of integers; each is for one constant."""
    if name not in stored:
        raise ValueError(f"{name} is not in graph.safetensors")
    array = stored.pop(name)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} is of type {array.dtype}, not integers")
    return array


def parse_graph(
    text: bytes | str, constants: bytes, ops: Mapping[str, type[Any]], where: str
) -> Graph:
    """Inverse of ``dump_graph``; ``ops`` maps kinds to classes. Every node is inferred anew.

    Shapes are bounded, and held against what ``constants`` holds, before anything is allocated.
    Raises PenstockError, naming ``where``, for another schema or a file that is not a whole graph.
    """
    try:
        fields = decode_graph(text)
        stored = load_safetensors(constants)
        graph = Graph(fields.name, list(fields.sweeps))
        for entry in fields.nodes:
            graph.add(entry.name, _make_op(entry, stored, ops), *entry.inputs, sweep=entry.sweep)
            tensor = graph[entry.name].tensor
            as_saved = (tensor.lo, tensor.hi) == entry.range and str(tensor.type) == entry.type
            if not as_saved or tensor.shape != entry.shape:
                raise ValueError(f"{entry.name} is not of the type that was saved")
        if stored:
            raise ValueError(f"graph.safetensors holds {min(stored)}, which belongs to no constant")
    except (ArithmeticError, LookupError, TypeError, ValueError, SafetensorError) as error:
        raise PenstockError(
            f"the saved graph is damaged: {error}", where, "compile the model again"
        ) from error
    return graph


def _make_op(
    entry: NodeFields, stored: dict[str, NDArray[Any]], ops: Mapping[str, type[Any]]
) -> Op:
    if entry.op not in ops:
        raise ValueError(f"{entry.name}: there is no operation {entry.op!r}")
    given = msgspec.to_builtins(entry.attributes)
    if entry.op == "const":
        raw = _unpack_constant(entry.name, entry.shape, stored)
        op = ops[entry.op](msgspec.convert(given.get("type"), Fixed), raw)
    else:
        op = msgspec.convert(given, ops[entry.op])
    if attributes(op) != given:
        raise ValueError(f"{entry.name}: {entry.op} has other attributes")
    made: Op = op
    return made


def save_graph(graph: Graph, folder: Path) -> None:
    """Write graph.json and graph.safetensors into ``folder``."""
    text, constants = dump_graph(graph)
    (folder / "graph.json").write_text(text)
    (folder / "graph.safetensors").write_bytes(constants)


def load_graph(folder: Path, ops: Mapping[str, type[Any]]) -> Graph:
    """Read a graph saved by ``save_graph``. Raises PenstockError."""
    try:
        text = (folder / "graph.json").read_bytes()
        constants = (folder / "graph.safetensors").read_bytes()
    except OSError as error:
        raise PenstockError(
            f"the graph can't be read: {error}", str(folder), "compile the model again"
        ) from error
    return parse_graph(text, constants, ops, str(folder))
