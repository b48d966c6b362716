"""A project that was changed is refused, even where its sha256 was made to match."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cli.given import AGAIN, CELLS, INPUTS, run_words
from safetensors.numpy import load_file, save_file

from penstock.marker import MARKER, Marker, read_marker


@pytest.mark.parametrize("command", ["run", "csim", "check"])
@pytest.mark.parametrize("folder", ["none", ".", "x.npy"])
def test_a_folder_that_is_no_project_is_refused(command, folder, refused):
    words = run_words(folder) if command == "run" else (command, folder)
    assert refused(*words) == (
        f"this is not a Penstock project ({folder}); hint: give the folder that penstock compile "
        "wrote"
    )


DIFFERS = (
    "{} is not the file that the compiler wrote (its sha256 differs) (project); hint: " + AGAIN
)
BINARIES = ["weights/group_0.bin", "weights/parameters.bin", "graph.json", "graph.safetensors"]
TRUSTED = [*BINARIES, "weights/manifest.json"]


@pytest.mark.parametrize("name", TRUSTED)
@pytest.mark.parametrize("how", ["a bit", "cut", "longer", "empty"])
def test_a_changed_file_is_refused_by_its_sha256(name, how, refused, project):
    path = project / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    changed = {"a bit": bytes(content), "cut": path.read_bytes()[:-1],
               "longer": path.read_bytes() + b"\0", "empty": b""}  # fmt: skip
    path.write_bytes(changed[how])
    for words in (run_words(), ("check", "project"), ("csim", "project")):
        assert refused(*words) == DIFFERS.format(name)


def test_the_program_refuses_a_changed_weight(refused_by_program, project):
    path = project / "weights/group_0.bin"
    path.write_bytes(path.read_bytes()[::-1])
    assert refused_by_program(*run_words()) == DIFFERS.format("weights/group_0.bin")


@pytest.mark.parametrize("name", TRUSTED)
def test_a_missing_file_is_refused(name, refused, project):
    (project / name).unlink()
    assert refused(*run_words()) == (
        f"{name} can't be read: No such file or directory (project); hint: {AGAIN}"
    )


def tamper(project, name, change):
    """Change a file, and its sha256 in penstock.json with it."""
    content = change((project / name).read_bytes())
    (project / name).write_bytes(content)
    forge(project, read_marker(project).files | Marker.of({name: content}).files)


def forge(project, files):
    """A list of files with other digests, and a sha256 of its own that fits."""
    (project / MARKER).write_text(Marker(files).text())


def tamper_json(project, name, change):
    def edit(content):
        fields = json.loads(content)
        change(fields)
        return json.dumps(fields).encode()

    tamper(project, name, edit)


def flipped(index, bit=0):
    def change(content):
        spoiled = bytearray(content)
        spoiled[index] ^= 1 << bit
        return bytes(spoiled)

    return change


@pytest.mark.parametrize("index", [0, 1, 7, 20])
def test_a_changed_weight_is_found_even_with_a_matching_sha256(index, refused, project):
    tamper(project, "weights/group_0.bin", flipped(index))
    line = refused(*run_words())
    assert line.startswith(("the packed weights of l0.W_", "weights/ is damaged: "))
    assert line.endswith(f"(project); hint: {AGAIN}")


def test_a_changed_bias_is_found_even_with_a_matching_sha256(refused, project):
    tamper(project, "weights/parameters.bin", flipped(0))
    assert refused(*run_words()) == (
        f"the packed weights of l0.b_i do not match the graph (project); hint: {AGAIN}"
    )


@pytest.mark.parametrize("name", ["weights/group_0.bin", "weights/parameters.bin"])
def test_weights_that_are_cut_short_are_found_even_with_a_matching_sha256(name, refused, project):
    tamper(project, name, lambda content: content[: len(content) // 4])
    line = refused(*run_words())
    assert line.startswith(f"{name} has ") and line.endswith(f"(project); hint: {AGAIN}")


@pytest.mark.parametrize("name", ["weights/group_0.bin", "weights/parameters.bin"])
def test_weights_that_go_on_are_found_even_with_a_matching_sha256(name, refused, project):
    tamper(project, name, lambda content: content + bytes(64))
    line = refused(*run_words())
    assert line.startswith(f"{name} has ") and line.endswith(f"(project); hint: {AGAIN}")


def test_weights_changed_in_the_graph_alone_are_found(refused, project):
    def change(content):
        path = Path("tensors.safetensors")
        path.write_bytes(content)
        tensors = load_file(path)
        name = next(name for name in tensors if name.startswith("l0.W_ir"))
        tensors[name] = tensors[name] * 0 + tensors[name].min()
        save_file(tensors, path)
        return path.read_bytes()

    tamper(project, "graph.safetensors", change)
    line = refused(*run_words())
    assert line.startswith(("the packed weights of l0.W_ir", "the saved graph is damaged: "))


def node(fields, name):
    return next(entry for entry in fields["nodes"] if entry["name"] == name)


def reversed_nodes(fields):
    fields["nodes"].reverse()


GRAPHS = {
    "no JSON": lambda fields: fields.clear(),
    "another schema": lambda fields: fields.update(schema=99),
    "no nodes": lambda fields: fields.update(nodes=[]),
    "no output": lambda fields: fields["nodes"].pop(),
    "nodes that are no list": lambda fields: fields.update(nodes=3),
    "nodes that are no objects": lambda fields: fields.update(nodes=[3]),
    "a forward reference": reversed_nodes,
    "an unknown operation": lambda fields: node(fields, "l0.m").update(op="exec"),
    "an operation that is no name": lambda fields: node(fields, "l0.m").update(op=[]),
    "an unknown input": lambda fields: node(fields, "l0.m").update(inputs=["nobody"]),
    "too few inputs": lambda fields: node(fields, "l0.m_product").update(inputs=[]),
    "a name twice": lambda fields: node(fields, "l0.m").update(name="l0.c"),
    "an unknown sweep": lambda fields: node(fields, "l0.m").update(sweep=7),
    "a sweep that is no number": lambda fields: node(fields, "l0.m").update(sweep="0"),
    "an unknown direction": lambda fields: fields.update(sweeps=["sideways"]),
    "another type": lambda fields: node(fields, "l0.m").update(type="s8.0"),
    "another interval": lambda fields: node(fields, "l0.m").update(range=[0, 0]),
    "another shape of a vector": lambda fields: node(fields, "l0.m").update(shape=[7]),
    "10^12 weights": lambda fields: node(fields, "l0.W_ix").update(shape=[10**6, 10**6]),
    "10^30 weights": lambda fields: node(fields, "l0.W_ix").update(shape=[10**15, 10**15]),
    "millions of weights": lambda fields: node(fields, "l0.W_ix").update(shape=[10**4, 10**4]),
    "a shape of three dimensions": lambda fields: node(fields, "l0.W_ix").update(shape=[6, 2, 2]),
    "a shape of words": lambda fields: node(fields, "l0.W_ix").update(shape=["6", "4"]),
    "a billion inputs": lambda fields: node(fields, "x")["attributes"].update(length=10**9),
    "a binary point far away": lambda fields: node(fields, "l0.m")["attributes"]["to"].update(
        frac=10**9
    ),
    "half a bit": lambda fields: node(fields, "l0.m")["attributes"]["to"].update(frac=4.5),
    "a sign in words": lambda fields: node(fields, "l0.m")["attributes"]["to"].update(signed="no"),
    "an unknown field": lambda fields: fields.update(exec="rm"),
    "an unknown field of a node": lambda fields: node(fields, "l0.m").update(exec="rm"),
    "a missing field of a node": lambda fields: node(fields, "l0.m").pop("range"),
    "a missing attribute": lambda fields: node(fields, "x")["attributes"].pop("length"),
    "another shape of a constant": lambda fields: node(fields, "l0.b_i").update(shape=[7]),
    "attributes that are no object": lambda fields: node(fields, "l0.m").update(attributes=[1]),
    "an unknown attribute": lambda fields: node(fields, "l0.m")["attributes"].update(run="rm"),
    "an impossible width": lambda fields: node(fields, "l0.m")["attributes"]["to"].update(width=99),
    "an unknown rounding": lambda fields: node(fields, "l0.m")["attributes"]["to"].update(
        rounding="AP_EVIL"
    ),
    "a state that nobody writes": lambda fields: fields["nodes"].remove(node(fields, "l0.c_after")),
    "a state written as another": lambda fields: node(fields, "l0.c_after")["attributes"].update(
        state="l0.y"
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_that_can_be_none_is_refused(case, refused, project):
    tamper_json(project, "graph.json", GRAPHS[case])
    with little_memory():
        line = refused(*run_words())
    assert "graph" in line and line.endswith(f"(project); hint: {AGAIN}")


GARBAGE = [b"", b"\xff\xfe", b"null", b"[]", b"[" * 100000]
GARBAGE_NAMES = ["empty", "no text", "null", "list", "too deep"]


@pytest.mark.parametrize("content", GARBAGE, ids=GARBAGE_NAMES)
def test_a_graph_of_garbage_is_refused(content, refused, project):
    tamper(project, "graph.json", lambda _: content)
    line = refused(*run_words())
    assert line.startswith("the saved graph is damaged: ")
    assert line.endswith(f"(project); hint: {AGAIN}")


@pytest.mark.parametrize("content", GARBAGE, ids=GARBAGE_NAMES)
def test_a_manifest_of_garbage_is_refused(content, refused, project):
    tamper(project, "weights/manifest.json", lambda _: content)
    line = refused(*run_words())
    assert line.startswith("weights/manifest.json is damaged: ")
    assert line.endswith(f"(project); hint: {AGAIN}")


@pytest.mark.parametrize("content", GARBAGE, ids=GARBAGE_NAMES)
def test_a_list_of_files_of_garbage_is_refused(content, refused, project):
    (project / "penstock.json").write_bytes(content)
    for words in (run_words(), ("check", "project"), ("csim", "project")):
        assert refused(*words).startswith("penstock.json is damaged: ")


def test_a_digest_changed_in_penstock_json_is_refused(refused, project):
    path = project / "penstock.json"
    fields = json.loads(path.read_text())
    fields["files"]["weights/manifest.json"] = "0" * 64
    path.write_text(json.dumps(fields))
    assert refused(*run_words()).startswith("penstock.json is damaged: ")


@pytest.mark.parametrize("name", TRUSTED)
def test_a_file_without_a_digest_is_refused(name, refused, project):
    files = dict(read_marker(project).files)
    del files[name]
    forge(project, files)
    assert refused(*run_words()) == DIFFERS.format(name)


def test_garbage_for_the_graphs_constants_is_refused(refused, project):
    tamper(project, "graph.safetensors", lambda content: content[:50])
    assert refused(*run_words()).startswith("the saved graph is damaged: ")


def phase(**values):
    return lambda fields: fields["phases"][0].update(values)


def interface(**values):
    return lambda fields: fields["interface"].update(values)


def kernel(**values):
    return lambda fields: fields["kernel"].update(values)


def dropped(*keys):
    def change(fields):
        for key in keys[:-1]:
            fields = fields[key]
        del fields[keys[-1]]

    return change


def shortened(fields):
    name = next(iter(fields["layouts"]))
    fields["layouts"][name] = fields["layouts"][name][:-2]


def swapped_rows(fields):
    rows = fields["layouts"]["l0.gates"]
    rows[0], rows[1] = rows[1], rows[0]


MANIFESTS = {
    **{f"no {key}": dropped(key) for key in (
        "schema", "pes", "group_pes", "port_bits", "weights", "phases", "runs", "loops",
        "layouts", "layout_of", "parameters",
        "interface", "kernel", "golden")},
    **{f"no {key} of the interface": dropped("interface", key) for key in (
        "lanes", "io_bits", "batch_first", "max_steps", "states", "input_exponents")},
    **{f"no {key} of the kernel": dropped("kernel", key) for key in (
        "hazard_distance", "elements_per_cycle", "vector_depth", "segments", "operand_bases",
        "beat_depth", "word_depth", "copy_pes", "result_chunk", "accumulator_rows", "first_rows",
        "runs")},
    **{f"no golden {key}": dropped("golden", key) for key in ("calls", "steps")},
    **{f"no {key} of a phase": dropped("phases", 0, key) for key in (
        "name", "sweep", "matvecs", "rows", "rows_per_pe", "operands", "gathers",
        "weight_bits", "format", "banks", "words", "starts", "packet", "shared")},
    **{f"no {key} of a run": dropped("runs", 0, key) for key in (
        "phase", "first", "words", "first_beat")},
    **{f"no {key} of a loop": dropped("loops", 0, key) for key in (
        "name", "process", "when", "iterations")},
    "a field of the future": lambda fields: fields.update(exec="rm"),
    "another schema": lambda fields: fields.update(schema=99),
    "no PEs": lambda fields: fields.update(pes=0),
    "fewer PEs": lambda fields: fields.update(pes=1, group_pes=1),
    "PEs in words": lambda fields: fields.update(pes="two"),
    "groups of no PEs": lambda fields: fields.update(group_pes=0),
    "groups greater than all": lambda fields: fields.update(group_pes=64),
    "a port of no bits": lambda fields: fields.update(port_bits=0),
    "a billion PEs": lambda fields: fields.update(pes=10**9, group_pes=1),
    "10^30 PEs": lambda fields: fields.update(pes=10**30),
    "a part of a PE": lambda fields: fields.update(pes=2.0),
    "a hazard distance of 0": kernel(hazard_distance=0),
    "a hazard distance in words": kernel(hazard_distance="4"),
    "cell units that do not divide the PEs": kernel(elements_per_cycle=3),
    "a phase's bases too many": kernel(operand_bases=[[0, 0], [0], [0]]),
    "a base too many": kernel(operand_bases=[[0, 0, 0], [0]]),
    "a base beyond every memory": kernel(operand_bases=[[0, 10**12], [0]]),
    "no golden calls": lambda fields: fields["golden"].update(calls=0),
    "phases that are no list": lambda fields: fields.update(phases=7),
    "no phase": lambda fields: fields.update(phases=[]),
    "a phase twice": lambda fields: fields["phases"].append(dict(fields["phases"][0])),
    "an unknown phase field": phase(exec="rm"),
    "a name of no length": phase(name=""),
    "other banks": phase(banks=5),
    "more matrices than banks": phase(matvecs=["l0.acc_i"] * 5, banks=4),
    "a run that begins later": lambda fields: fields["runs"][0].update(first_beat=1),
    "a run of fewer words": lambda fields: fields["runs"][0].update(words=1),
    "a loop that nobody knows when to run": lambda fields: fields["loops"][0].update(when="never"),
    "10^18 words": phase(words=10**18),
    "a million rows": phase(rows_per_pe=10**6),
    "a billion positions": phase(operands=[["x", 10**9], ["l0.gates", 6]]),
    "weights of no bits": phase(weight_bits=0),
    "weights of fewer bits": phase(weight_bits=5),
    "weights of too many bits": phase(weight_bits=10**9),
    "gaps of other bits": phase(format={"name": "gap", "index_bits": 5}),
    "gaps of too many bits": phase(format={"name": "gap", "index_bits": 9}),
    "a relative index in its place": phase(
        format={"name": "relative", "index_bits": 4, "queue_depth": 8}),
    "a relative index without queues": phase(format={"name": "relative", "index_bits": 4}),
    "an unknown format": phase(format={"name": "runs", "index_bits": 5}),
    "vectors of other matrices": phase(gathers=[[0, 0]] * 4),
    "vectors of fewer matrices": phase(gathers=[[0, 1]]),
    "unknown vectors": phase(gathers=[[0, 7]] * 4),
    "vectors counted from the end": phase(gathers=[[0, -1]] * 4),
    "fewer words": phase(words=1),
    "more words": phase(words=10**12),
    "less than no words": phase(words=-1),
    "a row that all PEs share": phase(shared=[1]),
    "unknown shared rows": phase(shared=[10**6]),
    "a row shared twice": phase(shared=[1, 1]),
    "another number of rows": phase(rows_per_pe=1),
    "no rows": phase(rows_per_pe=0),
    "unknown rows": phase(rows="nobody"),
    "other matrices": phase(matvecs=["l0.acc_i"]),
    "unknown matrices": phase(matvecs=["nobody"] * 4),
    "matrices in another order": phase(matvecs=["l0.acc_f", "l0.acc_i", "l0.acc_g", "l0.acc_o"]),
    "no operands": phase(operands=[]),
    "unknown operands": phase(operands=[["nobody", 4]]),
    "operands in another order": lambda fields: fields["phases"][0]["operands"].reverse(),
    "rows in another order": swapped_rows,
    "a shorter layout": shortened,
    "a layout of words": lambda fields: fields["layouts"].update({"l0.gates": ["a"]}),
    "a layout twice": lambda fields: fields["layouts"].update({"l0.gates": [0] * 6}),
    "no lanes": interface(lanes=0),
    "a lane in words": interface(lanes="one"),
    "an element of no bits": interface(io_bits=0),
    "an order of the future": interface(batch_first="maybe"),
    "no steps at all": interface(max_steps=0),
    "steps in words": interface(max_steps="9"),
    "a limit of steps where none are buffered": interface(max_steps=9),
    "elements wider than they are": interface(io_bits=32),
    "exponents of fewer inputs": interface(input_exponents=[1]),
    "an exponent too great": interface(input_exponents=[25] + [0] * (INPUTS - 1)),
    "an exponent below zero": interface(input_exponents=[-1] + [0] * (INPUTS - 1)),
    "states in another order": lambda fields: fields["interface"].update(
        states=dict(reversed(fields["interface"]["states"].items()))
    ),
    "a state of an unknown layout": lambda fields: fields["interface"]["states"].update(
        {"l0.c": "nobody"}
    ),
    "a layout of an unknown node": lambda fields: fields["layout_of"].update(nobody="x"),
    "an unknown layout": lambda fields: fields["layout_of"].update(x="nobody"),
    "no layout of a state": dropped("layout_of", "l0.c_before"),
    "no layout of a bias": dropped("layout_of", "l0.b_i"),
    "a hole in a layout": lambda fields: fields["layouts"].update({"x": [0, 1, 2, 2]}),
    "other states": interface(states=["l0.c", "l1.c"]),
    "a state twice": interface(states=["l0.y", "l0.y"]),
    "states that are no list": interface(states=None),
    "other parameters": lambda fields: fields.update(parameters=["l0.W_ix"]),
    "parameters in another order": lambda fields: fields["parameters"].reverse(),
    "fewer parameters": lambda fields: fields["parameters"].pop(),
}  # fmt: skip


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_does_not_fit_is_refused(case, refused, project):
    tamper_json(project, "weights/manifest.json", MANIFESTS[case])
    with little_memory():
        assert refused(*run_words()).endswith(f"(project); hint: {AGAIN}")


@contextmanager
def little_memory(spare=1 << 30):
    """Whoever allocates on the word of a number gets a MemoryError."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_an_untouched_project_runs_after_all_this(penstock, project):
    tamper_json(project, "graph.json", lambda fields: None)
    done = penstock(*run_words())
    assert (done.status, done.err) == (0, "")
    assert np.load("y.npy").shape == (2, 5, CELLS)
