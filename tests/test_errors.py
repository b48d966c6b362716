"""Errors are one line of a length that can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.driver import compile_model
from penstock.errors import LONGEST
from penstock_runtime import Interpreter

COARSE = Precision(weights=2, gates=4, outputs=4)


def test_a_part_without_end_is_cut_in_its_middle():
    error = PenstockError("x" * 10**6, "a" + "y" * 10**6 + "b", "try it")
    what, rest = error.line().split(" (")
    assert len(what) <= LONGEST + 10 and what.startswith("xxx") and what.endswith("xxx")
    assert rest.startswith("ay") and rest.endswith("yb); hint: try it")


def test_a_part_of_the_greatest_length_is_left_alone():
    assert PenstockError("x" * LONGEST).line() == "x" * LONGEST


def test_a_warning_names_the_line_that_called_penstock(tmp_path):
    model = random_model(cells=(4,), pes=2)
    with pytest.warns(UserWarning) as caught:
        compiled = compile_model(model, np.full((1, 3, 5), 1e-3), Hardware(pes=2), COARSE)
        Interpreter(compiled.write(tmp_path / "project")).run(np.full((1, 3, 5), 1e3))
    assert [Path(one.filename).name for one in caught] == ["test_errors.py"] * len(caught)
    assert len({one.lineno for one in caught}) == 2
