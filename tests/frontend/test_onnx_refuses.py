"""ONNX files that are refused with their whole line; damaged and hostile ones in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import onnx
import pytest
from frontend.onnx_models import FREE, cell_node, model_of, saved, weights_of
from onnx import TensorProto, helper

import penstock
from penstock import HeadOptions, PenstockError
from penstock.frontend import from_onnx

INPUTS, CELLS = 3, 4
LSTM, GRU, RNN = (weights_of(op, INPUTS, CELLS) for op in ("LSTM", "GRU", "RNN"))
X = {"x": (*FREE, INPUTS)}
LEAVE = "run this part on the host, or compile the layers around it"
VALID = "is the model valid?"
TRAINED = "train it with these activations, or run this layer on the host"
PROJECTION = (
    "torch's exporter writes an LSTM with proj_size so, without the projection and with cut weights"
)
MODULE = "compile the torch module (penstock.compile(module)) or its state dict"
NO_UNROLLING = (
    "export it so that LSTM, GRU or RNN stays one node (torch: nn.LSTM and nn.GRU, or dynamo=False "
    "for nn.RNN; Keras: tf2onnx), or compile the torch module or its state dict"
)
NO_LOOP = "export an LSTM, GRU or RNN node, or compile the weights as a state dict"
MOST = 64 * 2**20
"""Bytes that reading a small hostile file may take."""


def refused(path):
    with pytest.raises(PenstockError) as error:
        from_onnx(path)
    line = error.value.line()
    assert "\n" not in line
    return line.replace(str(path), "m.onnx")


def after(*nodes, output="y"):
    return [cell_node("LSTM", LSTM), *nodes], X, [output], LSTM


def op(kind, inputs="Y", **attributes):
    return helper.make_node(kind, inputs.split(), ["y"], "n", **attributes)


def cell(kind, weights, given=(), inputs=X, constants=None, **attributes):
    node = cell_node(kind, weights, given, **attributes)
    return [node], inputs, ["Y"], weights | (constants or {})


def activated(kind, weights, *names):
    return cell(kind, weights, activations=list(names))


def looped(kind):
    body = helper.make_graph([], "body", [], [])
    return [helper.make_node(kind, ["x"], ["y"], "n", body=body)], X, ["y"], {}


def unrolled():
    nodes = [
        helper.make_node("Gather", ["x", "t0"], ["x0"], "a", axis=0),
        helper.make_node("MatMul", ["x0", "U"], ["h0"], "b"),
    ]
    for k in range(1, 4):
        nodes += [
            helper.make_node("Gather", ["x", f"t{k}"], [f"x{k}"], f"x{k}", axis=0),
            helper.make_node("MatMul", [f"x{k}", "U"], [f"u{k}"], f"u{k}"),
            helper.make_node("MatMul", [f"h{k - 1}", "W"], [f"w{k}"], f"w{k}"),
            helper.make_node("Add", [f"u{k}", f"w{k}"], [f"s{k}"], f"s{k}"),
            helper.make_node("Tanh", [f"s{k}"], [f"h{k}"], f"h{k}"),
        ]
    constants = {f"t{k}": np.int64(k) for k in range(4)}
    constants |= {"U": np.ones((INPUTS, CELLS), "f"), "W": np.ones((CELLS, CELLS), "f")}
    return nodes, {"x": (4, "lanes", INPUTS)}, ["h3"], constants


PROJECTED = {"W": LSTM["W"], "R": LSTM["R"], "initial_c": np.zeros((1, 1, 8), "f")}
REFUSED = {
    "HardSigmoid as an LSTM's gates": (
        activated("LSTM", LSTM, "HardSigmoid", "Tanh", "Tanh"),
        "node 'cell' (LSTM) can't be compiled: an activation is 'Hardsigmoid'; supported are "
        f"Sigmoid, Tanh/Sigmoid, Tanh (m.onnx); hint: {TRAINED}",
    ),
    "Relu as an LSTM's output": (
        activated("LSTM", LSTM, "Sigmoid", "Tanh", "Relu"),
        "node 'cell' (LSTM) can't be compiled: an activation is 'Relu'; supported are "
        f"Sigmoid, Tanh/Sigmoid, Tanh (m.onnx); hint: {TRAINED}",
    ),
    "Softsign in a GRU": (
        activated("GRU", GRU, "Sigmoid", "Softsign"),
        "node 'cell' (GRU) can't be compiled: an activation is 'Softsign'; supported are "
        f"Sigmoid, Tanh (m.onnx); hint: {TRAINED}",
    ),
    "Affine in an RNN": (
        activated("RNN", RNN, "Affine"),
        "node 'cell' (RNN) can't be compiled: an activation is 'Affine'; supported are "
        f"Tanh/Relu (m.onnx); hint: {TRAINED}",
    ),
    "too few activations": (
        activated("LSTM", LSTM, "Sigmoid"),
        "node 'cell' (LSTM) can't be compiled: it has 1 activations, not 3 (m.onnx); hint: "
        f"{VALID}",
    ),
    "an unknown direction": (
        cell("LSTM", LSTM, direction="sideways"),
        "node 'cell' (LSTM) can't be compiled: its direction is 'sideways' (m.onnx); hint: one of "
        "forward, reverse, bidirectional",
    ),
    "a negative clip": (
        cell("LSTM", LSTM, clip=-1.0),
        f"node 'cell' (LSTM) can't be compiled: its clip is -1 (m.onnx); hint: {VALID}",
    ),
    "lengths that are part of the model": (
        cell("LSTM", LSTM, ["sequence_lens"], constants={"sequence_lens": np.int32([2, 1])}),
        "node 'cell' (LSTM) can't be compiled: its sequence_lens are part of the model (m.onnx); "
        "hint: make them an input of the graph: they are given to run",
    ),
    "a state that is part of the model": (
        cell("LSTM", LSTM, ["initial_h"], {"x": (7, 2, INPUTS)},
             {"initial_h": np.ones((1, 2, CELLS), "f")}),
        "node 'cell' (LSTM) can't be compiled: its initial_h is part of the model, and not zero "
        "(m.onnx); hint: make initial_h an input of the graph, and give its values with --state",
    ),
    "a projection cut off by torch's exporter": (
        ([cell_node("LSTM", PROJECTED, ["initial_c"])], X, ["Y"], PROJECTED),
        "node 'cell' (LSTM) can't be compiled: its hidden_size is 4, but its initial cell state "
        f"has 8 elements: {PROJECTION} (m.onnx); hint: {MODULE}",
    ),
    "a hidden size that is not R's": (
        cell("LSTM", LSTM, hidden_size=3),
        "node 'cell' (LSTM) can't be compiled: its R is 16 x 4, not 12 x 3: "
        f"{PROJECTION} (m.onnx); hint: {MODULE}",
    ),
    "weights of another width": (
        cell("GRU", GRU, inputs={"x": (*FREE, 5)}),
        "node 'cell' (GRU) can't be compiled: its W has the shape [1, 12, 3], not [1, 12, 5] "
        f"(m.onnx); hint: {VALID}",
    ),
    "a Loop": (
        looped("Loop"),
        "node 'n' (Loop) can't be compiled: what is inside it, such as the LSTM of QONNX or "
        f"Brevitas or the GRU of Keras 3, is not followed (m.onnx); hint: {NO_LOOP}",
    ),
    "a Scan": (
        looped("Scan"),
        "node 'n' (Scan) can't be compiled: what is inside it, such as the LSTM of QONNX or "
        f"Brevitas or the GRU of Keras 3, is not followed (m.onnx); hint: {NO_LOOP}",
    ),
    "an unrolled recurrence": (
        unrolled(),
        "node 's1' (Add) can't be compiled: the recurrence is unrolled into single operations, a "
        "copy of the cell for each step (3 matrix products, one behind the other) (m.onnx); hint: "
        f"{NO_UNROLLING}",
    ),
    "an operation without a layer": (
        after(op("Erf")),
        f"node 'n' (Erf) can't be compiled: there is no layer for it (m.onnx); hint: {LEAVE}",
    ),
    "a convolution": (
        after(op("Conv", "Y R")),
        "node 'n' (Conv) can't be compiled: a convolution over several steps has no layer here "
        "(m.onnx); hint: "
        f"{LEAVE}",
    ),
    "a division by a value": (
        after(op("Div", "Y Y")),
        "node 'n' (Div) can't be compiled: it divides by a value of the network (m.onnx); hint: "
        f"{LEAVE}",
    ),
    "attention": (
        after(op("MatMul", "Y Y")),
        "node 'n' (MatMul) can't be compiled: it multiplies two values of the network, as "
        f"attention does (m.onnx); hint: {LEAVE}",
    ),
    "an operation behind the end": (
        after(helper.make_node("Softmax", ["Y"], ["s"], "s", axis=-1), op("Relu", "s")),
        "node 'n' (Relu) can't be compiled: it computes with the result of softmax, which runs on "
        f"the host (m.onnx); hint: {LEAVE}",
    ),
    "BatchNormalization in training": (
        after(op("BatchNormalization", "Y R R R R", training_mode=1)),
        "node 'n' (BatchNormalization) can't be compiled: it is in training mode (m.onnx); hint: "
        "export the model for inference",
    ),
    "an operation of somebody else": (
        after(helper.make_node("Gelu", ["Y"], ["y"], "n", domain="com.microsoft")),
        "node 'n' is Gelu of 'com.microsoft', which is not ONNX's own (m.onnx); hint: export the "
        "model with standard operations",
    ),
    "weights that are inputs": (
        ([cell_node("RNN", RNN)], X | {"W": RNN["W"].shape}, ["Y"], {"R": RNN["R"], "B": RNN["B"]}),
        "the graph takes 'x', 'W', and it is not known which are the frames (m.onnx); hint: a "
        "network has one input of frames, beside initial states and sequence_lens; store the "
        "weights as initializers",
    ),
    "no input": (
        ([helper.make_node("Relu", ["W"], ["y"], "n")], {}, ["y"], RNN),
        "the graph takes no frames (m.onnx); hint: give it an input of (sequences, steps, inputs)",
    ),
    "frames without a batch axis": (
        ([op("Relu", "x")], {"x": ("steps", INPUTS)}, ["y"], {}),
        "input 'x' has 2 axes, not those of (sequences, steps, inputs) (m.onnx); hint: export it "
        "with a batch axis, and without an embedding whose tokens it computes",
    ),
    "a step in the middle": (
        (*after(helper.make_node("Gather", ["Y", "two"], ["g"], axis=0), op("Relu", "g"))[:3],
         LSTM | {"two": np.int64(2)}),
        "its result can't be compiled: it takes step 2 of the sequence (m.onnx); hint: take the "
        "first or the last",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cant_be_compiled_is_named(tmp_path, name):
    arguments, line = REFUSED[name]
    assert refused(saved(tmp_path / "m.onnx", *arguments)) == line


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_impossible_weights_are_named(tmp_path, value):
    damaged = {**LSTM, "R": np.array(LSTM["R"])}
    damaged["R"][0, 1, 2] = value
    line = refused(saved(tmp_path / "m.onnx", *cell("LSTM", damaged)))
    assert line == (
        "l0.W_ir has 1 NaN or infinite values (m.onnx); hint: did training diverge? use an earlier "
        "checkpoint"
    )


def test_the_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("penstock.frontend.onnx.find_spec", lambda name: None)
    path = saved(tmp_path / "m.onnx", *cell("LSTM", LSTM))
    assert refused(path) == (
        "reading ONNX files needs the package onnx (m.onnx); hint: pip install 'penstock[onnx]'"
    )


def test_without_onnxruntime_the_reference_implementation_compares(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert from_onnx(saved(tmp_path / "m.onnx", *cell("LSTM", LSTM))).notes == []
    model = from_onnx(saved(tmp_path / "c.onnx", *cell("LSTM", LSTM, clip=0.5)))
    assert model.notes == [
        "its numbers were not compared with the model's: onnxruntime is not installed, and ONNX's "
        "reference implementation ignores clip"
    ]


def test_the_order_of_arrays_is_the_graphs(tmp_path):
    path = saved(tmp_path / "m.onnx", *cell("LSTM", LSTM))
    with pytest.raises(PenstockError) as error:
        penstock.compile_checkpoint(path, batch_first=False)
    assert error.value.line() == (
        f"the file says itself how its arrays are ordered ({path}); hint: leave out --time-first"
    )


def test_head_options_need_a_head(tmp_path):
    path = saved(tmp_path / "m.onnx", *cell("LSTM", LSTM))
    with pytest.raises(PenstockError, match="there is no Linear head to apply the head options to"):
        from_onnx(path, HeadOptions("step"))


# -- damaged and hostile files --------------------------------------------------------------------


def bounded(path):
    """The refusal of a file, which may not take much memory."""
    tracemalloc.start()
    try:
        line = refused(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    return line


def written(path, model):
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_that_is_missing_is_named(tmp_path):
    assert refused(tmp_path / "none.onnx").startswith("the model can't be read: No such file")


def test_a_file_may_be_cut_anywhere(tmp_path):
    content = saved(tmp_path / "m.onnx", *cell("LSTM", LSTM)).read_bytes()
    for size in [0, *range(1, len(content), max(len(content) // 60, 1))]:
        (tmp_path / "cut.onnx").write_bytes(content[:size])
        bounded(tmp_path / "cut.onnx")


def test_any_byte_may_be_another(tmp_path):
    content = saved(tmp_path / "m.onnx", *after(op("Relu"))).read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(content)
        for at in generator.integers(0, len(content), generator.integers(1, 4)):
            changed[at] = generator.integers(256)
        (tmp_path / "changed.onnx").write_bytes(bytes(changed))
        try:
            from_onnx(tmp_path / "changed.onnx")
        except PenstockError as error:
            assert "\n" not in error.line()


def test_bytes_may_be_random(tmp_path):
    generator = np.random.default_rng(1)
    for size in range(0, 400, 8):
        (tmp_path / "random.onnx").write_bytes(generator.bytes(size))
        bounded(tmp_path / "random.onnx")


@pytest.mark.parametrize("dims", [[2**40, 2**40], [2**31], [-1], [2**62, 4], [2**20, 64]])
def test_a_tensor_may_claim_to_be_huge(tmp_path, dims):
    model = model_of(*cell("LSTM", LSTM))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    line = bounded(written(tmp_path / "m.onnx", model))
    assert line.startswith("tensor 'W' ")


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../secret.bin", "a/../../secret.bin", "", ".", "link.bin"]
)
def test_external_weights_lie_beside_the_model(tmp_path, location):
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = model_of(*cell("LSTM", LSTM))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    assert bounded(written(folder / "m.onnx", model)) == (
        f"tensor 'W' lies in {location!r}, which is not beside the model (m.onnx); hint: store the "
        "weights in the model's folder"
    )


@pytest.mark.parametrize("offset", [-4, 4, 2**60])
def test_external_weights_stay_within_their_file(tmp_path, offset):
    model = model_of(*cell("LSTM", LSTM))
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin",
                    size_threshold=0)  # fmt: skip
    assert "l0" in from_onnx(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    last = model.graph.initializer[-1]
    for entry in last.external_data:
        if entry.key == "offset":
            entry.value = str(int(entry.value) + offset) if offset > 0 else str(offset)
    size = (tmp_path / "m.bin").stat().st_size
    line = bounded(written(tmp_path / "m.onnx", model))
    assert line.endswith(
        f"which has {size} (m.onnx); hint: put the file of weights beside the model"
    )


def test_external_weights_may_be_missing(tmp_path):
    onnx.save_model(model_of(*cell("LSTM", LSTM)), tmp_path / "m.onnx", save_as_external_data=True,
                    location="m.bin", size_threshold=0)  # fmt: skip
    (tmp_path / "m.bin").unlink()
    assert "which has not been found" in bounded(tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile", "Range"])
def test_a_graph_may_not_grow_without_bounds(tmp_path, kind):
    inputs = {"ConstantOfShape": "shape", "Expand": "one shape", "Tile": "one shape"}
    chosen = inputs.get(kind, "zero big step").split()
    constants = {
        "shape": np.int64([2**20, 2**20]), "one": np.ones((1, 1), "f"), "zero": np.int64(0),
        "big": np.int64(2**50), "step": np.int64(1),
    }  # fmt: skip
    nodes = [helper.make_node(kind, chosen, ["c"], "n"), op("Add", "x c")]
    line = bounded(saved(tmp_path / "m.onnx", nodes, X, ["y"], constants))
    assert line == (
        f"node 'n' ({kind}) can't be compiled: the constants that the graph computes are too large "
        "(m.onnx); hint: export again"
    )


def test_constants_may_not_double_without_bounds(tmp_path):
    nodes = [
        helper.make_node("Concat", [f"c{k}"] * 2, [f"c{k + 1}"], f"n{k}", axis=0) for k in range(60)
    ]
    nodes.append(op("Add", "x c60"))
    path = saved(tmp_path / "m.onnx", nodes, X, ["y"], {"c0": np.ones(1024, "f")})
    assert "the constants that the graph computes are too large" in refused(path)


def test_values_may_not_be_repeated_without_bounds(tmp_path):
    nodes = [op("Expand", "x shape")]
    constants = {"shape": np.int64([2**30, 1, 1, 1])}
    line = bounded(saved(tmp_path / "m.onnx", nodes, X, ["y"], constants))
    assert line.startswith("node 'n' (Expand) can't be compiled: its result is too large")


def test_a_graph_may_not_be_cyclic(tmp_path):
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "second"),
    ]
    assert bounded(saved(tmp_path / "m.onnx", nodes, X, ["b"], {})) == (
        "node 'first' (Add) reads 'b', which nothing before it gives (m.onnx); hint: is the graph "
        "whole, and in an order that can be computed?"
    )


def test_an_input_may_be_missing(tmp_path):
    line = bounded(saved(tmp_path / "m.onnx", *cell("LSTM", LSTM)[:3], {"W": LSTM["W"]}))
    assert line.startswith("node 'cell' (LSTM) reads 'R', which nothing before it gives")


def test_two_nodes_may_not_give_one_value(tmp_path):
    line = bounded(saved(tmp_path / "m.onnx", [op("Relu", "x"), op("Tanh", "x")], X, ["y"], {}))
    assert line == "two nodes give 'y' (m.onnx); hint: export the model again"


def test_an_output_may_be_missing(tmp_path):
    line = bounded(saved(tmp_path / "m.onnx", [op("Relu", "x")], X, ["y", "z"], {}))
    assert line == "nothing gives the output 'z' (m.onnx); hint: export the model again"


@pytest.mark.parametrize("depth", [10, 5000])
def test_graphs_may_be_nested_deeply(tmp_path, depth):
    def field(number, content):
        size, length = len(content), bytearray()
        while size >= 128:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + content

    node = helper.make_node("If", ["x"], ["y"], "n").SerializeToString()
    inner = node
    for _ in range(depth):  # a graph of a node with an attribute that is a graph
        attribute = field(1, b"then_branch") + field(6, field(1, inner)) + bytes([0xA0, 1, 5])
        inner = node + field(5, attribute)
    model = model_of([op("Relu", "x")], X, ["y"], {})
    del model.graph.node[:]
    content = model.SerializeToString() + field(7, field(1, inner))  # messages are merged
    (tmp_path / "m.onnx").write_bytes(content)
    line = bounded(tmp_path / "m.onnx")
    wanted = "node 'n' (If) can't be" if depth == 10 else "not a complete ONNX file (m.onnx)"
    assert line.startswith(wanted)


@pytest.mark.parametrize("opset", [1, 6, 99])
def test_opsets_that_are_not_known_are_named(tmp_path, opset):
    newest = onnx.defs.onnx_opset_version()
    model = model_of(*cell("LSTM", LSTM))
    model.opset_import[0].version = opset
    assert bounded(written(tmp_path / "m.onnx", model)) == (
        f"the model is written for opset {opset} (m.onnx); hint: export it for an opset of 7 to "
        f"{newest}"
    )


@pytest.mark.parametrize("change", ["no operands", "no attributes", "no outputs", "wrong kinds"])
def test_a_node_may_be_odd(tmp_path, change):
    model = model_of(*cell("LSTM", LSTM))
    (node,) = model.graph.node
    if change == "no operands":
        del node.input[1:]
    elif change == "no attributes":
        del node.attribute[:]
        from_onnx(written(tmp_path / "m.onnx", model))  # hidden_size is R's
        return
    elif change == "no outputs":
        del node.output[:]
    else:
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("hidden_size", "four"))
    bounded(written(tmp_path / "m.onnx", model))


def test_the_command_line_says_one_line(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x09nothing")
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "compile", str(path), "-o", str(tmp_path / "p")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        f"error: not a complete ONNX file ({path}); hint: was it cut short? export it again\n"
    )


def test_the_command_line_compiles(tmp_path):
    path = saved(tmp_path / "m.onnx", *cell("GRU", GRU))
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "compile", str(path), "-o", str(tmp_path / "p"), "--pes",
         "2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p" / "penstock.json").exists()
    assert penstock.compile(path, hardware=penstock.Hardware(pes=2)).graph.name
