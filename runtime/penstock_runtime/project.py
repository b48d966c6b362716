"""A project folder, read and checked: nothing of the compiler's state is needed to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import Fixed, IntArray
from penstock.ir import Graph
from penstock.ir.io import parse_graph
from penstock.ops import REGISTRY, Const
from penstock.packing.layout import Layout
from penstock.packing.manifest import Manifest, decode_matrices, sha256_of, unpack_phase
from penstock.packing.vectors import Ports

HINT = "compile the model again"


@dataclass(frozen=True)
class Project:
    """A project folder's graph, with its weights as the packed words hold them."""

    folder: Path
    graph: Graph
    manifest: Manifest

    @property
    def ports(self) -> Ports:
        """How elements lie in the beats of x, y and the state."""
        extra = self.manifest.extra
        return Ports(self.manifest.port_bits, extra["io_bits"], extra["lanes"])

    @property
    def input_type(self) -> Fixed:
        """Type of the input frame's elements."""
        return self.graph.of_kind("input")[0].tensor.type

    @property
    def inputs(self) -> int:
        """Width of the input frame."""
        return self.graph.of_kind("input")[0].tensor.length

    @property
    def output_type(self) -> Fixed:
        """Type of the result's elements."""
        return self.graph.of_kind("output")[0].tensor.type

    @property
    def outputs(self) -> int:
        """Width of one frame of the result."""
        return self.graph.of_kind("output")[0].tensor.length

    @property
    def state_layouts(self) -> dict[str, Layout]:
        """Each state's order in hardware, in the order of the state port."""
        names = self.manifest.extra["states"]
        return {name: self.layout(f"{name}_before") for name in names}

    def layout(self, node: str) -> Layout:
        """The order in hardware of a node's vector."""
        return self.manifest.layouts[self.manifest.layout_of[node]]


def load_project(folder: str | Path) -> Project:
    """Read a project. Raises PenstockError if it is none, is damaged, or was tampered with."""
    path = Path(folder)
    if not (path / "penstock.json").is_file():
        raise PenstockError(
            "this is no Penstock project", str(path), "give the folder that penstock compile wrote"
        )
    manifest = _read_manifest(path)
    contents = {}
    for name, digest in manifest.sha256.items():
        contents[name] = _read(path / name)
        if sha256_of(contents[name]) != digest:
            raise PenstockError(
                f"{name} is not the file that the compiler wrote (its sha256 differs)",
                str(path),
                HINT,
            )
    graph = parse_graph(
        contents["graph.json"].decode(), contents["graph.safetensors"], REGISTRY, str(path)
    )
    files = [contents[f"weights/group_{group}.bin"] for group in range(manifest.groups)]
    return Project(path, _with_packed_weights(graph, manifest, files, path), manifest)


def _read_manifest(folder: Path) -> Manifest:
    content = _read(folder / "weights/manifest.json")
    try:
        return Manifest.from_json(content.decode())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PenstockError(
            f"weights/manifest.json is damaged: {error}", str(folder), HINT
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PenstockError(
            f"{path.name} can't be read: {error.strerror}", str(path), HINT
        ) from error


def _with_packed_weights(
    graph: Graph, manifest: Manifest, files: list[bytes], folder: Path
) -> Graph:
    """The graph with every weight matrix and on-chip vector as the binaries hold it."""
    packed: dict[str, IntArray] = {}
    try:
        for index, phase in enumerate(manifest.phases):
            entries = unpack_phase(manifest, files, index)
            for (matvec, operand), matrix in decode_matrices(manifest, phase, entries).items():
                packed[graph[matvec].inputs[2 * operand + 1]] = matrix
    except (KeyError, ValueError, IndexError) as error:
        raise PenstockError(
            f"the packed weights are damaged: {error}", str(folder), HINT
        ) from error
    decoded = Graph(graph.name, graph.sweeps)
    for node in graph.nodes():
        op = node.op
        if isinstance(op, Const) and op.raw.ndim == 2:
            if not np.array_equal(packed.get(node.name, np.zeros(0)), op.raw):
                raise PenstockError(
                    f"the packed weights of {node.name} are not those of the graph",
                    str(folder),
                    HINT,
                )
            op = Const(op.type, packed[node.name])
        decoded.add(node.name, op, *node.inputs, sweep=node.sweep)
    return decoded
