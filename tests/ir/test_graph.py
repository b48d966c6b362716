"""The graph: what can't be built, what the verifier finds, what survives the disk."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save
from support import random_model

from penstock import PenstockError, Precision
from penstock.compress import calibrate
from penstock.fixed import Fixed
from penstock.ir import Direction, Graph, schema
from penstock.ir.graph import connected
from penstock.ir.io import dump_graph, load_graph, parse_graph, save_graph
from penstock.ir.matrix import narrowest
from penstock.ir.op import Tensor
from penstock.ir.verify import verify
from penstock.lowering import lower
from penstock.ops import (
    REGISTRY,
    Add,
    Capture,
    Const,
    Input,
    MatVec,
    Output,
    Requant,
    StateRead,
    StateWrite,
)

S8, S16 = Fixed(8, 0), Fixed(16, 12)


def small_graph(*directions):
    graph = Graph("small", list(directions) or [Direction.FORWARD])
    graph.add("x", Input(3, S16))
    graph.add("W", Const(Fixed(8, 6), np.array([[1, -2, 0], [127, 0, -128]])))
    graph.add("acc", MatVec(), "x", "W")
    graph.add("h_before", StateRead("h", 2, S16))
    graph.add("sum", Add(), "acc", "h_before")
    graph.add("h", Requant(S16), "sum")
    graph.add("h_after", StateWrite("h"), "h")
    return graph


def whole_graph():
    graph = small_graph()
    graph.add("y", Output(), "h")
    return graph


def lowered(**arguments):
    model = random_model(**arguments)
    return lower(model, calibrate(model, None), Precision())


def test_an_accumulator_is_as_wide_as_its_worst_row_needs_and_no_wider():
    tensor = small_graph()["acc"].tensor
    assert (tensor.lo, tensor.hi) == (-32768 * 127 - 128 * 32767, 32767 * 127 + 128 * 32768)
    assert tensor.type == Fixed(24, 18)


def test_the_worst_input_reaches_the_proven_bound_and_stays_within_it():
    graph = lowered(inputs=9, cells=(7,), density=0.6)
    node = graph["l0.acc_i"]
    pairs = [graph[name].tensor for name in node.inputs]
    columns = np.concatenate([np.asarray(w.constant) << a for w, a in zip(
        pairs[1::2], MatVec.aligns(*pairs), strict=True)], axis=1)  # fmt: skip
    worst = np.where(columns > 0, 32767, -32768)
    assert (columns * worst).sum(axis=1).max() == node.tensor.hi
    assert (columns * np.where(columns > 0, -32768, 32767)).sum(axis=1).min() == node.tensor.lo


def test_products_of_different_scales_are_aligned_to_the_finest():
    graph = Graph("two", [Direction.FORWARD])
    graph.add("x", Input(1, Fixed(4, 0)))
    graph.add("h", StateRead("h", 1, Fixed(4, 3)))
    graph.add("Wx", Const(Fixed(4, 1), np.array([[3]])))
    graph.add("Wh", Const(Fixed(4, 1), np.array([[5]])))
    graph.add("acc", MatVec(), "x", "Wx", "h", "Wh")
    assert graph["acc"].tensor.type.frac == 4
    assert graph["acc"].tensor.hi == ((3 * 7) << 3) + 5 * 7


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda g: g.add("acc", Add(), "acc"), "two nodes named 'acc'"),
        (lambda g: g.add("z", Add(), "nothing"), "reads 'nothing', which is not in the graph"),
        (lambda g: g.add("z", Add(), "x", "acc"), "while adding node z (add)"),
        (lambda g: g.add("z", MatVec(), "acc", "W"), "W is (2, 3), x has 2 values"),
        (lambda g: g.add("z", Add(), "acc", sweep=4), "there is no sweep 4"),
    ],
)
def test_an_ill_typed_node_can_not_be_added(build, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        build(small_graph())


def test_a_graph_knows_its_nodes_by_sweep_by_kind_and_by_what_they_read():
    graph = whole_graph()
    graph.sweeps.append(Direction.BACKWARD)
    graph.add("double", Add(), "acc", "acc", sweep=1)
    names = ["x", "W", "acc", "h_before", "sum", "h", "h_after", "y", "double"]
    assert [node.name for node in graph.nodes()] == names
    assert [node.name for node in graph.nodes(0)] == names[:-1]
    assert list(graph.nodes(1)) == [graph["double"]] and list(graph.nodes(2)) == []
    assert graph.of_kind("add") == [graph["sum"], graph["double"]] and graph.of_kind("mean") == []
    assert graph.users("acc") == [graph["sum"], graph["double"]] and graph.users("y") == []


def test_what_is_asked_of_a_graph_does_not_change_it():
    graph = small_graph()
    graph.users("acc").clear()
    graph.of_kind("matvec").clear()
    assert graph.users("acc") == [graph["sum"]] and graph.of_kind("matvec") == [graph["acc"]]


def test_groups_that_meet_are_one_set():
    groups = [["a", "b"], ["c"], ["d", "e"], ["e", "b"], ["f", "c"]]
    assert connected(groups) == {"a": 0, "b": 0, "c": 1, "d": 0, "e": 0, "f": 1}
    assert list(connected(groups)) == ["a", "b", "c", "d", "e", "f"]


def test_the_verifier_accepts_what_the_layers_make():
    for arguments in ({"head": 3}, {"bidirectional": True, "head": 2, "at": "final"}):
        verify(lowered(**arguments))


def test_the_verifier_finds_a_state_that_is_never_written():
    graph = small_graph()
    graph.add("c_before", StateRead("c", 2, S16))
    graph.add("y", Output(), "h")
    with pytest.raises(ValueError, match=r"states that are only read or only written: \['c'\]"):
        verify(graph)


@pytest.mark.parametrize(("length", "dtype"), [(2, Fixed(12, 4)), (3, S16)])
def test_the_verifier_finds_a_state_of_two_types(length, dtype):
    graph = small_graph()
    graph.add("c_before", StateRead("c", length, dtype))
    graph.add("c_after", StateWrite("c"), "h")
    graph.add("y", Output(), "h")
    with pytest.raises(ValueError, match="written with another type"):
        verify(graph)


def test_the_verifier_finds_a_tampered_tensor():
    graph = whole_graph()
    node = graph["h"]
    graph._nodes["h"] = replace(node, tensor=replace(node.tensor, hi=1 << 20))
    with pytest.raises(ValueError, match="h carries"):
        verify(graph)


def test_the_verifier_finds_a_sequence_that_enters_a_single_step():
    graph = small_graph(Direction.FORWARD, Direction.ONCE)
    graph.add("y", Output(), "h", sweep=1)
    with pytest.raises(ValueError, match="a capture is read by a later once sweep"):
        verify(graph)
    captured = small_graph(Direction.FORWARD, Direction.ONCE)
    captured.add("last", Capture("last"), "h")
    captured.add("y", Output(), "last", sweep=1)
    verify(captured)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda g: g.add("again", StateRead("h", 2, S16)),
         "h_before and again are both a state_read of 'h'"),
        (lambda g: g.add("again", StateWrite("h"), "h"),
         "h_after and again are both a state_write of 'h'"),
        (lambda g: [g.add(f"at{k}", Capture("kept"), "h") for k in range(2)],
         "at0 and at1 are both a capture of 'kept'"),
        (lambda g: g.add("at", Capture("h"), "h"), "states and captures with the same name: ['h']"),
        (lambda g: [g.add("c", StateRead("c", 2, S16), sweep=1),
                    g.add("c_after", StateWrite("c"), "c", sweep=1)],
         "state c is in a sweep that runs once"),
        (lambda g: [g.add("c", StateRead("c", 2, S16), sweep=2),
                    g.add("c_after", StateWrite("c"), "h", sweep=0)],
         "state c is written with another type than it is read with"),
        (lambda g: g.add("u", Input(2, S16), sweep=1),
         "u (input) is in a sweep that runs once"),
        (lambda g: [g.add("c", Capture("c"), "h"), g.add("d", Capture("d"), "c", sweep=1)],
         "d (capture) is in a sweep that runs once"),
        (lambda g: [g.add("c", Capture("c"), "h"), g.add("d", Add(), "c", sweep=1),
                    g.add("e", Add(), "d", "d", sweep=2)],
         "e reads d of a sweep that runs once"),
        (lambda g: g.add("z", Output(), "h"), "the graph needs exactly one output"),
    ],
)  # fmt: skip
def test_the_verifier_names_what_is_unsound(build, message):
    graph = small_graph(Direction.FORWARD, Direction.ONCE, Direction.FORWARD)
    graph.add("y", Output(), "h")
    verify(graph)
    build(graph)
    with pytest.raises(ValueError) as caught:
        verify(graph)
    assert str(caught.value) == message


def test_the_verifier_finds_results_in_reverse_order():
    graph = small_graph(Direction.FORWARD, Direction.BACKWARD)
    graph.add("again", Requant(S8), "h", sweep=1)
    graph.add("y", Output(), "again", sweep=1)
    with pytest.raises(ValueError, match="output y is in a backward sweep: it would be rev"):
        verify(graph)


@pytest.mark.parametrize("interval", [(-9, 0), (0, 8), (3, 2)])
def test_the_verifier_finds_an_interval_that_leaves_its_type(interval):
    """An operation may infer what its own type does not hold."""

    class Wrong(Add):
        def infer(self, *inputs):
            return Tensor((2,), Fixed(4, 0), *interval)

    graph = small_graph()
    graph.add("wrong", Wrong(), "h")
    graph.add("y", Output(), "wrong")
    with pytest.raises(ValueError, match=r"wrong: .* is outside s4\.0"):
        verify(graph)


def test_the_verifier_finds_an_input_in_reverse_order():
    """The kernel takes frames as they come: in the order of the steps."""
    graph = small_graph(Direction.BACKWARD, Direction.FORWARD)
    graph.add("y", Output(), "h", sweep=1)
    with pytest.raises(ValueError, match="input x is in a backward sweep: it would be rev"):
        verify(graph)


@pytest.mark.parametrize("operation", ["const", "requant"])
def test_the_verifier_finds_a_value_that_nothing_reads(operation):
    graph = small_graph(Direction.FORWARD)
    if operation == "const":
        graph.add("unused", Const(S8, np.ones((2, 2), dtype=np.int64)))
    else:
        graph.add("unused", Requant(S8), "x")
    graph.add("y", Output(), "h")
    with pytest.raises(ValueError, match=rf"unused \({operation}\) is read by nobody"):
        verify(graph)


@pytest.mark.parametrize("name", ["a b", "", "a@0", "a/b", "*/", "a\n", "\u00e9", '"'])
def test_a_name_that_files_can_not_carry_is_refused(name):
    graph = Graph("names", [Direction.FORWARD])
    graph.add("x", Input(2, S8))
    for arguments in (
        (name, Input(2, S8)),
        ("s", StateRead(name, 2, S8)),
        ("s", StateWrite(name), "x"),
        ("s", Capture(name, "last"), "x"),
    ):
        with pytest.raises(ValueError, match="can't be a name"):
            graph.add(*arguments)


def test_a_graph_knows_its_states_and_captures():
    graph = small_graph(Direction.FORWARD, Direction.ONCE)
    graph.add("at_end", Capture("kept"), "h")
    (state,) = graph.states().values()
    assert (state.name, state.read.name, state.write.name) == ("h", "h_before", "h_after")
    assert {name: node.name for name, node in graph.captures().items()} == {"kept": "at_end"}


def test_a_graph_survives_the_disk(tmp_path):
    graph = lowered(cells=(6, 5), outputs=4, bidirectional=[True, False], peephole=True, head=3)
    save_graph(graph, tmp_path)
    loaded = load_graph(tmp_path, REGISTRY)
    verify(loaded)
    assert dump_graph(loaded) == dump_graph(graph)
    assert [node.tensor for node in loaded.nodes()] == [node.tensor for node in graph.nodes()]
    for node in graph.of_kind("const"):
        kept, found = node.tensor.constant, loaded[node.name].tensor.constant
        assert type(found) is type(kept) and np.array_equal(found, kept)


def test_a_sparse_matrix_is_saved_as_its_nonzeros():
    dense, sparse = (len(dump_graph(lowered(cells=(160,), density=d))[1]) for d in (1.0, 0.1))
    assert sparse < 0.4 * dense


@pytest.mark.parametrize("damage", ["schema", "order", "op", "range", "cut"])
def test_a_damaged_graph_is_refused_in_one_line(damage):
    text, constants = dump_graph(whole_graph())
    fields = json.loads(text)
    if damage == "schema":
        fields["schema"] = 99
    elif damage == "order":
        fields["nodes"].reverse()
    elif damage == "op":
        fields["nodes"][0]["op"] = "mystery"
    elif damage == "range":
        fields["nodes"][2]["range"] = [-1, 1]
    else:
        constants = constants[:-3]
    with pytest.raises(PenstockError) as caught:
        parse_graph(json.dumps(fields), constants, REGISTRY, "here")
    assert "here" in caught.value.line() and "compile the model again" in caught.value.line()


@pytest.mark.parametrize("columns", [(7, 3), (3, 3)], ids=["falling", "twice"])
def test_nonzeros_of_a_row_that_do_not_ascend_are_refused(columns):
    text, constants = dump_graph(lowered(cells=(40,), density=0.1))
    tensors = load(constants)
    name = next(name for name in tensors if name.endswith(".columns"))
    counts = tensors[name.replace("columns", "row_counts")]
    first = int(counts[: int(np.flatnonzero(counts >= 2)[0])].sum())
    tensors[name][first : first + 2] = columns
    with pytest.raises(PenstockError, match=r"the non-zeros of .* do not lie in"):
        parse_graph(text, save(tensors), REGISTRY, "here")


def test_a_non_zero_that_is_zero_is_refused():
    text, constants = dump_graph(lowered(cells=(40,), density=0.1))
    tensors = load(constants)
    name = next(name for name in tensors if name.endswith(".values"))
    tensors[name][2] = 0
    with pytest.raises(PenstockError, match=r"one of the non-zeros of .* is zero"):
        parse_graph(text, save(tensors), REGISTRY, "here")


def test_a_constant_that_no_node_has_is_refused():
    text, constants = dump_graph(whole_graph())
    more = save({**load(constants), "V": np.ones(2, dtype=np.int8)})
    with pytest.raises(PenstockError, match="holds V, which belongs to no constant"):
        parse_graph(text, more, REGISTRY, "here")


def test_graphs_of_too_many_elements_are_refused_before_anything_is_made(monkeypatch):
    text, constants = dump_graph(whole_graph())
    sizes = [np.prod(entry["shape"]) for entry in json.loads(text)["nodes"]]
    for name, most in (("MAX_MATRIX", max(sizes)), ("MAX_WEIGHTS", sum(sizes))):
        with monkeypatch.context() as patch:
            patch.setattr(schema, name, most)
            parse_graph(text, constants, REGISTRY, "here")
            patch.setattr(schema, name, most - 1)
            with pytest.raises(PenstockError, match="is too large"):
                parse_graph(text, constants, REGISTRY, "here")


def test_constants_are_stored_in_the_least_bytes_that_hold_both_ends():
    for low, high, bits in ((-128, 127, 8), (-129, 0, 16), (0, 128, 16), (-32769, 0, 32)):
        raw = np.array([low, high])
        assert narrowest(raw).dtype.itemsize == bits // 8
        assert narrowest(raw).tolist() == [low, high]


def test_accumulators_narrower_than_the_proof_are_refused():
    model = random_model(inputs=9, cells=(7,))
    with pytest.raises(PenstockError, match=r"could overflow: l0\.acc_i needs"):
        lower(model, calibrate(model, None), Precision(accumulators=20))
    wide = lower(model, calibrate(model, None), Precision(accumulators=48))
    assert wide["l0.acc_i"].tensor.type.width == 48
