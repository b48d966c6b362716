"""The loops that the kernel's sources pipeline, and which loop of the reports each is."""

from __future__ import annotations

import re

import pytest
from support import random_model

from penstock.driver import compile_model
from penstock.errors import PenstockError
from penstock.settings import Hardware
from penstock.synthesis import expected_loops
from penstock.synthesis.csynth import Csynth, Loop
from penstock.synthesis.loops import match_loops
from penstock.synthesis.plan import plan_of

SOURCE = """\
// WORDS: for (a comment)
static void fetch(int n) {
OUTER:
  for (int k = 0; k < n; ++k) {
  INNER:  // the inner one
    for (int i = 0; i < 4; ++i) {
#pragma HLS LOOP_TRIPCOUNT max=4
#pragma HLS PIPELINE II=1
      for (int lane = 0; lane < 2; ++lane) {
#pragma HLS UNROLL
      }
    }
    for (int i = 0; i < 4; ++i) {
#pragma HLS PIPELINE II=2
    }
  }
}

inline int table(int x) {
#pragma HLS PIPELINE II=1
  return x;
}
"""


def kernel(folder, source):
    (folder / "kernel").mkdir()
    (folder / "kernel/a.h").write_text(source)
    return folder


def test_loops_that_are_pipelined(tmp_path):
    found = expected_loops(kernel(tmp_path, SOURCE))
    assert found == {"fetch.INNER": 1, "fetch.VITIS_LOOP_13": 2}


def test_every_pragma_of_a_loop_is_found_in_an_emitted_kernel(project):
    text = "".join(path.read_text() for path in (project / "kernel").glob("*.h"))
    tables = len(
        re.findall(r"^inline .*\n(#pragma HLS INLINE off\n)#pragma HLS PIPELINE", text, re.M)
    )
    loops = expected_loops(project)
    assert len(loops) == text.count("#pragma HLS PIPELINE") - tables
    assert set(loops.values()) == {1} and "spmv_group.WORDS" in loops


@pytest.mark.parametrize(("dataflow", "function"), [
    ("gather", "spmv_group"), ("broadcast", "spmv_pe"),
])  # fmt: skip
def test_the_function_that_adds_into_the_accumulators_is_known(dataflow, function, tmp_path):
    model = random_model(inputs=3, cells=(6,), pes=2)
    compiled = compile_model(model, None, Hardware(pes=2, dataflow=dataflow))
    plan = plan_of(compiled.write(tmp_path / "project"), compiled.report)
    assert plan.accumulating == function
    of_processes = {"spmv_pe.ENTRIES", "broadcast_columns.COLUMNS", "deal.WORDS"}
    assert len(of_processes & plan.loops.keys()) == (3 if dataflow == "broadcast" else 0)


def test_a_kernel_without_loops_is_refused(tmp_path):
    with pytest.raises(PenstockError, match="no loop of the kernel is pipelined"):
        expected_loops(kernel(tmp_path, "int x;\n"))


def matched(expected, *loops):
    """Planned name -> (module, II) of all that it became."""
    found = [Loop(module, name, ii, None, None, None) for module, name, ii in loops]
    modules = frozenset(loop.module for loop in found)
    empty = {"dsp": None}
    csynth = Csynth("", "", "", None, None, None, (), empty, empty, modules, tuple(found))
    return {
        loop.name: [(copy.module, copy.ii) for copy in loop.found]
        for loop in match_loops(dict.fromkeys(expected, 1), csynth)
    }


def test_loops_in_modules_of_their_own():
    words = ("a_Pipeline_WORDS", "WORDS", 1), ("b_1_Pipeline_WORDS", "WORDS", 3)
    found = matched(["a.WORDS", "b.WORDS"], *words)
    assert found == {"a.WORDS": [(words[0][0], 1)], "b.WORDS": [(words[1][0], 3)]}


def test_nested_loops_that_became_one():
    assert matched(["f.INNER"], ("f", "OUTER_INNER", 1)) == {"f.INNER": [("f", 1)]}


def test_copies_of_a_function_are_all_found():
    copies = ("f_1", "LOOP", 1), ("f_2", "LOOP", 2)
    assert matched(["f.LOOP"], *copies) == {"f.LOOP": [("f_1", 1), ("f_2", 2)]}


def test_a_function_that_was_inlined_has_its_loops_in_the_caller():
    found = matched(["f.LOOP", "g.LOOP"], ("caller", "LOOP", 4), ("g_Pipeline_LOOP", "LOOP", 1))
    assert found == {"f.LOOP": [("caller", 4)], "g.LOOP": [("g_Pipeline_LOOP", 1)]}


def test_a_longer_name_is_another_function():
    found = matched(["spmv.WORDS", "spmv_group.WORDS"], ("spmv_group", "WORDS", 1))
    assert found == {"spmv.WORDS": [], "spmv_group.WORDS": [("spmv_group", 1)]}


def test_a_loop_without_a_label_is_known_by_its_line():
    found = matched(
        ["f.VITIS_LOOP_13"], ("f", "OUTER_VITIS_LOOP_13_2", 1), ("f", "VITIS_LOOP_1_1", 1)
    )
    assert found == {"f.VITIS_LOOP_13": [("f", 1)]}
