"""Seeded damage to saved programs: the fields of an ONNX model, and the archive of torch.export."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import mutate
import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

INTEGERS = (0, 1, 2, 3, -1, -2, 7, 16, 255, 2**20, 10**9, 2**31 - 1, 2**31, -(2**31), 2**40,
            2**62, 2**63 - 1, -(2**63))  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, 1e-300, 3e38, 1e300, float("nan"), float("inf"),
          float("-inf"))  # fmt: skip
TEXTS = ("", "x", "Y", "W", "..", "../../x", "/etc/passwd", "\x00", "é", "{}", "a" * 3000, "Tanh",
         "Sigmoid", "Relu", "Elu", "forward", "reverse", "bidirectional", "m.onnx", "ai.onnx",
         "If", "Loop", "Scan", "Conv", "LSTM", "GRU", "RNN", "Gather", "Softmax", "Expand", "Tile",
         "Slice", "Transpose", "Concat", "Max", "MatMul", "Sub", "Pad", "Split")  # fmt: skip
OPS = ("Relu", "Sigmoid", "Neg", "Identity", "Exp", "Softmax", "ReduceMax", "Flatten", "Shape",
       "Squeeze", "Transpose", "LSTM", "Dropout", "Size", "NonZero", "Cast", "ArgMax")  # fmt: skip
DIMS = ([0], [-1], [2**31], [2**40, 2**40], [10**9, 4], [2**62, 4], [1] * 70, [], [1, 16, 3, 1])
PLACES = ("/etc/passwd", "../../x", "..", "", ".", "m.onnx", "nothing.bin", "/dev/zero", "a\\b",
          "./m.onnx", "m.onnx/x", "\x00")  # fmt: skip
DEPTHS = (1, 3, 60, 400)


def of_onnx(rng: random.Random, content: bytes) -> bytes:
    """The fields of a model, or its bytes."""
    if rng.random() < 0.25:
        return mutate.of_bytes(rng, content)
    model = onnx.load_from_string(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                rng.choice((_field, _field, _field, *CHANGES))(rng, model)
            except (IndexError, ValueError, TypeError, OverflowError, DecodeError):
                continue  # this model can't be changed so
    return bytes(model.SerializeToString())


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if _is_repeated(field) else [value]:
                yield from _messages(part)


def _is_repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _field(rng: random.Random, model: Any) -> None:
    """Any field of any message: another value, none, or twice."""
    message = rng.choice(list(_messages(model)))
    field, value = rng.choice(message.ListFields())
    draw = rng.random()
    if draw < 0.15:
        message.ClearField(field.name)
    elif _is_repeated(field):
        _of_repeated(rng, field, value)
    elif field.type != FieldDescriptor.TYPE_MESSAGE:
        setattr(message, field.name, _other(rng, field, value))


def _of_repeated(rng: random.Random, field: Any, values: Any) -> None:
    index, draw = rng.randrange(len(values)), rng.random()
    if draw < 0.25:
        del values[index]
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        other = rng.randrange(len(values))
        if draw < 0.6:
            values.add().CopyFrom(values[index])
        else:
            values[index].CopyFrom(values[other])
    elif draw < 0.5:
        values.insert(index, values[index])
    else:
        values[index] = _other(rng, field, values[index])


def _other(rng: random.Random, field: Any, value: Any) -> Any:
    if isinstance(value, bytes):
        return mutate.of_bytes(rng, value) if value else b"x"
    if isinstance(value, str):
        return rng.choice(TEXTS)
    if isinstance(value, float):
        return rng.choice(FLOATS)
    return rng.choice((*INTEGERS, value + 1, value - 1))


def _shape_of_tensor(rng: random.Random, model: Any) -> None:
    rng.choice(model.graph.initializer).dims[:] = rng.choice(DIMS)


def _shape_of_input(rng: random.Random, model: Any) -> None:
    sizes = rng.choice((*model.graph.input, *model.graph.output)).type.tensor_type.shape.dim
    rng.choice(sizes).dim_value = rng.choice(INTEGERS)


def _kind_of_tensor(rng: random.Random, model: Any) -> None:
    rng.choice(model.graph.initializer).data_type = rng.randrange(25)


def _strings(rng: random.Random, model: Any) -> None:
    tensor = rng.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_type = TensorProto.STRING
    tensor.string_data.extend([b"\xff"] * rng.choice((0, 3, 1000)))


def _elsewhere(rng: random.Random, model: Any) -> None:
    """A weight that lies in another file."""
    tensor = rng.choice(model.graph.initializer)
    if rng.random() < 0.7:
        tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": rng.choice(PLACES)}
    for name in ("offset", "length"):
        if rng.random() < 0.5:
            entries[name] = rng.choice((*map(str, INTEGERS), "x", "", "9" * 5000))
    for name, text in entries.items():
        tensor.external_data.add(key=name, value=text)


def _without(rng: random.Random, model: Any) -> None:
    del model.graph.initializer[rng.randrange(len(model.graph.initializer))]


def _twice(rng: random.Random, model: Any) -> None:
    one, other = rng.choices(model.graph.initializer, k=2)
    model.graph.initializer.add().CopyFrom(one)
    model.graph.initializer[-1].name = other.name


def _sparse(rng: random.Random, model: Any) -> None:
    tensor = model.graph.sparse_initializer.add()
    tensor.dims[:] = rng.choice(DIMS)
    tensor.values.CopyFrom(rng.choice(model.graph.initializer))
    if rng.random() < 0.5:
        model.graph.initializer.remove(rng.choice(model.graph.initializer))


def _wire(rng: random.Random, model: Any) -> None:
    """A node reads, or gives, another's value: cycles, and values that are given twice."""
    nodes = model.graph.node
    values = [name for node in nodes for name in (*node.input, *node.output)]
    node = rng.choice(nodes)
    names = rng.choice((node.input, node.input, node.output))
    names[rng.randrange(len(names))] = rng.choice(values)


def _order(rng: random.Random, model: Any) -> None:
    nodes = list(model.graph.node)
    rng.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _op(rng: random.Random, model: Any) -> None:
    rng.choice(model.graph.node).op_type = rng.choice((*OPS, *TEXTS))


def _attribute(rng: random.Random, model: Any) -> None:
    """Of any name that a node may know, of any kind."""
    names = ("axis", "axes", "perm", "shape", "to", "hidden_size", "direction", "activations",
             "clip", "layout", "linear_before_reset", "input_forget", "pads", "value", "mode",
             "keepdims", "alpha", "transA", "transB", "allowzero", "activation_alpha")  # fmt: skip
    values: tuple[Any, ...] = (*INTEGERS, *FLOATS, *TEXTS, [1, 0, 2], [2**40], [-1], ["Tanh"] * 3,
                               [0.5], [2**31] * 9, np.zeros((2, 2)))  # fmt: skip
    value = rng.choice(values)
    if isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value.astype(np.float32))
    rng.choice(model.graph.node).attribute.append(
        helper.make_attribute(rng.choice(names), value)
    )  # fmt: skip


def _grown(rng: random.Random, model: Any) -> None:
    """A node between two, that repeats, fills or cuts by a constant."""
    node = rng.choice(model.graph.node)
    index = rng.randrange(len(node.input))
    counts = rng.choice(([1, 1, 1], [2**31] * 3, [10**6, 10**6, 1], [1, 1, 10**9], [0, 1, 1], [-1],
                         [2] * 3, [], [1, 1, 2**62], [1] * 40, [5], [1, 5, 1]))  # fmt: skip
    name, source = f"grown_{rng.randrange(10**6)}", node.input[index]
    model.graph.initializer.append(numpy_helper.from_array(np.array(counts, np.int64), f"{name}_n"))
    op = rng.choice(("Expand", "Tile", "Reshape", "ConstantOfShape", "Pad", "Unsqueeze", "Squeeze",
                     "Gather", "Slice", "Concat"))  # fmt: skip
    read = {
        "ConstantOfShape": [f"{name}_n"],
        "Slice": [source, f"{name}_n", f"{name}_n"],
        "Concat": [source] * rng.choice((2, 3, 2000)),
    }.get(op, [source, f"{name}_n"])
    attributes = {"axis": rng.choice((0, 1, 2, -1, 9))} if op == "Concat" else {}
    place = list(model.graph.node).index(node)
    model.graph.node.insert(place, helper.make_node(op, read, [name], **attributes))
    model.graph.node[place + 1].input[index] = name


def _doubled(rng: random.Random, model: Any) -> None:
    """A value that is added to itself, or put behind itself, again and again."""
    node, last = rng.choice(model.graph.node), ""
    source = last = rng.choice([*node.input])
    place = list(model.graph.node).index(node)
    op, count = rng.choice(("Concat", "Add", "Mul", "MatMul")), rng.choice((2, 8, 40, 300))
    for step in range(count):
        name = f"{source}_{step}"
        attributes = {"axis": rng.choice((0, -1))} if op == "Concat" else {}
        one = helper.make_node(op, [last, last], [name], **attributes)
        model.graph.node.insert(place + step, one)
        last = name
    reader = model.graph.node[place + count]
    reader.input[list(reader.input).index(source)] = last


def _nested(rng: random.Random, model: Any) -> None:
    """A graph in a graph in a graph, in a node that is read or in one that is not."""
    op = rng.choice(("If", "Loop", "Scan", "Relu"))
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["o"])], "g", [], [])
    for _ in range(rng.choice(DEPTHS)):
        node = helper.make_node(op, ["x"], ["o"])
        node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.CopyFrom(inner)
        outer = onnx.GraphProto(name="g")
        outer.node.append(node)
        inner = outer
    chosen = rng.choice(model.graph.node)
    attribute = chosen.attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.CopyFrom(inner)
    if rng.random() < 0.5:
        chosen.op_type = op


def _more_inputs(rng: random.Random, model: Any) -> None:
    one = rng.choice(model.graph.input)
    model.graph.input.add().CopyFrom(one)
    model.graph.input[-1].name = rng.choice((one.name, "another", model.graph.output[0].name, ""))


def _opset(rng: random.Random, model: Any) -> None:
    entry = model.opset_import.add()
    entry.domain = rng.choice(("", "ai.onnx", "com.microsoft", "x"))
    entry.version = rng.choice(INTEGERS)


def _local(rng: random.Random, model: Any) -> None:
    """A function of the model's own under the name of an operation."""
    function = model.functions.add(name=rng.choice(model.graph.node).op_type, domain="")
    function.input.append("a")
    function.output.append("b")
    function.node.append(helper.make_node("Neg", ["a"], ["b"]))


CHANGES: tuple[Callable[[random.Random, Any], None], ...] = (
    _shape_of_tensor, _shape_of_input, _kind_of_tensor, _strings, _elsewhere, _without, _twice,
    _sparse, _wire, _wire, _order, _op, _op, _attribute, _attribute, _grown, _grown, _doubled,
    _nested, _more_inputs, _opset, _local,
)  # fmt: skip

ZIP_NAMES = ("../../x", "/etc/passwd", "m/../../x", "C:\\x", "m/models/model.json", "", "a" * 3000,
             "m/data/weights/../../x", "m/\x01", "m/archive_format")  # fmt: skip
BOMB = 2**26


def of_pt2(rng: random.Random, content: bytes) -> bytes:
    """A member of the archive, the archive's own entries, or its bytes."""
    draw = rng.random()
    if draw < 0.2:
        return mutate.of_bytes(rng, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    packing = rng.choice((0, 0, 0, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    if draw < 0.8:
        program = [name for name in members if name.endswith("models/model.json")]
        chosen = rng.choice((*sorted(members), *program * 8))
        is_text = chosen.endswith(".json")
        members[chosen] = (mutate.of_json_text if is_text else mutate.of_bytes)(
            rng, members[chosen]
        )
        packing = 0
    else:
        _of_members(rng, members)
    more = [rng.choice(sorted(members))] if members and draw > 0.95 else []
    damaged = _archive(members, packing, more)
    return _claimed(rng, damaged) if 0.9 < draw < 0.95 else damaged


def _of_members(rng: random.Random, members: dict[str, bytes]) -> None:
    name, other = rng.choice(sorted(members)), rng.choice(sorted(members))
    match rng.randrange(5):
        case 0:
            del members[name]
        case 1:
            members[rng.choice(ZIP_NAMES)] = members.pop(name)
        case 2:
            members[name], members[other] = members[other], members[name]
        case 3:
            members[rng.choice((name, *ZIP_NAMES))] = bytes(BOMB)
        case 4:
            members[name] = b""


def _archive(members: dict[str, bytes], packing: int, twice: list[str]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", packing) as archive:
        warnings.simplefilter("ignore")
        for name, member in (*members.items(), *((one, members[one]) for one in twice)):
            archive.writestr(name or "m/x", member, None if len(member) < BOMB else 8)
    return buffer.getvalue()


def _claimed(rng: random.Random, content: bytes) -> bytes:
    """An entry of the directory that claims another size, packing, or encryption."""
    spoiled, start = bytearray(content), content.find(b"PK\x01\x02")
    field, size = rng.choice(((8, 2), (10, 2), (20, 4), (24, 4), (42, 4)))
    value = rng.choice((0, 1, 8, 12, 99, 2**16 - 1, 2**31, 2**32 - 1)) % (1 << 8 * size)
    spoiled[start + field : start + field + size] = value.to_bytes(size, "little")
    return bytes(spoiled)
