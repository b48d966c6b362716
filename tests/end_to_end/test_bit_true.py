"""The product: interpreter and C simulation agree to the last bit, on a matrix of networks."""

from __future__ import annotations

import shutil

import batch
import numpy as np
import pytest
from support import random_model

from penstock import Hardware, Precision
from penstock.driver import compile_model
from penstock.fixed import Fixed, Overflow, Rounding
from penstock.packing.validate import validate
from penstock_runtime import Interpreter, load_project
from penstock_runtime.compare import check
from penstock_runtime.csim import build, run_testbench

RND_SAT = (Rounding.RND, Overflow.SAT)
SCARCE = {"inputs": 70, "cells": (48,), "peephole": True, "head": 3, "at": "step", "density": 0.2}
"""A network for devices with too few block RAMs for it."""


def scarce(**has):
    told = {"ff": 999999, "dsp": 999, **has}
    return {
        "pes": 12, "elements_per_cycle": 1, "port_bits": 64, "part": "xcself",
        "part_resources": ",".join(f"{name}={count}" for name, count in told.items()),
    }  # fmt: skip


MATRIX = {
    "one cell, one PE, one input": ({"inputs": 1, "cells": (1,), "density": 1}, {"pes": 1}, {}),
    "cells not a multiple of PEs, one input": ({"inputs": 1, "cells": (10,)}, {"pes": 4}, {}),
    "projection and peepholes, 4 lanes": (
        {"cells": (13,), "outputs": 6, "peephole": True}, {"pes": 4, "lanes": 4}, {},
    ),
    "two layers, head at every step, argmax": (
        {"cells": (9, 6), "head": 11, "at": "step", "activation": "argmax"}, {"pes": 3}, {},
    ),
    "two projected layers, lanes of different lengths": (
        {"cells": (8, 7), "outputs": 5, "head": 2}, {"pes": 3, "lanes": 4}, {},
    ),
    "bidirectional, the sequence as output": (
        {"cells": (6,), "bidirectional": True, "outputs": 4}, {"pes": 2}, {},
    ),
    "bidirectional below, forward above, last step's argmax, 4 lanes": (
        {"cells": (6, 8), "bidirectional": [True, False], "head": 5, "activation": "argmax"},
        {"pes": 4, "lanes": 4}, {},
    ),
    "bidirectional twice, sigmoid of the final state": (
        {"cells": (6, 5), "bidirectional": True, "head": 1, "at": "final",
         "activation": "sigmoid"}, {"pes": 2, "lanes": 2}, {},
    ),
    "forward below, bidirectional above, head at every step": (
        {"cells": (7, 6), "bidirectional": [False, True], "head": 3, "at": "step"},
        {"pes": 3, "max_steps": 9}, {},
    ),
    "sigma as g, interpolated small tables": (
        {"cells": (10,), "g_function": "sigma"}, {"pes": 4},
        {"table_entries": 64, "interpolate_bits": 5},
    ),
    "a streamed word takes several beats: the device has one port": (
        {"cells": (9, 6), "outputs": 7, "peephole": True},
        {"pes": 6, "port_bits": 64, "weight_storage": "stream", "part": "xcself",
         "part_resources": "lut=9999,ff=9999,bram18=99,uram=0,dsp=99,gbps=2,ports=1,port_bits=64"},
        {},
    ),
    "no bias at all": ({"cells": (6,), "outputs": 3, "bias": 0.0}, {"pes": 2}, {}),
    "as many table entries as cells": (
        {"cells": (64,), "density": 0.1}, {"pes": 8}, {"table_entries": 64},
    ),
    "scarce slots and a long hazard distance need bubbles": (
        {"cells": (5,), "outputs": 5, "density": 0.8},
        {"pes": 5, "hazard_distance": 9, "accumulator_banks": 4, "elements_per_cycle": 5}, {},
    ),
    "12 PEs of many bits in groups, 3 cell units, 16 banks": (
        {"cells": (30,), "density": 0.2},
        {"pes": 12, "elements_per_cycle": 3, "accumulator_banks": 16, "port_bits": 128,
         "assign": "balance"},
        {"weights": 18, "inputs": 18, "cell_state": 20},
    ),
    "narrow weights and activations, types of several scales": (
        {"cells": (12,), "outputs": 8, "peephole": True, "density": 0.5}, {"pes": 4, "lanes": 2},
        {"weights": 4, "inputs": 8, "outputs": 8, "gates": 8, "cell_state": 10, "biases": 6,
         "overrides": {"l0.W_ix": Fixed(5, 2, True, *RND_SAT),
                       "l0.c": Fixed(9, 5, True, Rounding.TRN_ZERO, Overflow.WRAP)}},
    ),
    "every row has a scale of its own": (
        {"cells": (12, 6), "outputs": 5, "peephole": True, "head": 3, "at": "step"},
        {"pes": 4, "lanes": 2}, {"weights": 4, "inputs": 8, "outputs": 8, "row_scales": True},
    ),
    "32 lanes": (
        {"cells": (9,), "outputs": 6, "peephole": True, "head": 3}, {"pes": 4, "lanes": 32}, {},
    ),
    "32 lanes, on chip, overlapped": (
        {"cells": (9,), "outputs": 6, "head": 3},
        {"pes": 4, "lanes": 32, "weight_storage": "onchip", "overlap": True}, {},
    ),
    "32 elements a cycle, written in two turns": (
        {"inputs": 20, "cells": (64,), "outputs": 32, "head": 3, "at": "step", "density": 0.2},
        {"pes": 32, "elements_per_cycle": 32}, {},
    ),
    "streams and the activations of some groups in LUTs": (
        SCARCE, scarce(lut=70000, bram18=44, uram=0), {},
    ),
    "the activations of some groups in UltraRAM": (
        SCARCE, scarce(lut=40000, bram18=80, uram=10), {},
    ),
    "a recurrent network without any weight": (
        {"cells": (4,), "outputs": 3, "density": 0}, {"pes": 2}, {},
    ),
}  # fmt: skip


def compiled(folder, model, hardware, precision, seed=3):
    pes = hardware["pes"]
    network = random_model(**model, pes=pes, seed=seed)
    compile_model(network, None, Hardware(**hardware), Precision(**precision)).write(folder)
    return load_project(folder)


POOLED = {
    "the mean over the steps, 4 lanes": (
        {"cells": (9,), "head": 3, "at": "mean"}, {"pes": 3, "lanes": 4}, {},
    ),
    "the max over the steps of both directions, 4 lanes": (
        {"cells": (6,), "bidirectional": True, "head": 3, "at": "max"}, {"pes": 2, "lanes": 4}, {},
    ),
    "the mean over the steps of both directions, coarse": (
        {"cells": (7,), "bidirectional": True, "outputs": 5, "head": 2, "at": "mean"},
        {"pes": 3, "lanes": 2}, {"outputs": 9},
    ),
}  # fmt: skip
"""Networks that no state dict says."""

PEEPHOLED = {"cells": (9, 6), "outputs": 5, "peephole": True, "head": 3, "at": "step"}
BOTH_WAYS = {"cells": (7, 6), "bidirectional": [True, False], "head": 3}
FORMS = {
    f"{'two ways, ' * is_two_ways}{'overlapped' * overlap or 'in turn'}, {storage}, {lanes} lanes, "
    f"{bits} bits": (
        BOTH_WAYS if is_two_ways else PEEPHOLED,
        {"pes": 4, "overlap": overlap, "weight_storage": storage, "lanes": lanes,
         "port_bits": bits}, {},
    )
    for is_two_ways, overlap, storage, lanes, bits in (
        (False, True, "onchip", 1, 64), (False, True, "onchip", 4, 128),
        (False, True, "stream", 2, 512), (False, False, "onchip", 4, 128),
        (False, False, "stream", 1, 64), (True, True, "onchip", 2, 128),
        (True, True, "stream", 4, 512), (True, False, "onchip", 1, 256),
    )
}  # fmt: skip
"""The forms of the kernel, each with one-way and with two-way networks."""
STREAMED = {
    f"AXI streams, {name}": (model, {**hardware, "io": "stream"}, precision)
    for name, (model, hardware, precision) in {
        **{name: FORMS[name] for name in (
            "overlapped, onchip, 1 lanes, 64 bits", "in turn, onchip, 4 lanes, 128 bits",
            "two ways, overlapped, stream, 4 lanes, 512 bits",
        )},
        "in turn, stream, 2 lanes, 64 bits, uneven ends": (
            {**PEEPHOLED, "inputs": 7, "head": 11},
            {"pes": 4, "overlap": False, "lanes": 2, "port_bits": 64}, {},
        ),
    }.items()
}  # fmt: skip

UNEVEN = {"inputs": 20, "cells": (40,), "outputs": 24, "head": 2, "at": "step", "density": 0.05,
          "full_cell": [3, 20]}  # fmt: skip
UNEVEN_BOTH_WAYS = {"inputs": 12, "cells": (24,), "bidirectional": True, "head": 2,
                    "density": 0.1, "full_cell": 3}  # fmt: skip
SHARED = {
    f"shared rows, {'two ways, ' * is_two_ways}{'overlapped' * overlap or 'in turn'}, {storage}, "
    f"{lanes} lanes, {pes} PEs": (
        UNEVEN_BOTH_WAYS if is_two_ways else UNEVEN,
        {"pes": pes, "overlap": overlap, "weight_storage": storage, "lanes": lanes,
         "port_bits": 128}, {},
    )
    for is_two_ways, overlap, storage, lanes, pes in (
        (False, True, "onchip", 1, 8), (False, True, "stream", 4, 8),
        (False, False, "onchip", 2, 8), (False, False, "stream", 1, 12),
        (True, True, "stream", 2, 8), (True, False, "onchip", 4, 6),
    )
}  # fmt: skip
"""Cells heavier than any PE's share, and a head of fewer rows than there are PEs."""


def test_interpreter_equals_c_simulation(cpp_flags, tmp_path):
    """Built as one program, in which a warning is an error."""
    every = MATRIX | POOLED | FORMS | STREAMED | SHARED
    projects = {
        name: compiled(tmp_path / str(number), *case)
        for number, (name, case) in enumerate(every.items())
    }
    done = list(batch.checked(projects, tmp_path))
    assert [result.calls for _, _, result in done] == [14] * len(every)
    for name, project, _ in done:
        shares = {phase.name for phase in project.manifest.phases if phase.shared}
        assert ("head.dense" in shares and len(shares) > 1) == (name in SHARED), name


def test_sequences_of_ones_own_are_compared_too(cpp_flags, tmp_path):
    """Seven sequences on four lanes: two calls, the last with a lane to spare."""
    project = compiled(
        tmp_path / "project", *MATRIX["two projected layers, lanes of different lengths"]
    )
    generator = np.random.default_rng(0)
    x, lengths = generator.normal(0, 1, (7, 11, project.inputs)), np.array([11, 3, 7, 1, 11, 5, 2])
    own = Interpreter(project).quantize(x, lengths)
    plain, result = check(project), check(project, own=own)
    assert result.passed and result.calls == plain.calls + 2
    cells = (8 + 7 + 5 + 5) * lengths.sum()  # c and y of both layers, of every step that counts
    assert result.values["states"] - plain.values["states"] == cells


WATCH = """
        static std::map<std::pair<const void *, unsigned>, unsigned> used;
        const std::pair<const void *, unsigned> place(&acc[p][bank][address], phase.id);
        const auto last = used.find(place);
        const unsigned at = run.first + turn;
        if (last != used.end() && at > last->second && at - last->second < DISTANCE) std::exit(5);
        used[place] = at;
"""


@pytest.mark.long
def test_sums_are_used_again_as_late_as_the_validator_says_and_no_later(cpp_flags, tmp_path):
    """It proves a distance of the words; the kernel must spread them over the ways as it does."""
    project = compiled(
        tmp_path / "project", *MATRIX["scarce slots and a long hazard distance need bubbles"]
    )
    files = [(project.folder / name).read_bytes() for name in project.manifest.file_bytes()]
    least = validate(project.graph, project.manifest, files, 9).min_distance
    use = "        acc[p][bank][address] = sums;\n"
    folders = [tmp_path / "proven", tmp_path / "more"]
    for folder, distance in zip(folders, (least, least + 1), strict=True):
        shutil.copytree(project.folder, folder)
        path = folder / "kernel/pe_array.h"
        text = path.read_text()
        assert text.count(use) == 1
        watched = text.replace(use, use + WATCH.replace("DISTANCE", str(distance)))
        path.write_text("#include <cstdlib>\n#include <map>\n" + watched)
    made = batch.build(folders, tmp_path)
    assert [run_testbench(folder, made[folder]).passed for folder in folders] == [True, False]


SANITIZED = (
    "12 PEs of many bits in groups, 3 cell units, 16 banks",
    "bidirectional below, forward above, last step's argmax, 4 lanes",
)
SANITIZERS = ("-g", "-O0", "-fsanitize=address,bounds", "-fno-sanitize-recover=all")


@pytest.mark.long
@pytest.mark.parametrize("case", SANITIZED)
def test_no_index_leaves_its_array(case, cpp_flags, tmp_path):
    """C simulation may hide an index out of range; the sanitizers do not."""
    project = compiled(tmp_path / "project", *MATRIX[case])
    done = run_testbench(project.folder, build(project.folder, SANITIZERS))
    assert done.passed and "0 different" in done.output, done.output


FAULTS = {
    "a weight's sign": (
        "kernel/pe_array.h", "factor_t factor = weight", "factor_t factor = -weight",
    ),
    "a wrong rounding mode": ("kernel/cell_unit.h", "16, 1, AP_RND, AP_SAT> m =",
                              "16, 1, AP_TRN, AP_SAT> m ="),
    "a state that is not kept": ("kernel/cell_unit.h", "l0_c[position] = c_after_lanes;", ";"),
    "the old cell state at the output gate": ("kernel/cell_unit.h", "peephole_o = w_oc * c;",
                                              "peephole_o = w_oc * c_before;"),
    "an accumulator that is not cleared": (
        "kernel/pe_array.h", "[row] = zeros<acc_t>();", "[row];",
    ),
    "a carried state that is lost": ("kernel/compute.h", "else if (start == START_ZERO)", "else"),
    "a packet that is taken twice": (
        "kernel/pe_array.h", "copied = packets[n];", "copied = packets[n ? n - 1 : 0];",
    ),
    "a PE that forgets where it paused": (
        "kernel/pe_array.h", "kept_column[run.kept][p] = column[p];",
        "kept_column[run.kept][p] = 0;",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound_project(cpp_flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "sound"
    return compiled(folder, {"cells": (6,), "peephole": True}, {"pes": 2}, {})


SHARED_FAULTS = {
    "a part that is left behind": (
        "kernel/pe_array.h", "sum[pe] = emptied(acc, group_of(pe), place_in_group(pe), bank, "
        "parts.first + n);",
        "sum[pe] = acc[group_of(pe)][place_in_group(pe)][bank][parts.first + n];",
    ),
    "a PE whose part is forgotten": (
        "kernel/pe_array.h", "sum[k].lane[lane] += sum[k + (1 << level)].lane[lane];",
        "if (level < 2 || k) sum[k].lane[lane] += sum[k + (1 << level)].lane[lane];",
    ),
    "a sum that goes to another PE": (
        "kernel/pe_array.h", "if (owner == unsigned(pe))", "if (owner == unsigned(pe) + 1)",
    ),
    "sums of shared rows that stay in parts": (
        "kernel/compute.h", "    add_parts(HEAD_DENSE_PARTS, acc);\n", "",
    ),
    "words that do not wait for packets": (
        "kernel/pe_array.h", "turn = n - run.lead;", "turn = n;",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sharing_project(cpp_flags, tmp_path_factory):
    """A head of one row behind more values than its words wait for."""
    model = {"inputs": 20, "cells": (64,), "head": 1, "at": "step", "full_cell": 3, "density": 0.05}
    hardware = {"pes": 8, "elements_per_cycle": 2}
    return compiled(tmp_path_factory.mktemp("faults") / "sharing", model, hardware, {})


@pytest.mark.long
@pytest.mark.parametrize("planted", [FAULTS, SHARED_FAULTS], ids=["plain", "shared rows"])
def test_a_planted_fault_is_found_and_named(planted, request, tmp_path):
    sound = "sharing_project" if planted is SHARED_FAULTS else "sound_project"
    for number, (name, old, new) in enumerate(planted.values()):
        folder = tmp_path / str(number)
        shutil.copytree(request.getfixturevalue(sound).folder, folder)
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
    made = batch.build([tmp_path / str(number) for number in range(len(planted))], tmp_path)
    for folder, fault in zip(made, planted, strict=True):
        result = check(load_project(folder), steps=2, executable=made[folder])
        assert not result.passed, fault
        difference = result.difference
        assert difference is not None and difference.interpreter != difference.csim, fault
        assert f"step {difference.step}, lane 0, index {difference.index}" in str(difference)


WITHOUT_PROCESS = {
    "store_results": "stream y_beats still holds 3 values that nobody read",
    "fetch_frames": "a process waits for a read of the empty stream x_beats",
}


def test_results_that_nobody_takes_and_streams_that_wait_are_named(sound_project, tmp_path):
    for process in WITHOUT_PROCESS:
        folder = tmp_path / process
        shutil.copytree(sound_project.folder, folder)
        path = folder / "kernel/lstm_top.cpp"
        text = path.read_text()
        line = next(line for line in text.splitlines() if f"PROCESS({process}" in line)
        path.write_text(text.replace(line, ""))
    made = batch.build([tmp_path / process for process in WITHOUT_PROCESS], tmp_path)
    for folder, said in zip(made, WITHOUT_PROCESS.values(), strict=True):
        done = run_testbench(folder, made[folder])
        assert not done.passed
        assert said in done.output
        assert ("deadlock" in done.output) == (folder.name == "fetch_frames")


def test_a_write_beyond_the_declared_depth_waits_as_in_hardware(run_cpp):
    """Vitis C simulation, on unbounded streams, would pass this program."""
    done = run_cpp(
        """
        #include <hls_stream.h>
        static void produce(hls::stream<int, 3> &a, hls::stream<int, 3> &b) {
          for (int k = 0; k < 4; ++k) a.write(k);
          b.write(1);
        }
        static void consume(hls::stream<int, 3> &a, hls::stream<int, 3> &b) {
          b.read();
          for (int k = 0; k < 4; ++k) a.read();
        }
        int main() {
          hls::stream<int, 3> a("a"), b("b");
          std::atexit([] { std::printf("ended"); });
          DATAFLOW_BEGIN
          PROCESS(produce(a, b);)
          PROCESS(consume(a, b);)
          DATAFLOW_END
        }
        """,
        status=3,
    )
    assert "write to the full stream a" in done and "read of the empty stream b" in done
