"""The bank dataflow: bit-true in C simulation, free of what lint finds, its program proven."""

from __future__ import annotations

import shutil
from dataclasses import replace

import batch
import msgspec
import pytest
from graphs import Sketch
from support import random_model

import penstock
from penstock import Hardware, PenstockError, Precision
from penstock.calibration import calibrate
from penstock.driver import compile_graph, compile_model
from penstock.lowering import lower
from penstock.machine import describe, phases
from penstock.machine.choose import choose
from penstock.packing import groups
from penstock.packing.validate import validate
from penstock.schedule import schedule
from penstock_runtime import load_project
from penstock_runtime.compare import check
from penstock_runtime.csim import build, run_testbench
from penstock_runtime.kernel_constants import wrong_pragmas
from penstock_runtime.lint import lint

MATRIX = {
    "a layer whose state waits for the end of the step": ({"cells": (10,)}, (8, 2), {}, {}),
    "one cell, one bank, one input": ({"inputs": 1, "cells": (1,), "density": 1}, (4, 1), {}, {}),
    "projection and peepholes, 4 lanes": (
        {"cells": (13,), "outputs": 6, "peephole": True}, (8, 4), {"lanes": 4}, {},
    ),
    "two layers, a head at every step, 2 lanes": (
        {"cells": (9, 6), "head": 11, "at": "step", "activation": "argmax"}, (4, 4),
        {"lanes": 2}, {},
    ),
    "bidirectional below, forward above, 4 lanes": (
        {"cells": (6, 8), "bidirectional": [True, False], "head": 5}, (16, 2), {"lanes": 4}, {},
    ),
    "a unit for every cell of a turn": (
        {"cells": (30,), "density": 0.2}, (32, 8), {"elements_per_cycle": 8}, {},
    ),
    "one unit for all of a turn": (
        {"cells": (30,), "outputs": 10, "density": 0.2}, (32, 8), {"elements_per_cycle": 1}, {},
    ),
    "every row has a scale of its own": (
        {"cells": (12, 6), "outputs": 5, "peephole": True, "head": 3, "at": "step"}, (8, 4),
        {"lanes": 2}, {"weights": 4, "inputs": 8, "outputs": 8, "row_scales": True},
    ),
    "32 lanes": ({"cells": (9,), "outputs": 6, "head": 3}, (8, 2), {"lanes": 32}, {}),
    "weights streamed": (
        {"cells": (9,), "outputs": 6, "head": 3}, (8, 4),
        {"weight_storage": "stream", "port_bits": 128}, {},
    ),
    "frames and results as AXI streams": (
        {"inputs": 7, "cells": (8,), "head": 3, "at": "step"}, (8, 4),
        {"io": "stream", "port_bits": 64}, {},
    ),
    "no weight at all": ({"cells": (4,), "outputs": 3, "density": 0}, (4, 2), {}, {}),
    "the mean over the steps, 4 lanes": (
        {"cells": (9,), "head": 3, "at": "mean"}, (8, 2), {"lanes": 4}, {},
    ),
    "the max over the steps of both directions, 4 lanes": (
        {"cells": (6,), "bidirectional": True, "head": 3, "at": "max"}, (4, 2), {"lanes": 4}, {},
    ),
    "a unit for the cells of two turns, and of four": (
        {"cells": (30, 9), "outputs": 10, "peephole": True, "head": 3, "at": "step",
         "density": 0.2}, (8, 8), {"elements_per_cycle": 8}, {},
    ),
    "four sequences take turns": (
        {"cells": (13,), "outputs": 6, "peephole": True, "head": 3, "at": "step"}, (8, 4),
        {"lanes": 4, "interleave": 4}, {},
    ),
    "two take turns, two lie side by side, both directions, a state that waits": (
        {"cells": (6, 8), "bidirectional": [True, False], "head": 5}, (16, 2),
        {"lanes": 4, "interleave": 2}, {"weights": 4, "row_scales": True},
    ),
    "they take turns at the max of both directions": (
        {"cells": (6,), "bidirectional": True, "head": 3, "at": "max"}, (4, 2),
        {"lanes": 2, "interleave": 2}, {},
    ),
    "they take turns at the mean, from streams": (
        {"inputs": 7, "cells": (9,), "head": 3, "at": "mean"}, (8, 4),
        {"lanes": 4, "interleave": 4, "io": "stream", "port_bits": 64, "elements_per_cycle": 4}, {},
    ),
    "frames come in with their step": (
        {"cells": (9, 6), "outputs": 5}, (8, 4), {"overlap": False}, {},
    ),
    "no weight at all, two take turns": (
        {"cells": (4,), "outputs": 3, "density": 0}, (4, 2), {"lanes": 2, "interleave": 2}, {},
    ),
    "a sweep without products": (
        {"cells": (8,), "outputs": 4, "bidirectional": True}, (8, 2), {}, {},
    ),
    "the same, lanes in turn": (
        {"cells": (8,), "outputs": 4, "bidirectional": True}, (8, 2),
        {"lanes": 2, "interleave": 2}, {},
    ),
    "twelve rows at a time": (
        {"cells": (10,), "outputs": 7}, (12, 4), {"elements_per_cycle": 1}, {},
    ),
}  # fmt: skip
"""(network, (rows, banks), other settings, precision)"""


def settings(shape, **more):
    rows, banks = shape
    return Hardware(dataflow="bank", rows=rows, banks=banks,
                    **{"weight_storage": "onchip", **more})  # fmt: skip


def made(model, shape, hardware, precision, seed=3):
    network = random_model(**model, seed=seed)
    return compile_model(network, None, settings(shape, **hardware), Precision(**precision))


def compiled(folder, *case, **more):
    return load_project(made(*case, **more).write(folder))


def test_interpreter_equals_c_simulation(cpp_flags, tmp_path):
    """Built as one program, in which a warning is an error; loops are counted by check."""
    projects = {
        name: compiled(tmp_path / str(number), *case)
        for number, (name, case) in enumerate(MATRIX.items())
    }
    done = list(batch.checked(projects, tmp_path))
    assert [result.calls for _, _, result in done] == [14] * len(MATRIX)
    assert all(result.wrong_constants == () and result.constants for _, _, result in done)


RULES = ["bidirectional below, forward above, 4 lanes", "every row has a scale of its own",
         "a unit for every cell of a turn", "weights streamed",
         "a unit for the cells of two turns, and of four",
         "two take turns, two lie side by side, both directions, a state that waits"]  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_the_kernel_breaks_no_rule(name, tmp_path):
    report = lint(compiled(tmp_path / "project", *MATRIX[name]).folder)
    assert [finding.line() for finding in report.findings] == []
    rows = [row for row in report.table if row.function.startswith("run_sweep")]
    reads = {(r.kind, r.reads, r.writes) for r in rows if r.array.startswith("vector_")}
    most = {("ram_s2p", 1, 1), ("ram_s2p", 1, 0), ("ram_s2p", 0, 1)}
    assert ("ram_s2p", 1, 1) in reads and reads <= most


@pytest.mark.long
def test_no_index_leaves_its_array(cpp_flags, tmp_path):
    """C simulation may hide an index out of range; the sanitizers do not."""
    project = compiled(tmp_path / "project", *MATRIX["twelve rows at a time"])
    sanitizers = ("-g", "-O0", "-fsanitize=address,bounds", "-fno-sanitize-recover=all")
    done = run_testbench(project.folder, build(project.folder, sanitizers))
    assert done.passed and "0 different" in done.output, done.output


IN_BLOCKS = {
    "projection and peepholes": ({"cells": (13,), "outputs": 6, "peephole": True}, {}),
    "sequences in turn, a state with two images": (
        {"cells": (9,), "head": 3, "at": "step"}, {"lanes": 4, "interleave": 2},
    ),
    "weights streamed": (
        {"cells": (9,), "outputs": 6}, {"weight_storage": "stream", "port_bits": 512},
    ),
}  # fmt: skip


@pytest.mark.long
def test_more_multipliers_than_an_array_has_memories_work_in_blocks_of_rows(
    cpp_flags, tmp_path, monkeypatch
):
    def depths():
        machines = [made(model, (32, 4), more, {}).machine for model, more in IN_BLOCKS.values()]
        return [(one.programs[0].depth, *(phase.depth for phase in one.phases)) for one in machines]

    in_one = depths()
    monkeypatch.setattr(groups, "MOST_PARTITIONS", 32)
    monkeypatch.setattr(phases, "MOST_PARTITIONS", 32)
    projects = {
        name: compiled(tmp_path / str(number), model, (32, 4), hardware, {})
        for number, (name, (model, hardware)) in enumerate(IN_BLOCKS.items())
    }
    assert depths() == [(program + 2, *(phase + 1 for phase in own)) for program, *own in in_one]
    for project in projects.values():
        text = (project.folder / "kernel/cell_unit.h").read_text()
        assert "vector_0_3[8][BANKS]" in text and "rows_of_sweep_0<24, 32>(" in text
    for name, project, result in batch.checked(projects, tmp_path):
        assert result.wrong_constants == (), name
        assert [finding.line() for finding in lint(project.folder).findings] == [], name


FAULTS = {
    "the image of the step before": ("kernel/pe_array.h", "written.is_later ? !image : image",
                                     "image"),
    "an image that no step leaves": ("kernel/cell_unit.h", "      image = !image;\n", ""),
    "an image that no call leaves": ("kernel/compute.h", "if (steps % 2 == 1) image = !image;", ""),
    "a bank that is left out": ("kernel/pe_array.h", "half > 0", "half > 1"),
    "sums of a turn that go on": ("kernel/cell_unit.h", "begins = ends != 0;", "begins = false;"),
    "another part of a turn": ("kernel/pe_array.h", "if (part == unsigned(p))",
                               "if (part == unsigned(p + 1))"),
    "an element in its neighbour's bank": (
        "kernel/pe_array.h", "written.packet.element[bank % CELL_UNITS]",
        "written.packet.element[(bank + 1) % CELL_UNITS]",
    ),
    "a word that is taken again and again": ("kernel/cell_unit.h", "      ++at;\n", ""),
    "a state that takes effect too soon": (
        "kernel/cell_unit.h", "later(writing(L0_Y_BASE, index, l0_y_packets_next))",
        "writing(L0_Y_BASE, index, l0_y_packets_next)",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(cpp_flags, tmp_path_factory):
    model = {"cells": (9,), "head": 3, "at": "step"}
    return compiled(tmp_path_factory.mktemp("bank") / "sound", model, (16, 4),
                    {"elements_per_cycle": 2}, {})  # fmt: skip


@pytest.mark.long
def test_planted_faults_are_found(sound, tmp_path):
    """All of them are built as one program."""
    folders = {}
    for number, (name, (file, old, new)) in enumerate(FAULTS.items()):
        folder = folders[name] = tmp_path / str(number)
        shutil.copytree(sound.folder, folder)
        text = (folder / file).read_text()
        assert old in text, name
        (folder / file).write_text(text.replace(old, new, 1))
    made = batch.build(list(folders.values()), tmp_path)
    found = {
        name: check(load_project(folder), executable=made[folder]).difference
        for name, folder in folders.items()
    }
    assert [name for name, difference in found.items() if difference is None] == []


@pytest.mark.parametrize(("old", "new"), [
    ("RAW distance=", "RAW distance=1"),
    ("variable=vector_0 inter RAW", "variable=vector_0 intra RAW"),
    ("variable=l0_c inter", "variable=held inter"),
])  # fmt: skip
def test_a_false_promise_to_the_synthesis_tool_is_found(old, new, sound, tmp_path):
    folder = shutil.copytree(sound.folder, tmp_path / "project")
    path = folder / "kernel/cell_unit.h"
    assert wrong_pragmas(folder, sound.manifest) == []
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found = wrong_pragmas(folder, sound.manifest)
    assert found and found[0].name.endswith("in run_sweep_0, kernel/cell_unit.h")


def test_all_results_of_a_sequence_leave_before_those_of_the_next(cpp_flags, tmp_path):
    """A step has results of two units and of its own frame."""
    sketch = Sketch(inputs=8)
    first = sketch.requant("a", sketch.product("a.acc", 6, "x"))
    second = sketch.requant("b", sketch.product("b.acc", 4, "x", first))
    graph = sketch.done(second, first, "x")
    projects = {}
    for turns in (1, 2, 4):
        hardware = Hardware(dataflow="bank", rows=4, banks=2, weight_storage="onchip", lanes=4,
                            interleave=turns)  # fmt: skip
        made = compile_graph(graph, hardware)
        projects[f"{turns} in turn"] = load_project(made.write(tmp_path / str(turns)))
    done = list(batch.checked(projects, tmp_path))
    assert len(done) == 3 and all(result.calls == 14 for _, _, result in done)


def test_a_region_with_another_state_has_one_image(cpp_flags, tmp_path):
    """Its own phase gathers a; b is written at once, by another, into the same memories."""
    sketch = Sketch(inputs=8)
    before = [sketch.state("a", 6), sketch.state("b", 4)]
    sketch.write("a", sketch.requant("a_new", sketch.product("a.acc", 6, "x", *before)))
    new = sketch.requant("b_new", sketch.product("b.acc", 4, "x"))
    sketch.write("b", new)
    hardware = Hardware(dataflow="bank", rows=4, banks=2, weight_storage="onchip")
    compiled = compile_graph(sketch.done(new), hardware)
    kept = compiled.machine.kept
    assert [set(region) for region in kept.activations.regions] == [{"x@0", "a", "b"}]
    assert kept.deferred == {"a"} and kept.doubled == set()
    project = load_project(compiled.write(tmp_path / "project"))
    ((_, _, result),) = batch.checked({"two states": project}, tmp_path)
    assert result.calls == 14


def test_the_readme_says_what_an_entry_is(sound):
    text = (sound.folder / "README.md").read_text()
    assert "address in its bank. PE r * 4 + b multiplies for row r of a turn" in text
    assert "gap" not in text.partition("**weights.**")[2]


def changed(program, **columns):
    return msgspec.structs.replace(program, **columns)


WORDS = ("phase", "begins", "ends", "slot", "word_sequence", "at")


def late(program, cycles):
    """Units and moves work so many cycles later."""
    waits = (0,) * cycles
    columns = (*WORDS, "acting", "part", "move", "index", "sequence")
    return {
        name: (*own, *waits) if name in WORDS else (*waits, *own)
        for name in columns for own in [getattr(program, name)]
    }  # fmt: skip


PROGRAMS = {
    "a word too few": (
        lambda p: {"phase": tuple(0 if n == p.phase.index(1) else v
                                  for n, v in enumerate(p.phase))},
        "its words lie elsewhere",
    ),
    "a turn that ends early": (
        lambda p: {"ends": (*p.ends[1:], 0)}, "a turn ends without a word|its turns end elsewhere",
    ),
    "a unit that takes the same twice": (
        lambda p: {"index": tuple(0 if a == 1 else i
                                  for a, i in zip(p.acting, p.index, strict=True))},
        "a unit skips elements",
    ),
    "a unit that takes another part": (
        lambda p: {"part": tuple(1 - q if a == 1 else q
                                 for a, q in zip(p.acting, p.part, strict=True))},
        "another part of a turn",
    ),
    "units that come a turn too late": (lambda p: late(p, 1 + p.ends.index(1)), "of another turn"),
    "a column that is shorter": (lambda p: {"move": p.move[1:]}, "columns differ in length"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_does_something_else_is_refused(name, sound):
    change, told = PROGRAMS[name]
    program = sound.manifest.kernel.programs[0]
    kernel = msgspec.structs.replace(
        sound.manifest.kernel, programs=(changed(program, **change(program)),)
    )
    manifest = replace(sound.manifest, kernel=kernel)
    files = [(sound.folder / name).read_bytes() for name in manifest.file_bytes()]
    validate(sound.graph, sound.manifest, files, 4)
    with pytest.raises(AssertionError, match=told):
        validate(sound.graph, manifest, files, 4)


def test_a_distance_that_the_program_does_not_keep_is_refused(sound):
    """The proof finds the closest read of what a step writes, and no distance beyond it."""
    kernel = sound.manifest.kernel
    program = kernel.programs[0]
    files = [(sound.folder / name).read_bytes() for name in sound.manifest.file_bytes()]
    promises = program.promises | {"vector_0": program.promises["vector_0"] + len(program.phase)}
    own = msgspec.structs.replace(kernel, programs=(changed(program, promises=promises),))
    with pytest.raises(AssertionError, match="reads an activation too soon"):
        validate(sound.graph, replace(sound.manifest, kernel=own), files, 4)


def test_a_promise_of_an_array_that_the_program_does_not_keep_is_refused(sound):
    kernel = sound.manifest.kernel
    program = kernel.programs[0]
    files = [(sound.folder / name).read_bytes() for name in sound.manifest.file_bytes()]
    promises = program.promises | {"l0_c": len(program.phase) + 1}
    own = msgspec.structs.replace(kernel, programs=(changed(program, promises=promises),))
    with pytest.raises(AssertionError, match="l0_c is read too soon"):
        validate(sound.graph, replace(sound.manifest, kernel=own), files, 4)


def test_a_state_has_two_images_if_its_phase_gathers_it_and_nobody_else_needs_the_old_one():
    alone = describe_in_banks(random_model(cells=(20,), density=0.3), (16, 4))
    assert alone.kept.doubled == {"l0.y"} and not alone.kept.deferred
    ((program,),) = (alone.programs.values(),)
    assert {later for touched in program.by_units for later in touched.later} == {"l0.y"}
    assert [load.vector for load in program.ahead] == ["x"] and len(program.moves) == 1
    with_projection = random_model(cells=(20,), outputs=8, density=0.3)
    assert not describe_in_banks(with_projection, (16, 4)).kept.doubled


def test_what_is_written_for_the_next_step_can_not_be_read_in_this_one(tmp_path):
    project = compiled(tmp_path / "project", {"cells": (20,)}, (16, 4), {}, {})
    kernel = project.manifest.kernel
    program = kernel.programs[0]
    now = tuple(msgspec.structs.replace(work, later=()) for work in program.units)
    own = msgspec.structs.replace(kernel, programs=(changed(program, units=now),))
    files = [(project.folder / name).read_bytes() for name in project.manifest.file_bytes()]
    validate(project.graph, project.manifest, files, 4)
    with pytest.raises(AssertionError, match="reads from an image what is not yet there"):
        validate(project.graph, replace(project.manifest, kernel=own), files, 4)


def test_every_sequence_takes_the_words_of_its_phase(tmp_path):
    turns = {"lanes": 2, "interleave": 2}
    project = compiled(tmp_path / "project", {"cells": (9,), "outputs": 5}, (8, 4), turns, {})
    kernel = project.manifest.kernel
    program = kernel.programs[0]
    files = [(project.folder / name).read_bytes() for name in project.manifest.file_bytes()]
    validate(project.graph, project.manifest, files, 4)
    first = program.word_sequence.index(1)  # begins one word too late
    at = tuple(
        place + (sequence == 1 and cycle == first)
        for cycle, (place, sequence) in enumerate(
            zip(program.at, program.word_sequence, strict=True)
        )
    )
    own = msgspec.structs.replace(kernel, programs=(changed(program, at=at),))
    with pytest.raises(AssertionError, match="its words lie elsewhere"):
        validate(project.graph, replace(project.manifest, kernel=own), files, 4)


@pytest.fixture(scope="module")
def in_turns():
    """ESE-like, a fifth of the size: three sequences' waits are filled by the fourth."""
    network = random_model(inputs=32, cells=(200,), outputs=96, density=0.1)
    return describe_in_banks(network, (32, 16), lanes=4, interleave=4, elements_per_cycle=16)


def describe_in_banks(network, shape, **more):
    graph = lower(network, calibrate(network, None), Precision())
    hardware = settings(shape, **more)
    return describe(graph, schedule(graph, hardware), True)


def test_sequences_that_take_turns_leave_no_cycle_empty(in_turns):
    words = 4 * sum(product.code.words for product in in_turns.plan.products)
    assert words <= in_turns.timeline.step <= 1.03 * words
    alone = describe_in_banks(
        random_model(inputs=32, cells=(200,), outputs=96, density=0.1), (32, 16),
        elements_per_cycle=16,
    )  # fmt: skip
    assert 4 * alone.timeline.step > 1.2 * in_turns.timeline.step


def test_a_frame_comes_in_during_the_step_before():
    network = random_model(inputs=64, cells=(64,), outputs=32, density=0.3)
    now, ahead = (describe_in_banks(network, (16, 8), overlap=overlap) for overlap in (False, None))
    units = now.hardware.cell_units
    assert now.timeline.step - ahead.timeline.step >= 64 // units
    ((load,),) = (program.ahead for program in ahead.programs.values())
    assert load.vector == "x" and not next(iter(now.programs.values())).ahead


REFUSED = {
    "turns of another dataflow": ({"dataflow": "gather", "lanes": 2, "interleave": 2},
                                  "lanes that take turns with the gather dataflow"),
    "turns that do not divide the lanes": ({"lanes": 4, "interleave": 3},
                                           "4 lanes of which 3 take turns"),
    "turns and streamed weights": ({"lanes": 2, "interleave": 2, "weight_storage": "stream"},
                                   "lanes that take turns and weights that are streamed"),
    "rows that are no whole cells": ({"rows": 6, "banks": 2, "elements_per_cycle": 1},
                                     "6 rows at a time are not whole cells of l0.gates"),
    "banks that are no power of two": ({"rows": 8, "banks": 3}, "3 banks"),
    "more units than banks": ({"rows": 32, "banks": 2, "elements_per_cycle": 8},
                              "8 elements per cycle do not go to 2 banks"),
    "PEs that are not rows times banks": ({"rows": 8, "banks": 2, "pes": 8},
                                          "8 rows of 2 banks are not 8 PEs"),
    "overlap": ({"rows": 8, "banks": 2, "overlap": True}, "overlap with the bank dataflow"),
    "index bits": ({"rows": 8, "banks": 2, "index_bits": 4}, "index bits with the bank dataflow"),
    "rows with another dataflow": ({"rows": 8, "dataflow": "gather"},
                                   "rows and banks with the gather dataflow"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_built_is_refused_in_one_line(name):
    asked, told = REFUSED[name]
    with pytest.raises(PenstockError, match=told) as caught:
        compile_model(random_model(cells=(10,)), None, Hardware(**{"dataflow": "bank", **asked}))
    assert caught.value.hint


def test_a_unit_that_writes_two_vectors_of_one_region_is_refused():
    torch = pytest.importorskip("torch")

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(4, 8, batch_first=True)
            self.one, self.both = torch.nn.Linear(8, 8), torch.nn.Linear(16, 4)

        def forward(self, x):
            z = self.one(self.lstm(x)[0])
            return self.both(torch.cat([torch.tanh(z), torch.sigmoid(z)], -1))

    with pytest.raises(PenstockError, match=r"one\.dense writes two vectors that are gathered tog"):
        penstock.compile(Two(), hardware=settings((8, 4)))


def test_a_step_takes_the_words_and_what_its_two_products_wait_for_one_another():
    graph = lower(
        network := random_model(inputs=16, cells=(64,), outputs=32, density=0.3),
        calibrate(network, None), Precision(),
    )  # fmt: skip
    machine = describe(graph, schedule(graph, settings((16, 8))), True)
    program = machine.programs[0]
    words = sum(product.code.words for product in machine.plan.products)
    gates, projection = (phase for phase in program.phases)
    assert program.words == words
    waits = gates.depth + projection.depth
    assert words < machine.order.step_cycles <= words + waits + 8
    assert machine.timeline.call(1, "carried") > machine.timeline.step


def test_rows_and_banks_are_chosen_for_the_device_and_auto_says_why():
    network = random_model(inputs=32, cells=(128,), density=0.2)
    graph = lower(network, calibrate(network, None), Precision())
    machine, (note, *_) = choose(graph, Hardware(dataflow="bank", board="kv260"))
    hardware = machine.hardware
    assert note.startswith(
        f"for kv260, the compiler chose {hardware.rows} rows of {hardware.banks} banks, "
    )
    best, (why, *_) = choose(graph, Hardware(dataflow="auto", board="kv260"))
    gather, _ = choose(graph, Hardware(board="kv260"))
    faster = min((machine, gather), key=lambda one: one.timeline.step)
    assert best.hardware.dataflow == faster.hardware.dataflow
    assert why.startswith(f"the compiler chose the dataflow {best.hardware.dataflow}: ")
    assert f"gather takes {gather.timeline.step:,} cycles a step" in why


def test_units_are_doubled_as_long_as_it_is_worth_it():
    """A turn has the cells of two units; the projection's results are many."""
    network = random_model(inputs=4, cells=(32,), outputs=32, density=0.2)
    graph = lower(network, calibrate(network, None), Precision())
    made, _ = choose(graph, settings((8, 16)))
    assert made.hardware.cell_units == 8
    steps = [
        choose(graph, settings((8, 16), elements_per_cycle=units))[0].timeline.step
        for units in (2, 4, 8, 16)
    ]
    assert steps[1] < 0.98 * steps[0] and steps[2] < 0.98 * steps[1]
    assert steps[3] > 0.98 * steps[2]


def test_more_multipliers_than_there_may_be_are_refused_by_rows_and_banks():
    with pytest.raises(PenstockError) as caught:
        settings((1000, 64))
    assert str(caught.value) == (
        "1000 rows of 64 banks are more than 8,192 multipliers (hardware settings); "
        "hint: choose fewer (--rows, --banks)"
    )


def test_rows_that_no_matrix_fills_are_not_the_masks_fault():
    """A head of 3 classes in 16 rows at a time; all else has no zeros."""
    network = random_model(inputs=8, cells=(8,), head=3, at="step", density=1)
    graph = lower(network, calibrate(network, None), Precision())
    _, notes = choose(graph, settings((16, 4)))
    (told,) = [note for note in notes if "hold no weight" in note]
    assert told.endswith("some matrices do not fill 16 rows at a time: see what fewer rows take")


def test_a_mask_that_is_not_balanced_compiles_and_is_told():
    network = random_model(inputs=32, cells=(128,), density=0.1)
    graph = lower(network, calibrate(network, None), Precision())
    _, notes = choose(graph, settings((32, 16), board="u55c"))
    (note,) = [note for note in notes if "not balanced" in note]
    assert "pattern bank_balanced" in note and "--dataflow gather" in note
