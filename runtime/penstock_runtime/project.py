"""A project folder, read and checked: nothing of the compiler's state is needed to run it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import Fixed, IntArray
from penstock.formats import Layout
from penstock.ir import Graph
from penstock.ir.io import parse_graph
from penstock.ir.verify import verify
from penstock.ops import REGISTRY, Const
from penstock.packing.manifest import Manifest, decode_matrices, sha256_of, unpack_phase
from penstock.packing.vectors import PARAMETER_BITS, Ports
from penstock.project import reading
from penstock.settings import LANE_CHOICES

HINT = "compile the model again"
MANIFEST = "weights/manifest.json"
PARAMETERS = "weights/parameters.bin"
DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a file that is not as we wrote it can raise."""


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
        states = self.graph.states()
        names = self.manifest.extra["states"]
        return {name: self.layout(states[name].read.name) for name in names}

    def layout(self, node: str) -> Layout:
        """The order in hardware of a node's vector."""
        return self.manifest.layouts[self.manifest.layout_of[node]]


def load_project(folder: str | Path) -> Project:
    """Read a project. Raises PenstockError if it is none, is damaged, or was tampered with."""
    path = Path(folder)
    with reading(path):
        return _load(path)


def _load(path: Path) -> Project:
    if not (path / "penstock.json").is_file():
        raise PenstockError(
            "this is no Penstock project", str(path), "give the folder that penstock compile wrote"
        )
    with _named_damage(MANIFEST, path):
        manifest = Manifest.from_json(_read(path, MANIFEST).decode())
        groups = [f"weights/group_{group}.bin" for group in range(manifest.groups)]
        names = ("graph.json", "graph.safetensors", PARAMETERS, *groups)
        contents = {name: _read(path, name, manifest.sha256[name]) for name in names}
    with _named_damage("graph.json", path):
        graph = parse_graph(
            contents["graph.json"].decode(), contents["graph.safetensors"], REGISTRY, str(path)
        )
        verify(graph)
    with _named_damage(MANIFEST, path):
        _check_manifest(manifest, graph)
    with _named_damage("weights/", path):
        packed = _packed_matrices(graph, manifest, [contents[name] for name in groups])
        packed |= _packed_parameters(manifest, contents[PARAMETERS])
    return Project(path, _with_packed_weights(graph, packed, path), manifest)


@contextmanager
def _named_damage(name: str, folder: Path) -> Iterator[None]:
    """What reading a damaged file can raise becomes a PenstockError that names the file."""
    try:
        with np.errstate(divide="raise", invalid="raise"):
            yield
    except DAMAGE as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise PenstockError(f"{name} is damaged: {reason}", str(folder), HINT) from error


def _read(folder: Path, name: str, digest: str | None = None) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise PenstockError(f"{name} can't be read: {error.strerror}", str(folder), HINT) from error
    if digest is not None and sha256_of(content) != digest:
        raise PenstockError(
            f"{name} is not the file that the compiler wrote (its sha256 differs)",
            str(folder),
            HINT,
        )
    return content


def _check_manifest(manifest: Manifest, graph: Graph) -> None:
    """Raise ValueError unless the manifest says what a runtime needs to know of ``graph``."""
    extra = manifest.extra
    states = graph.states()
    parameters = [
        node.name
        for node in graph.of_kind("const")
        if len(node.tensor.shape) == 1 and node.name in manifest.layout_of
    ]
    longest = extra["max_steps"]
    claims = {
        "lanes": extra["lanes"] in LANE_CHOICES,
        "io_bits": extra["io_bits"] in (16, 32),
        "batch_first": isinstance(extra["batch_first"], bool),
        "max_steps": longest is None or (isinstance(longest, int) and longest >= 1),
        "states": sorted(extra["states"]) == sorted(states),
        "layouts": all(
            manifest.layouts[manifest.layout_of[node]].length == graph[node].tensor.length
            for node in (*parameters, *(state.read.name for state in states.values()))
        ),
        "parameters": sorted(manifest.parameters) == sorted(parameters),
    }
    for name, holds in claims.items():
        if not holds:
            raise ValueError(f"{name} does not fit the graph")


def _packed_matrices(graph: Graph, manifest: Manifest, files: list[bytes]) -> dict[str, IntArray]:
    """Every weight matrix as the packed words hold it."""
    packed: dict[str, IntArray] = {}
    for index, phase in enumerate(manifest.phases):
        entries = unpack_phase(manifest, files, index)
        for (matvec, operand), matrix in decode_matrices(manifest, phase, entries).items():
            packed[graph[matvec].inputs[2 * operand + 1]] = matrix
    return packed


def _packed_parameters(manifest: Manifest, content: bytes) -> dict[str, IntArray]:
    """Every on-chip vector as parameters.bin holds it."""
    ports = Ports(manifest.port_bits, PARAMETER_BITS, lanes=1)
    packed, start = {}, 0
    for name in manifest.parameters:
        layout = manifest.layouts[manifest.layout_of[name]]
        stop = start + ports.beats(layout.positions) * manifest.port_bits // 8
        packed[name] = layout.gather(
            ports.from_beats(content[start:stop], 1, layout.positions)[0, 0]
        )
        start = stop
    return packed


def _with_packed_weights(graph: Graph, packed: dict[str, IntArray], folder: Path) -> Graph:
    """The graph with every weight matrix and on-chip vector as the binaries hold it."""
    decoded = Graph(graph.name, graph.sweeps)
    for node in graph.nodes():
        op = node.op
        if isinstance(op, Const) and (op.raw.ndim == 2 or node.name in packed):
            if not np.array_equal(packed.get(node.name, np.zeros(0)), op.raw):
                raise PenstockError(
                    f"the packed weights of {node.name} are not those of the graph",
                    str(folder),
                    HINT,
                )
            op = Const(op.type, packed[node.name])
        decoded.add(node.name, op, *node.inputs, sweep=node.sweep)
    return decoded
