"""Which arrays two calls both touch, by rows where the calls name them."""

from __future__ import annotations

import shutil

import pytest
from lint.conftest import KERNEL, PROJECT

from penstock_runtime.lint.effects import calls_of, shared_arrays
from penstock_runtime.lint.reader import Kernel

TOP_TEXT = """\
#include <ap_int.h>
typedef ap_int<8> value_t;
static void fill(value_t to[4], const value_t from[4]) {
  for (int k = 0; k < 4; ++k) {
    value_t &one = to[k];
    one = from[k];
  }
}
static void twice(value_t both[2][4]) { fill(both[0], both[1]); }
extern "C" void lstm_top(unsigned n) {
  static value_t a[2][4], b[4];
  fill(a[0], b);
  fill(a[1], b);
  fill(b, a[n]);
  twice(a);
}
"""
READ, WRITE = frozenset({"read"}), frozenset({"write"})


@pytest.fixture
def kernel(tmp_path):
    folder = shutil.copytree(PROJECT, tmp_path / "project")
    (folder / KERNEL).write_text(TOP_TEXT)
    return Kernel(folder)


def shared(kernel, first, second):
    calls = [call for call in calls_of(kernel.top) if call.callee.name in ("fill", "twice")]
    return shared_arrays(kernel.functions, calls[first], calls[second])


def test_rows_that_differ_are_not_shared(kernel):
    assert shared(kernel, 0, 1) == {"b": (READ, READ)}


def test_a_row_that_is_not_known_may_be_each(kernel):
    assert shared(kernel, 0, 2) == {"a[0]": (WRITE, READ), "b": (READ, WRITE)}


def test_what_a_function_does_to_rows_is_known_to_its_callers(kernel):
    assert shared(kernel, 1, 3) == {"a[1]": (WRITE, READ)}
    assert shared(kernel, 0, 3) == {"a[0]": (WRITE, WRITE)}
