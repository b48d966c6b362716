"""graph.json + graph.safetensors: the graph on disk, complete, in a versioned schema.

Constants stand in the safetensors file. A matrix that is mostly zero is kept as its non-zeros
(``NAME.values``, ``NAME.columns``, ``NAME.row_counts``), anything else whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from penstock.errors import PenstockError
from penstock.fixed import Fixed, IntArray
from penstock.ir.graph import Direction, Graph
from penstock.ir.op import Op, attributes

SCHEMA = 1
SPARSE_BELOW = 0.5


def narrowest(raw: IntArray) -> NDArray[Any]:
    """The same integers in the smallest signed NumPy type that holds them."""
    for width in (np.int8, np.int16, np.int32):
        if raw.size == 0 or (raw.min() >= np.iinfo(width).min and raw.max() <= np.iinfo(width).max):
            return raw.astype(width)
    return raw


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


def _pack_constant(name: str, raw: IntArray) -> dict[str, NDArray[Any]]:
    if raw.ndim != 2 or np.count_nonzero(raw) > SPARSE_BELOW * raw.size:
        return {name: np.ascontiguousarray(narrowest(raw))}
    rows, columns = np.nonzero(raw)
    column_type = np.uint16 if raw.shape[1] <= 1 << 16 else np.uint32
    return {
        f"{name}.values": narrowest(raw[rows, columns]),
        f"{name}.columns": columns.astype(column_type),
        f"{name}.row_counts": np.bincount(rows, minlength=raw.shape[0]).astype(np.uint32),
    }


def _unpack_constant(
    name: str, shape: tuple[int, ...], stored: Mapping[str, NDArray[Any]]
) -> IntArray:
    if name in stored:
        return stored[name].astype(np.int64).reshape(shape)
    raw = np.zeros(shape, dtype=np.int64)
    rows = np.repeat(np.arange(shape[0]), stored[f"{name}.row_counts"].astype(np.int64))
    raw[rows, stored[f"{name}.columns"].astype(np.int64)] = stored[f"{name}.values"]
    return raw


def parse_graph(text: str, constants: bytes, ops: Mapping[str, type[Any]], where: str) -> Graph:
    """Inverse of ``dump_graph``; ``ops`` maps kinds to classes. Every node is inferred anew.

    Raises PenstockError, naming ``where``, for another schema or a file that is not a whole graph.
    """
    hint = "compile the model again"
    try:
        fields = json.loads(text)
        if fields["schema"] != SCHEMA:
            raise PenstockError(
                f"the graph has schema {fields['schema']}, this is schema {SCHEMA}", where, hint
            )
        stored = load_safetensors(constants)
        graph = Graph(fields["name"], [Direction(s) for s in fields["sweeps"]])
        for entry in fields["nodes"]:
            op = _make_op(entry, stored, ops)
            graph.add(entry["name"], op, *entry["inputs"], sweep=entry["sweep"])
            tensor = graph[entry["name"]].tensor
            if [tensor.lo, tensor.hi] != entry["range"] or str(tensor.type) != entry["type"]:
                raise ValueError(f"{entry['name']} is not of the type that was saved")
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        RecursionError,
        SafetensorError,
    ) as error:
        raise PenstockError(f"the saved graph is damaged: {error}", where, hint) from error
    return graph


def _make_op(
    entry: dict[str, Any], stored: Mapping[str, NDArray[Any]], ops: Mapping[str, type[Any]]
) -> Op:
    fields = {
        name: Fixed.from_json(value) if isinstance(value, dict) else value
        for name, value in entry["attributes"].items()
    }
    kind = ops[entry["op"]]
    if entry["op"] == "const":
        fields["raw"] = _unpack_constant(entry["name"], tuple(entry["shape"]), stored)
    op: Op = kind(**fields)
    return op


def save_graph(graph: Graph, folder: Path) -> None:
    """Write graph.json and graph.safetensors into ``folder``."""
    text, constants = dump_graph(graph)
    (folder / "graph.json").write_text(text)
    (folder / "graph.safetensors").write_bytes(constants)


def load_graph(folder: Path, ops: Mapping[str, type[Any]]) -> Graph:
    """Read a graph saved by ``save_graph``. Raises PenstockError."""
    try:
        text = (folder / "graph.json").read_text()
        constants = (folder / "graph.safetensors").read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise PenstockError(
            f"no graph can be read: {error}", str(folder), "compile the model again"
        ) from error
    return parse_graph(text, constants, ops, str(folder))
