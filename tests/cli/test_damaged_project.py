"""A project that was changed is refused, even where its sha256 was made to match."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from cli.given import AGAIN, CELLS, run_words
from safetensors.numpy import load_file, save_file


@pytest.mark.parametrize("command", ["run", "csim", "check"])
@pytest.mark.parametrize("folder", ["none", ".", "x.npy"])
def test_a_folder_that_is_no_project_is_refused(command, folder, refused):
    words = run_words(folder) if command == "run" else (command, folder)
    assert refused(*words) == (
        f"this is no Penstock project ({folder}); hint: give the folder that penstock compile wrote"
    )


DIFFERS = (
    "{} is not the file that the compiler wrote (its sha256 differs) (project); hint: " + AGAIN
)
BINARIES = ["weights/group_0.bin", "weights/parameters.bin", "graph.json", "graph.safetensors"]


@pytest.mark.parametrize("name", BINARIES)
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


@pytest.mark.parametrize("name", [*BINARIES, "weights/manifest.json"])
def test_a_missing_file_is_refused(name, refused, project):
    (project / name).unlink()
    assert refused(*run_words()) == (
        f"{name} can't be read: No such file or directory (project); hint: {AGAIN}"
    )


def tamper(project, name, change):
    """Change a file, and the manifest's sha256 with it."""
    content = change((project / name).read_bytes())
    (project / name).write_bytes(content)
    manifest = json.loads((project / "weights/manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256(content).hexdigest()
    (project / "weights/manifest.json").write_text(json.dumps(manifest))


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
        f"the packed weights of l0.b_i are not those of the graph (project); hint: {AGAIN}"
    )


@pytest.mark.parametrize("name", ["weights/group_0.bin", "weights/parameters.bin"])
def test_weights_that_are_cut_short_are_found_even_with_a_matching_sha256(name, refused, project):
    tamper(project, name, lambda content: content[: len(content) // 4])
    line = refused(*run_words())
    assert line.startswith("weights/ is damaged: ") and line.endswith(f"(project); hint: {AGAIN}")


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
    line = refused(*run_words())
    assert "graph" in line and line.endswith(f"(project); hint: {AGAIN}")


GARBAGE = [b"", b"\xff\xfe", b"null", b"[]", b"[" * 100000]


@pytest.mark.parametrize("content", GARBAGE, ids=["empty", "no text", "null", "list", "too deep"])
def test_a_graph_of_garbage_is_refused(content, refused, project):
    tamper(project, "graph.json", lambda _: content)
    assert refused(*run_words()).endswith(f"(project); hint: {AGAIN}")


@pytest.mark.parametrize("content", GARBAGE, ids=["empty", "no text", "null", "list", "too deep"])
def test_a_manifest_of_garbage_is_refused(content, refused, project):
    (project / "weights/manifest.json").write_bytes(content)
    line = refused(*run_words())
    assert line.startswith("weights/manifest.json is damaged: ")
    assert line.endswith(f"(project); hint: {AGAIN}")


def test_garbage_for_the_graphs_constants_is_refused(refused, project):
    tamper(project, "graph.safetensors", lambda content: content[:50])
    assert refused(*run_words()).startswith("the saved graph is damaged: ")


def phase(**values):
    return lambda fields: fields["phases"][0].update(values)


def extra(**values):
    return lambda fields: fields["extra"].update(values)


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
        "schema", "pes", "group_pes", "port_bits", "phases", "layouts", "layout_of", "parameters",
        "extra", "sha256")},
    **{f"no extra {key}": dropped("extra", key) for key in (
        "lanes", "io_bits", "batch_first", "max_steps", "states")},
    **{f"no sha256 of {name}": dropped("sha256", name) for name in BINARIES},
    "another schema": lambda fields: fields.update(schema=99),
    "no PEs": lambda fields: fields.update(pes=0),
    "fewer PEs": lambda fields: fields.update(pes=1, group_pes=1),
    "PEs in words": lambda fields: fields.update(pes="two"),
    "groups of no PEs": lambda fields: fields.update(group_pes=0),
    "groups greater than all": lambda fields: fields.update(group_pes=64),
    "a port of no bits": lambda fields: fields.update(port_bits=0),
    "sha256 that is a list": lambda fields: fields.update(sha256=[]),
    "a file from elsewhere": lambda fields: fields["sha256"].update({"graph.json": "0"}),
    "phases that are no list": lambda fields: fields.update(phases=7),
    "no phase": lambda fields: fields.update(phases=[]),
    "a phase twice": lambda fields: fields["phases"].append(dict(fields["phases"][0])),
    "an unknown phase field": phase(exec="rm"),
    "weights of no bits": phase(weight_bits=0),
    "weights of fewer bits": phase(weight_bits=5),
    "weights of too many bits": phase(weight_bits=10**9),
    "gaps of other bits": phase(format={"name": "gap", "index_bits": 5}),
    "gaps of too many bits": phase(format={"name": "gap", "index_bits": 9}),
    "an unknown format": phase(format={"name": "runs", "index_bits": 5}),
    "vectors of other matrices": phase(gathers=[[0, 0]] * 4),
    "vectors of fewer matrices": phase(gathers=[[0, 1]]),
    "unknown vectors": phase(gathers=[[0, 7]] * 4),
    "vectors counted from the end": phase(gathers=[[0, -1]] * 4),
    "fewer words": phase(words=1),
    "more words": phase(words=10**12),
    "less than no words": phase(words=-1),
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
    "no lanes": extra(lanes=0),
    "a lane in words": extra(lanes="one"),
    "an element of no bits": extra(io_bits=0),
    "an order of the future": extra(batch_first="maybe"),
    "no steps at all": extra(max_steps=0),
    "steps in words": extra(max_steps="9"),
    "other states": extra(states=["l0.c", "l1.c"]),
    "a state twice": extra(states=["l0.y", "l0.y"]),
    "states that are no list": extra(states=None),
    "other parameters": lambda fields: fields.update(parameters=["l0.W_ix"]),
    "parameters in another order": lambda fields: fields["parameters"].reverse(),
    "fewer parameters": lambda fields: fields["parameters"].pop(),
}  # fmt: skip


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_does_not_fit_is_refused(case, refused, project):
    path = project / "weights/manifest.json"
    fields = json.loads(path.read_text())
    MANIFESTS[case](fields)
    path.write_text(json.dumps(fields))
    assert refused(*run_words()).endswith(f"(project); hint: {AGAIN}")


def test_an_untouched_project_runs_after_all_this(penstock, project):
    tamper_json(project, "graph.json", lambda fields: None)
    done = penstock(*run_words())
    assert (done.status, done.err) == (0, "")
    assert np.load("y.npy").shape == (2, 5, CELLS)
