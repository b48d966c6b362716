"""A project folder, read and checked: nothing of the compiler's state is needed to run it.

Every file that a run or a proof trusts stands in penstock.json with its sha256, and penstock.json
with its own. Then each is decoded by a schema with bounds, and held against the others: the
manifest against the graph, the sizes of the weight files against the manifest, the packed weights
against the graph's. So damage and edits are found, and nothing is allocated on the word of a
number. Whoever forges graph, weights, manifest and digests together makes another project: nothing
here can tell it from one that was compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from penstock.errors import PenstockError, kind_of
from penstock.fixed import Fixed, IntArray
from penstock.formats import Layout
from penstock.ir import Graph
from penstock.ir.io import parse_graph
from penstock.ir.matrix import Matrix
from penstock.ir.verify import verify
from penstock.marker import read_marker
from penstock.ops import REGISTRY
from penstock.packing.manifest import Manifest, decode_matrices, sha256_of, unpack_phase
from penstock.packing.vectors import Ports, parameter_bytes, parameter_ports
from penstock.project import reading
from penstock_runtime.agreement import check_manifest

HINT = "compile the model again"
MANIFEST = "weights/manifest.json"
PARAMETERS = "weights/parameters.bin"
GRAPH, CONSTANTS = "graph.json", "graph.safetensors"
DAMAGE = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a file that is not as we wrote it can raise."""


@dataclass(frozen=True)
class Project:
    """A project folder's graph, whose weights are those that the packed words hold."""

    folder: Path
    graph: Graph
    manifest: Manifest

    @property
    def ports(self) -> Ports:
        """How elements lie in the beats of x, y and the state."""
        interface = self.manifest.interface
        return Ports(
            self.manifest.port_bits, interface.io_bits, interface.lanes, interface.interleave
        )

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
        manifest = self.manifest
        return {name: manifest.layouts[own] for name, own in manifest.interface.states.items()}

    def layout(self, node: str) -> Layout:
        """The order in hardware of a node's vector."""
        return self.manifest.layouts[self.manifest.layout_of[node]]


def load_project(folder: str | Path) -> Project:
    """Read a project. Raises PenstockError if it is none, is damaged, or was tampered with."""
    if not isinstance(folder, str | PathLike):
        raise PenstockError(
            f"{kind_of(folder)} is not the path of a project", "load_project",
            "give the folder that penstock.compile(...).write(folder) gives",
        )  # fmt: skip
    path = Path(folder)
    with reading(path):
        return _load(path)


def _load(path: Path) -> Project:
    digests = read_marker(path).files
    with _named_damage(MANIFEST, path):
        manifest = Manifest.from_json(_read(path, MANIFEST, digests))
    sizes = manifest.file_bytes()
    groups = [_read_sized(path, name, size, digests) for name, size in sizes.items()]
    graph = parse_graph(
        _read(path, GRAPH, digests), _read(path, CONSTANTS, digests), REGISTRY, str(path)
    )
    with _named_damage(GRAPH, path):
        verify(graph)
    with _named_damage(MANIFEST, path):
        check_manifest(manifest, graph)
    with _named_damage("weights/", path):
        packed: dict[str, Matrix | IntArray] = {**_packed_matrices(graph, manifest, groups)}
        size = parameter_bytes(_parameter_layouts(manifest), manifest.port_bits)
        packed |= _packed_parameters(manifest, _read_sized(path, PARAMETERS, size, digests))
    _check_packed_weights(graph, packed, path)
    return Project(path, graph, manifest)


@contextmanager
def _named_damage(name: str, folder: Path) -> Iterator[None]:
    """What reading a damaged file can raise becomes a PenstockError that names the file."""
    try:
        with np.errstate(divide="raise", invalid="raise"):
            yield
    except DAMAGE as error:
        raise PenstockError(f"{name} is damaged: {error}", str(folder), HINT) from error


def _read(folder: Path, name: str, digests: dict[str, str]) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise PenstockError(f"{name} can't be read: {error.strerror}", str(folder), HINT) from error
    if sha256_of(content) != digests.get(name):
        raise PenstockError(
            f"{name} is not the file that the compiler wrote (its sha256 differs)",
            str(folder),
            HINT,
        )
    return content


def _read_sized(folder: Path, name: str, size: int, digests: dict[str, str]) -> bytes:
    content = _read(folder, name, digests)
    if len(content) != size:
        raise PenstockError(
            f"{name} has {len(content)} bytes, but the manifest says {size}", str(folder), HINT
        )
    return content


def _packed_matrices(graph: Graph, manifest: Manifest, files: list[bytes]) -> dict[str, Matrix]:
    """Every weight matrix as the packed words hold it."""
    packed: dict[str, Matrix] = {}
    for index, phase in enumerate(manifest.phases):
        entries = unpack_phase(manifest, files, index)
        for (matvec, operand), matrix in decode_matrices(manifest, phase, entries).items():
            name = graph[matvec].inputs[2 * operand + 1]
            if name in packed and not matrix.equals(packed[name]):
                raise ValueError(f"{name} is packed with different weights")
            packed[name] = matrix
    return packed


def _parameter_layouts(manifest: Manifest) -> list[Layout]:
    return [manifest.layouts[manifest.layout_of[name]] for name in manifest.parameters]


def _packed_parameters(manifest: Manifest, content: bytes) -> dict[str, IntArray]:
    """Every on-chip vector as parameters.bin holds it."""
    ports = parameter_ports(manifest.port_bits)
    packed, start = {}, 0
    for name, layout in zip(manifest.parameters, _parameter_layouts(manifest), strict=True):
        stop = start + ports.beats(layout.positions) * manifest.port_bits // 8
        packed[name] = layout.gather(
            ports.from_beats(content[start:stop], 1, layout.positions)[0, 0]
        )
        start = stop
    return packed


def _check_packed_weights(
    graph: Graph, packed: Mapping[str, Matrix | IntArray], folder: Path
) -> None:
    """Refuse a graph unless the binaries hold all its weight matrices and on-chip vectors.

    Tables stand in the kernel alone.
    """
    for node in graph.of_kind("const"):
        own = node.tensor.constant
        is_packed = isinstance(own, Matrix) or node.name in packed
        if is_packed and not _is_same(packed.get(node.name), own):
            raise PenstockError(
                f"the packed weights of {node.name} do not match the graph", str(folder), HINT
            )


def _is_same(packed: Matrix | IntArray | None, own: Matrix | IntArray | None) -> bool:
    if isinstance(packed, Matrix) and isinstance(own, Matrix):
        return packed.equals(own)
    return packed is not None and own is not None and np.array_equal(packed, own)
