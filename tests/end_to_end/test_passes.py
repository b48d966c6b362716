"""Turns of the bank dataflow that work in passes: bit-true, proven, and shorter."""

from __future__ import annotations

import shutil
from dataclasses import replace

import batch
import msgspec
import numpy as np
import pytest
from support import random_direction, random_model

from penstock import Hardware, Precision
from penstock.calibration import calibrate
from penstock.driver import compile_model
from penstock.formats import Bank
from penstock.layers import DenseHead
from penstock.lowering import lower
from penstock.machine import describe, phases, work
from penstock.machine.depths import PASS_DISTANCE
from penstock.machine.program import programs
from penstock.model import stack
from penstock.packing import groups
from penstock.packing.manifest import unpack_phase
from penstock.packing.validate import validate
from penstock.schedule import schedule
from penstock_runtime import load_project
from penstock_runtime.compare import check
from penstock_runtime.lint import lint

CASES = {
    "a layer that gathers its own state": ({"inputs": 8, "cells": (16,)}, (8, 2), {}),
    "projection and peepholes, 4 lanes": (
        {"inputs": 8, "cells": (16,), "outputs": 8, "peephole": True}, (8, 4), {"lanes": 4},
    ),
    "two layers, a head at every step, 2 lanes": (
        {"inputs": 8, "cells": (16, 8), "head": 11, "at": "step", "activation": "argmax"}, (4, 4),
        {"lanes": 2},
    ),
    "bidirectional below, forward above, a head at the end": (
        {"inputs": 8, "cells": (8, 16), "bidirectional": [True, False], "head": 5}, (8, 2), {},
    ),
    "a unit for the cells of four turns": (
        {"inputs": 16, "cells": (32,)}, (8, 8), {"elements_per_cycle": 8},
    ),
}  # fmt: skip
"""Networks without zeros: balanced for any banks that divide their vectors."""


def made(name):
    model, (rows, banks), more = CASES[name]
    network = random_model(**model, density=1, seed=3)
    hardware = Hardware(dataflow="bank", rows=rows, banks=banks, weight_storage="onchip", **more)
    return compile_model(network, None, hardware)


def plain(machine):
    """Cycles of a step if no turn began before the last has ended."""
    found = programs(machine.kept, machine.phases, machine.loads, on_chip=False)
    assert all(program.slots == 0 for program in found.values())
    return len(found[0].cycles)


@pytest.fixture(scope="module")
def sound(cpp_flags, tmp_path_factory):
    name = "projection and peepholes, 4 lanes"
    return load_project(made(name).write(tmp_path_factory.mktemp("passes") / "sound"))


def test_interpreter_equals_c_simulation_and_steps_are_shorter(cpp_flags, tmp_path):
    projects = {}
    for number, name in enumerate(CASES):
        compiled = made(name)
        program = compiled.machine.programs[0]
        assert program.slots > 0, name
        assert program.words <= len(program.cycles) < plain(compiled.machine), name
        projects[name] = load_project(compiled.write(tmp_path / str(number)))
    for name, _, result in batch.checked(projects, tmp_path):
        assert result.calls == 14 and result.wrong_constants == () and result.constants, name


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_breaks_no_rule(name, tmp_path):
    report = lint(made(name).write(tmp_path / "project"))
    assert [finding.line() for finding in report.findings] == []


@pytest.mark.long
def test_blocks_of_rows_work_in_passes(cpp_flags, tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "MOST_PARTITIONS", 32)
    monkeypatch.setattr(phases, "MOST_PARTITIONS", 32)
    model = random_model(inputs=16, cells=(64,), density=1, seed=3)
    hardware = Hardware(dataflow="bank", rows=16, banks=4, weight_storage="onchip")
    compiled = compile_model(model, None, hardware)
    assert compiled.machine.programs[0].slots > 0
    project = load_project(compiled.write(tmp_path / "project"))
    assert "rows_of_sweep_0<8, ROWS>" not in (project.folder / "kernel/cell_unit.h").read_text()
    assert "rows_of_sweep_0<8, 16>" in (project.folder / "kernel/cell_unit.h").read_text()
    ((_, _, result),) = batch.checked({"blocks": project}, tmp_path)
    assert result.wrong_constants == ()


def kept_in_banks(rows, lengths, banks, seed=0):
    """One weight of each row in every bank; column j of each vector is in bank j mod ``banks``."""
    generator = np.random.default_rng(seed)
    bank_of = np.concatenate([np.arange(length) % banks for length in lengths])
    found = np.zeros((rows, len(bank_of)))
    for bank in range(banks):
        own = np.flatnonzero(bank_of == bank)
        found[np.arange(rows), generator.choice(own, rows)] = generator.normal(0, 0.2, rows)
    return found


def balanced(inputs, cells, banks, head=True, change=None):
    """An LSTM of which [x; y] has a weight of each row in every bank; classes of its last state, or
    its state at every step."""
    generator = np.random.default_rng(0)
    part = random_direction(generator, inputs, cells, density=1)
    for number, gate in enumerate(part.w_x):
        both = kept_in_banks(cells, (inputs, cells), banks, number)
        if change is not None and number == 0:
            change(both)
        part.w_x[gate][:], part.w_r[gate][:] = both[:, :inputs], both[:, inputs:]
    dense = DenseHead(generator.normal(0, 1, (3, cells)), np.zeros(3), "none") if head else None
    return stack([(part,)], dense, "last")


def in_banks(network, rows, banks, **more):
    graph = lower(network, calibrate(network, None), Precision())
    hardware = Hardware(dataflow="bank", rows=rows, banks=banks, **more)
    return describe(graph, schedule(graph, hardware), more.get("weight_storage") != "stream")


def test_a_mask_for_twice_the_banks_leaves_a_third_of_the_waits():
    """64 cells, two classes: class 0 of the 32 turns is done, then as much of class 1 as brings
    the first half of the state back in time."""
    network = balanced(8, 64, 8)
    machine = in_banks(network, 8, 4)
    program = machine.programs[0]
    depth = machine.phases[0].depth
    assert program.words == 64 and plain(machine) == 64 + depth - 1
    assert program.slots == 24 and len(program.cycles) == 24 + 16 - 1 + depth + 1
    fewer = in_banks(network, 8, 8)  # as many banks as the mask has: a word a turn, no classes
    assert fewer.programs[0].slots == 0


def test_each_word_reads_one_class_of_addresses():
    product = in_banks(balanced(8, 64, 16), 8, 4).plan.products[0]
    code, entries = product.code, product.entries
    assert isinstance(code.format, Bank) and code.format.classes == 4
    word, pe = np.nonzero(entries["weight"])
    address = entries["index"][word, pe]
    local = np.where(address < 2, address, address - 2)  # x has 2 addresses in each of 4 banks
    share = np.array(code.format.lengths)[0] // 4
    assert (local % 4 == word % (4 * share) // share).all()


def three_in_a_class(both):
    both[0] = 0.0
    both[0, [0, 8, 16]] = 0.1


def test_a_mask_that_is_not_balanced_for_more_banks_has_one_class():
    machine = in_banks(balanced(8, 64, 8, change=three_in_a_class), 8, 4)
    assert machine.plan.products[0].code.format.classes == 1
    assert machine.programs[0].slots == 0


@pytest.mark.parametrize("more", [{"lanes": 2, "interleave": 2}, {"weight_storage": "stream"}])
def test_words_that_come_in_a_fixed_order_work_in_no_passes(more):
    assert in_banks(balanced(8, 64, 8), 8, 4, **more).programs[0].slots == 0


def test_sums_between_words_stand_in_a_memory_of_each_row():
    machine = in_banks(balanced(8, 64, 8), 8, 4)
    ((memory,),) = (machine.memories_of("sums"),)
    bits = machine.accumulator_bits
    assert (memory.count, memory.depth, memory.width, memory.impl) == (8, 24, bits, "lutram")
    assert not in_banks(balanced(8, 64, 8), 8, 8).memories_of("sums")


def test_the_compiler_says_why_turns_work_in_passes(tmp_path):
    hardware = Hardware(dataflow="bank", rows=8, banks=4)
    notes = compile_model(balanced(8, 64, 8), None, hardware).report["notes"]
    (told,) = [note for note in notes if "passes" in note]
    assert told == (
        "turns work in passes, and so wait less: of l0.gates the mask is balanced for 8 banks"
    )


def test_passes_must_save_a_share_of_the_step():
    """256 cells without zeros: a step has 2,048 words, and waits for some thirty cycles."""
    machine = in_banks(random_model(inputs=256, cells=(256,), density=1), 16, 16)
    assert machine.plan.products[0].code.format.classes > 1
    assert machine.programs[0].slots == 0


def test_results_leave_in_their_order():
    """Where the state is the output, turns keep their order, though another would be shorter."""
    steps = []
    for head in (False, True):
        program = in_banks(balanced(8, 64, 8, head), 8, 4).programs[0]
        elements = [cycle.elements for cycle in program.cycles if cycle.unit]
        assert (elements == sorted(elements)) is not head
        steps.append(len(program.cycles))
    assert steps[0] > steps[1]


@pytest.mark.parametrize("most", [9, 14])
def test_turns_that_do_not_find_room_follow_in_chunks_of_their_own(most, monkeypatch):
    monkeypatch.setattr(work, "MOST_SLOTS", most)
    program = in_banks(balanced(8, 64, 8), 8, 4).programs[0]
    assert program.slots <= most
    words = [(cycle.first, cycle.slot) for cycle in program.cycles if cycle.phase]
    assert len(words) == 64 and sum(first for first, _ in words) == 32


FAULTS = {
    "all turns in one slot": ("kernel/cell_unit.h", "so_far[row][turn.slot] = sums",
                              "so_far[row][0] = sums"),
    "sums of a turn that go on": ("kernel/cell_unit.h", "turn.begins = begins != 0",
                                  "turn.begins = false"),
    "words in their order": ("kernel/cell_unit.h", "turn.at = at;", "turn.at = n % STORED_WORDS;"),
}  # fmt: skip


@pytest.mark.long
def test_planted_faults_are_found(sound, tmp_path):
    folders = {}
    for number, (name, (file, old, new)) in enumerate(FAULTS.items()):
        folder = folders[name] = tmp_path / str(number)
        shutil.copytree(sound.folder, folder)
        text = (folder / file).read_text()
        assert old in text, name
        (folder / file).write_text(text.replace(old, new, 1))
    built = batch.build(list(folders.values()), tmp_path)
    found = {
        name: check(load_project(folder), executable=built[folder]).difference
        for name, folder in folders.items()
    }
    assert [name for name, difference in found.items() if difference is None] == []


def swapped(column, a, b):
    found = list(column)
    found[a], found[b] = found[b], found[a]
    return tuple(found)


def first_words(p):
    return [n for n, begins in enumerate(p.begins) if begins]


PROGRAMS = {
    "two turns in one slot": (
        lambda p: {"slot": tuple(0 if one == 1 else one for one in p.slot)}, "share a slot",
    ),
    "a turn that begins with another word": (
        lambda p: {"begins": swapped(p.begins, first_words(p)[0], p.begins.index(0))},
        "a turn begins elsewhere",
    ),
    "a word twice": (
        lambda p: {"at": tuple(p.at[1] if n == 0 else at for n, at in enumerate(p.at))},
        "its words lie elsewhere",
    ),
    "words of two turns exchanged": (
        lambda p: {"at": swapped(p.at, first_words(p)[0], first_words(p)[1])},
        "share a slot",
    ),
    "a turn that ends in another pass": (
        lambda p: {"ends": swapped(p.ends, first_words(p)[0], p.ends.index(1))},
        "its turns end elsewhere",
    ),
    "a sum that is promised too late": (
        lambda p: {"promises": p.promises | {"so_far": len(p.phase)}}, "a sum is read too soon",
    ),
    "no promise of sums": (
        lambda p: {"promises": {k: v for k, v in p.promises.items() if k != "so_far"}},
        "a sum is read too soon",
    ),
    "a unit that takes another turn's sums": (
        lambda p: {"index": swapped(p.index, *[n for n, a in enumerate(p.acting) if a == 1][:2])},
        "a unit takes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_does_something_else_is_refused(name, sound):
    change, told = PROGRAMS[name]
    program = sound.manifest.kernel.programs[0]
    assert program.promises["so_far"] == PASS_DISTANCE
    other = msgspec.structs.replace(program, **change(program))
    assert other != program
    kernel = msgspec.structs.replace(sound.manifest.kernel, programs=(other,))
    files = [(sound.folder / file).read_bytes() for file in sound.manifest.file_bytes()]
    validate(sound.graph, sound.manifest, files, 4)
    with pytest.raises(AssertionError, match=told):
        validate(sound.graph, replace(sound.manifest, kernel=kernel), files, 4)


def test_words_of_two_classes_exchanged_are_refused_by_the_proof_of_reads(sound):
    """A word of the last class, multiplied in the first pass, reads what is not yet there."""
    manifest = sound.manifest
    files = [(sound.folder / file).read_bytes() for file in manifest.file_bytes()]
    entries = unpack_phase(manifest, files, 0)
    assert entries.words == sum(manifest.phases[0].format.lengths)
    program = manifest.kernel.programs[0]
    least = min(n for n, phase in enumerate(program.phase) if phase == 2)
    shorter = msgspec.structs.replace(program, **{
        name: (*getattr(program, name)[least:], *getattr(program, name)[:least])
        for name in ("phase", "begins", "ends", "slot", "word_sequence", "at")
    })  # fmt: skip
    kernel = msgspec.structs.replace(manifest.kernel, programs=(shorter,))
    with pytest.raises(AssertionError):
        validate(sound.graph, replace(manifest, kernel=kernel), files, 4)
