"""An exported ONNX model gives the interpreter's values, to the last bit, in onnxruntime."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from end_to_end.test_bit_true import MATRIX, POOLED
from engines.runs import drawn_run
from fuzz.random_graphs import drawn_cases
from graphs import ACTIVATION, GRAPHS, Sketch
from support import random_model

from penstock import Fixed, Hardware, Overflow, PenstockError, Precision, Rounding
from penstock.driver import compile_model
from penstock.export import to_onnx
from penstock.fixed import requantize
from penstock.ir import Direction, Graph
from penstock.ir.evaluate import evaluate
from penstock.ops import REGISTRY, Const, Input, Output, Requant, Scale, StateWrite
from penstock_runtime import Interpreter

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from penstock.export.onnx_check import comparison  # noqa: E402
from penstock.export.onnx_graph import IR_VERSION, OPSET, Body, Model  # noqa: E402
from penstock.export.onnx_numbers import brought_to, quantized  # noqa: E402
from penstock.export.onnx_ops import OUTSIDE, RULES  # noqa: E402

MODES = list(product(Rounding, Overflow))


def run(model, **given):
    """name -> array of what the model gives. A warning of onnxruntime's is one of ours."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    feed = {
        one.name: np.asarray(given[one.name]).astype(kinds[one.type])
        for one in session.get_inputs()
    }
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def exportable(graph, batch_first=True, input_exponents=()):
    """A graph without hardware, as its exporter sees it."""
    interface = SimpleNamespace(batch_first=batch_first, input_exponents=input_exponents)
    return SimpleNamespace(graph=graph, manifest=SimpleNamespace(interface=interface))


def state_types(graph):
    return {name: state.read.tensor.type for name, state in graph.states().items()}


def interpreter_of(folder, model, hardware=None, precision=None, **more):
    compiled = compile_model(model, None, hardware or Hardware(pes=2), precision, **more)
    return Interpreter(compiled.write(folder), "numpy")


@pytest.mark.parametrize("case", MATRIX | POOLED)
def test_a_network_gives_the_values_of_the_interpreter(case, tmp_path, capfd):
    arguments, hardware, precision = (MATRIX | POOLED)[case]
    model = random_model(**arguments, pes=hardware["pes"], seed=3)
    interpreter = interpreter_of(tmp_path, model, Hardware(**hardware), Precision(**precision))
    graph, generator = interpreter.project.graph, np.random.default_rng(1)
    x = generator.normal(0, 3, (3, 7, interpreter.project.inputs)).astype(np.float32)
    lengths = np.array([7, 4, 1])
    state = {
        name: generator.normal(0, 0.7, (3, own.read.tensor.length)).astype(np.float32)
        for name, own in graph.states().items()
    }
    expected = interpreter.run_quietly(x, lengths, state)
    padded = np.where(np.arange(7)[:, None] < lengths[:, None, None], x, np.nan)
    before = {f"{name}_0": values for name, values in state.items()}
    found = run(to_onnx(interpreter.project, lengths=True, states=True),
                x=padded, lengths=lengths, **before)  # fmt: skip
    assert found.pop("y").tolist() == expected.values.tolist()
    after = {
        f"{name}_n": state_types(graph)[name].to_float(raw).tolist()
        for name, raw in expected.state.items()
    }
    assert {name: values.tolist() for name, values in found.items()} == after
    assert capfd.readouterr().err == ""  # onnxruntime warns of what it does not need


@pytest.mark.parametrize(
    "case", ["two projected layers, lanes of different lengths",
             "bidirectional twice, sigmoid of the final state"],
)  # fmt: skip
def test_frames_alone_are_whole_sequences_that_begin_at_zero(case, tmp_path, capfd):
    arguments, hardware, precision = MATRIX[case]
    model = random_model(**arguments, pes=hardware["pes"], seed=3)
    interpreter = interpreter_of(tmp_path, model, Hardware(**hardware), Precision(**precision))
    x = np.random.default_rng(1).normal(0, 3, (3, 7, 5)).astype(np.float32)
    expected = interpreter.run_quietly(x)
    found = run(to_onnx(interpreter.project), x=x)
    assert found.keys() == {"y"} and found["y"].tolist() == expected.values.tolist()
    assert capfd.readouterr().err == ""


def as_quantized(kind, raw):
    """What can come of a real number: AP_SAT_SYM never gives the lowest value."""
    return kind.quantize(kind.to_float(raw))


def check_graph(graph, seed):
    """True if the graph could be exported; its results are then the reference's."""
    try:
        model = to_onnx(exportable(graph), lengths=True, states=True)
    except PenstockError as error:
        assert "which holds 52 exactly" in error.line()
        return False
    given = drawn_run(graph, np.random.default_rng(seed), 5, 4)
    kinds, (source,) = state_types(graph), graph.of_kind("input")
    x = as_quantized(source.tensor.type, given.x)
    state = given.state or {
        name: np.zeros((5, own.read.tensor.length), int) for name, own in graph.states().items()
    }
    state = {name: as_quantized(kinds[name], raw) for name, raw in state.items()}
    expected = evaluate(graph, x, given.lengths, state)
    before = {f"{name}_0": kinds[name].to_float(raw) for name, raw in state.items()}
    found = run(model, x=source.tensor.type.to_float(x), lengths=given.lengths, **before)
    (output,) = graph.of_kind("output")
    wanted = {"y": output.tensor.type.to_float(expected.y)}
    wanted |= {f"{name}_n": kinds[name].to_float(raw) for name, raw in expected.state.items()}
    assert {name: values.tolist() for name, values in found.items()} == {
        name: values.tolist() for name, values in wanted.items()
    }
    return True


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_no_layer_builds_agree_too(name):
    assert check_graph(GRAPHS[name](), 1)


@pytest.mark.parametrize("seed", range(2))
def test_random_graphs_agree_or_are_refused(seed):
    done = [check_graph(case.graph, number) for number, case in enumerate(drawn_cases(seed, 20))]
    assert sum(done) > 10


def test_every_operation_has_a_rule():
    assert {*RULES, *OUTSIDE} == {*REGISTRY}


def numbers_model(results, dtype):
    """x -> the values that ``results`` makes of it, side by side."""
    body = Body(Model(["x", "y"]))
    y = body.add("Concat", *results(body, "x"), axis=1)
    body.give(y, "y", onnx.TensorProto.DOUBLE)
    ends = [onnx.helper.make_tensor_value_info(name, dtype, [None, None]) for name in "xy"]
    graph = onnx.helper.make_graph(body.nodes, "n", ends[:1], ends[1:], body.model.initializers)
    opset = onnx.helper.make_opsetid("", OPSET)
    return onnx.helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset])


@pytest.mark.parametrize("frac", [3, -2, 20])
@pytest.mark.parametrize("signed", [True, False])
def test_real_numbers_are_quantized_in_every_mode(frac, signed):
    kinds = [Fixed(6, frac, signed, *modes) for modes in MODES]
    ties = np.arange(-300, 300) / 4
    near = [np.nextafter(ties, -np.inf), ties, np.nextafter(ties, np.inf)]
    x = np.concatenate([*near, [1e-30, -1e-30, 1e9, -1e9, 2.0**60 + 1024, -(2.0**80)]])
    x = np.ldexp(x, -frac)[:, None]
    model = numbers_model(lambda body, x: [quantized(body, x, to) for to in kinds],
                          onnx.TensorProto.DOUBLE)  # fmt: skip
    expected = np.concatenate([to.to_float(to.quantize(x)) for to in kinds], axis=1)
    assert run(model, x=x)["y"].tolist() == expected.tolist()


@pytest.mark.parametrize("frac", [5, 0, 9, -40])
def test_values_are_rounded_in_every_mode(frac):
    kinds = [Fixed(6, frac, signed, *modes) for modes in MODES for signed in (True, False)]
    raw = np.concatenate([np.arange(-1500, 1500), [2**51 - 1, 1 - 2**51, 2**40 + 4, -(2**50) - 8]])
    x = np.ldexp(raw.astype(np.float64), -8)[:, None]
    model = numbers_model(lambda body, x: [brought_to(body, x, 8, to) for to in kinds],
                          onnx.TensorProto.DOUBLE)  # fmt: skip
    expected = [to.to_float(requantize(raw, 8, to)) for to in kinds]
    assert run(model, x=x)["y"].tolist() == np.stack(expected, axis=1).tolist()


def test_weights_and_tables_stand_in_the_file_as_integers_to_be_dequantized(tmp_path):
    interpreter = interpreter_of(
        tmp_path, random_model(peephole=True), precision=Precision(weights=8)
    )
    graph, model = interpreter.project.graph, to_onnx(interpreter.project)
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    scales = {node.input[0]: stored[node.input[1]] for node in model.graph.node
              if node.op_type == "DequantizeLinear"}  # fmt: skip
    for node in graph.of_kind("const"):
        raw = stored[f"{node.name}.raw"]
        assert raw.tolist() == np.asarray(node.tensor.constant).tolist()
        assert scales[f"{node.name}.raw"] == node.tensor.type.step
        assert raw.dtype == np.int8 or raw.ndim == 1
    assert not [name for name, values in stored.items() if values.size > 8 and
                values.dtype == np.float64]  # fmt: skip


def test_values_have_the_names_of_their_nodes(tmp_path):
    interpreter = interpreter_of(tmp_path, random_model(outputs=4))
    (scan,) = (node for node in to_onnx(interpreter.project).graph.node if node.op_type == "Scan")
    named = {node.output[0] for node in scan.attribute[0].g.node}
    others = (*OUTSIDE, "state_read", "state_write", "output")
    nodes = interpreter.project.graph.nodes()
    computed = [node.name for node in nodes if node.op.kind not in others]
    assert {*computed} <= named and len(computed) > 20


def test_a_row_has_its_scale():
    sketch = Sketch()
    exponents = sketch.add("e", Const(Fixed(3, 0, signed=False), np.array([0, 3, 1, 7])))
    total = sketch.add("scaled", Scale(), sketch.product("acc", 4, "x"), exponents)
    assert check_graph(sketch.done(sketch.requant("q", total)), 3)


def test_time_first_and_inputs_of_different_ranges(tmp_path):
    interpreter = interpreter_of(tmp_path, random_model(inputs=3, cells=(4,), pes=2))
    graph = interpreter.project.graph
    x = np.random.default_rng(0).normal(0, 1, (6, 2, 3)).astype(np.float32)
    expected = interpreter.run_quietly(np.ldexp(x, [0, -2, -5]), batch_first=False)
    network = exportable(graph, batch_first=False, input_exponents=(0, 2, 5))
    model = to_onnx(network)
    assert run(model, x=x)["y"].tolist() == expected.values.tolist()
    assert " gives all of 60 values as the interpreter does" in comparison(network, model)


def test_types_beyond_float32_come_and_go_in_float64():
    graph = Graph("wide", [Direction.FORWARD])
    graph.add("x", Input(3, Fixed(28, 20, True, Rounding.RND, Overflow.SAT)))
    graph.add("y", Output(), "x")
    model = to_onnx(exportable(graph))
    ends = [*model.graph.input, *model.graph.output]
    assert {end.type.tensor_type.elem_type for end in ends} == {onnx.TensorProto.DOUBLE}
    x = np.random.default_rng(0).normal(0, 9, (2, 4, 3))
    kind = graph["x"].tensor.type
    assert run(model, x=x)["y"].tolist() == kind.to_float(kind.quantize(x)).tolist()


def test_a_value_that_float64_does_not_hold_is_refused_by_name():
    sketch = Sketch()
    wide = sketch.add("wide", Requant(Fixed(58, 40)), "x")
    narrow = sketch.requant("narrow", wide)
    with pytest.raises(PenstockError) as refusal:
        to_onnx(exportable(sketch.done(sketch.requant("q", sketch.product("acc", 4, narrow)))))
    assert refusal.value.line() == (
        "wide (requant) has values of 58 bits, and ONNX computes in float64, which holds 52 "
        "exactly (sketch); hint: compile with fewer bits for this tensor, or for what it is "
        "computed from"
    )


@pytest.mark.parametrize("lengths", [False, True])
def test_constants_are_there_for_every_sequence(lengths):
    """As an operand of a product, and where all operands are constants, as a state and result."""
    sketch = Sketch()
    a, b = (sketch.add(name, Const(ACTIVATION, np.array(values)))
            for name, values in (("a", [1, -2, 3]), ("b", [7, 8, -9])))  # fmt: skip
    both, old = sketch.sum("both", a, b), sketch.state("s", 3)
    sketch.add("s_after", StateWrite("s"), both)
    total = sketch.product("acc", 3, "x", b, both, old)
    graph = sketch.done(sketch.requant("q", total), both)
    raw = np.arange(5 * 4 * 6).reshape(5, 4, 6)
    expected = evaluate(graph, raw, np.full(5, 4)).y
    found = run(to_onnx(exportable(graph), lengths), x=ACTIVATION.to_float(raw), lengths=[4] * 5)
    assert found["y"].tolist() == ACTIVATION.to_float(expected).tolist()


def test_equal_projects_give_equal_bytes(tmp_path):
    model = random_model()
    texts = [
        to_onnx(interpreter_of(tmp_path / name, model).project, states=True).SerializeToString(
            deterministic=True
        )
        for name in "ab"
    ]
    assert texts[0] == texts[1] and str(tmp_path).encode() not in texts[0]
