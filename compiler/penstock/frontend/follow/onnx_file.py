"""An .onnx file -> its graph, with every tensor read and checked. Nothing is computed here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from penstock.errors import PenstockError, UnreadableError

OLDEST_OPSET = 7
MOST_NODES = 100_000
AGAIN = "was it cut short? export it again"
LOOPS = ("Loop", "Scan", "If")
"""Operations with a graph inside."""


@dataclass(frozen=True)
class Input:
    """An input of the graph. shape: None for a dimension that is free; kind: f, i or b."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Node:
    """An operation: names of values, and attributes as plain Python values and arrays."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: Any = field(repr=False)

    @property
    def title(self) -> str:
        """What errors call it."""
        return f"node {self.name!r} ({self.op})" if self.name else f"a node of type {self.op}"

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes[attribute]

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute, or what it is if the node does not give it."""
        return self.attributes.get(attribute, default)


@dataclass(frozen=True)
class OnnxGraph:
    """What an output needs, in the order in which it can be computed."""

    where: str
    opset: int
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]] = field(repr=False)
    proto: Any = field(repr=False)


def read_onnx(path: Path) -> OnnxGraph:
    """The graph of a file. Raises PenstockError for a missing or damaged one, and for odd ones."""
    where = str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"the model can't be read: {error.strerror}", where, "check the path"
        ) from error
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # protobuf raises errors of its own
        raise UnreadableError("not a complete ONNX file", where, AGAIN) from error
    try:
        return _Reading(path, model).graph()
    except (ValueError, TypeError, KeyError, OverflowError, UnicodeError) as error:
        raise UnreadableError(
            f"not a valid ONNX file: {_first_line(error)}", where, AGAIN
        ) from error


@dataclass
class _Reading:
    path: Path
    model: Any

    def graph(self) -> OnnxGraph:
        proto = self.model.graph
        if not proto.node:
            self._refuse("the file holds no operations", "is it an ONNX model?")
        if len(proto.node) > MOST_NODES:
            self._refuse(f"the graph has {len(proto.node)} nodes", "is it a model of this kind?")
        if proto.sparse_initializer:
            self._refuse("a weight is stored as a sparse tensor", "store dense tensors of zeros")
        opset = self._opset()
        constants = {tensor.name: self.tensor(tensor) for tensor in proto.initializer}
        inputs = [self._input(one) for one in proto.input if one.name not in constants]
        nodes = self._needed(proto)
        self._check_order(nodes, {one.name for one in inputs} | constants.keys())
        outputs = tuple(one.name for one in proto.output)
        found = tuple(self._node(node) for node in nodes)
        return OnnxGraph(
            str(self.path), opset, tuple(inputs), outputs, found, constants, self.model
        )

    def _refuse(self, what: str, hint: str) -> None:
        raise PenstockError(what, str(self.path), hint)

    def _opset(self) -> int:
        versions = {one.domain: one.version for one in self.model.opset_import}
        opset = versions.get("", versions.get("ai.onnx", 0))
        newest = onnx.defs.onnx_opset_version()
        if not OLDEST_OPSET <= opset <= newest:
            self._refuse(f"the model is written for opset {opset}",
                         f"export it for an opset of {OLDEST_OPSET} to {newest}")  # fmt: skip
        return int(opset)

    def _input(self, value: Any) -> Input:
        tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
            self._refuse(f"input {value.name!r} has no shape", "export it with the inputs' shapes")
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        shape = tuple(one.dim_value if one.HasField("dim_value") and one.dim_value > 0 else None
                      for one in tensor.shape.dim)  # fmt: skip
        return Input(value.name, shape, dtype)

    def _needed(self, proto: Any) -> list[Any]:
        """The nodes that an output depends on."""
        wanted = {one.name for one in proto.output}
        kept = []
        for node in reversed(proto.node):
            if wanted & set(node.output):
                kept.append(node)
                wanted |= set(node.input)
        return kept[::-1]

    def _check_order(self, nodes: list[Any], known: set[str]) -> None:
        """Every value is given once, before it is read: so no graph is cyclic."""
        known = known | {""}
        for node in nodes:
            for name in node.input:
                if name not in known:
                    self._refuse(
                        f"node {node.name!r} ({node.op_type}) reads {name!r}, which nothing before "
                        "it gives", "is the graph whole, and in an order that can be computed?"
                    )  # fmt: skip
            for name in filter(None, node.output):
                if name in known:
                    self._refuse(f"two nodes give {name!r}", "export the model again")
                known.add(name)
        for one in self.model.graph.output:
            if one.name not in known:
                self._refuse(f"nothing gives the output {one.name!r}", "export the model again")

    def _node(self, node: Any) -> Node:
        if node.domain not in ("", "ai.onnx"):
            self._refuse(
                f"node {node.name!r} is {node.op_type} of {node.domain!r}, which is not ONNX's own",
                "export the model with standard operations",
            )
        if node.op_type in LOOPS:
            self._refuse(
                f"node {node.name!r} ({node.op_type}) can't be compiled: what is inside it, such "
                "as the LSTM of QONNX or Brevitas or the GRU of Keras 3, is not followed",
                "export an LSTM, GRU or RNN node, or compile the weights as a state dict",
            )
        attributes = {one.name: self._attribute(node, one) for one in node.attribute}
        return Node(node.name, node.op_type, tuple(node.input), tuple(node.output), attributes,
                    node)  # fmt: skip

    def _attribute(self, node: Any, attribute: Any) -> Any:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, TensorProto):
            return self.tensor(value)
        if isinstance(value, int | float):
            return value
        if isinstance(value, list | tuple) or type(value).__name__.startswith("Repeated"):
            parts = list(value)
            if all(isinstance(part, int | float | bytes) for part in parts):
                return [part.decode() if isinstance(part, bytes) else part for part in parts]
        self._refuse(
            f"node {node.name!r} ({node.op_type}) has an attribute {attribute.name!r} of a kind "
            "that is not followed", "export the model with standard operations",
        )  # fmt: skip
        raise AssertionError

    # -- tensors ----------------------------------------------------------------------------------

    def tensor(self, tensor: Any) -> NDArray[Any]:
        """The array of a tensor; sizes are held against what the file holds before all else."""
        title = f"tensor {tensor.name!r}"
        shape = tuple(tensor.dims)
        if any(size < 0 for size in shape):
            self._refuse(f"{title} has the shape {list(shape)}", AGAIN)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if tensor.data_type == TensorProto.STRING or np.dtype(dtype).kind == "c":
            self._refuse(f"{title} holds no real numbers", "export it as float32")
        if tensor.data_location == TensorProto.EXTERNAL:
            values = self._external(tensor, title, math.prod(shape), np.dtype(dtype))
        else:
            values = self._inside(tensor, title, math.prod(shape), np.dtype(dtype))
        if values.dtype.kind not in "fiub":  # bfloat16 and its like
            values = values.astype(np.float32)
        return values.reshape(shape)

    def _inside(self, tensor: Any, title: str, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
        held = sum(len(getattr(tensor, name)) for name in fields) * 2
        if tensor.HasField("raw_data"):
            held = len(tensor.raw_data) * 8
        if count > held:  # even elements of one bit
            self._refuse(f"{title} says {count} elements, and holds fewer", AGAIN)
        return np.array(numpy_helper.to_array(tensor))

    def _external(self, tensor: Any, title: str, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Of a file beside the model: never of one elsewhere."""
        entries = {one.key: one.value for one in tensor.external_data}
        location = entries.get("location", "")
        parts = PurePosixPath(location)
        folder = self.path.parent.resolve()
        file = (folder / parts).resolve()
        is_beside = location and not parts.is_absolute() and folder in file.parents
        if not is_beside or "\\" in location:
            self._refuse(f"{title} lies in {location!r}, which is not beside the model",
                         "store the weights in the model's folder")  # fmt: skip
        offset, length = int(entries.get("offset", 0)), count * dtype.itemsize
        size = file.stat().st_size if file.is_file() else -1
        if int(entries.get("length", length)) != length or not 0 <= offset <= size - length:
            self._refuse(
                f"{title} needs {length} bytes of {location!r} from {offset} on, which has "
                + (f"{size}" if size >= 0 else "not been found"),
                "put the file of weights beside the model",
            )
        return np.fromfile(file, dtype, count, offset=offset)


def _first_line(fault: Exception) -> str:
    text = str(fault).strip() or type(fault).__name__
    return text.splitlines()[0][:200]
