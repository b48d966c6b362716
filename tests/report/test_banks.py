"""The page of a network on the bank dataflow speaks of multipliers, banks and turns."""

import re

import numpy as np
import pytest
from support import random_model

from penstock.driver import compile_model
from penstock.report.page import environment
from penstock.report.sparsity import pictures, placed_matrices
from penstock.settings import Hardware, Precision

ROWS, BANKS = 8, 4


@pytest.fixture(scope="module")
def compiled():
    model = random_model(20, (64,), 24, peephole=True, density=0.25, pes=8, seed=4)
    hardware = Hardware(dataflow="bank", rows=ROWS, banks=BANKS, lanes=2, interleave=2)
    return compile_model(model, None, hardware, Precision())


@pytest.fixture(scope="module")
def page(compiled):
    return compiled.files["report.html"].decode()


def test_multipliers_have_the_non_zeros_that_the_words_give_them(compiled):
    for phase in compiled.report["phases"]:
        sums = np.zeros((ROWS, BANKS), np.int64)
        for found in placed_matrices(compiled.machine):
            if found.phase == phase["name"]:
                matrix = found.matrix
                row = found.pe_of_line[found.line][matrix.rows] * found.stride + found.first
                np.add.at(sums, (row, found.bank[matrix.columns]), 1)
        assert sums.ravel().tolist() == phase["pe_nonzeros"]


def test_what_a_multiplier_has_of_a_matrix_is_counted(compiled):
    pairs = zip(placed_matrices(compiled.machine), compiled.report["sparsity"], strict=True)
    for found, row in pairs:
        dense = np.asarray(found.matrix) != 0
        owner = found.pe_of_line[found.line]
        counts = [
            dense[owner == one][:, found.bank == bank].sum()
            for one in range(ROWS // found.stride) for bank in range(BANKS)
        ]  # fmt: skip
        assert (row["by_pe"]["least"], row["by_pe"]["most"]) == (min(counts), max(counts))
        assert row["by_pe"]["mean"] == pytest.approx(row["nonzeros"] / len(counts))


def test_rows_of_a_picture_are_those_of_the_array(compiled):
    shown = pictures(placed_matrices(compiled.machine))
    assert [label for _, label in shown["l0.W_fx"].ticks] == ["row 1", "row 5"]


def test_it_speaks_of_what_there_is(page):
    for said in ("32 multipliers: 8 rows of 4 banks", "<dt>Turn</dt>", "On a multiplier",
                 "its address in its bank", "unbalanced"):  # fmt: skip
        assert said in page
    for wrong in ("Padding", "Slot", "PE 0", "on a PE", "the one before", "accumulator that"):
        assert wrong not in re.sub(r"<style>.*?</style>", "", page, flags=re.S), wrong


def test_every_use_of_bits_and_kind_of_work_has_a_colour(compiled):
    style = environment().get_template("charts.css.j2").render()
    for use in compiled.report["totals"]["bits"]:
        assert f".bits rect.{use} " in style or f".bits rect.{use}," in style
        assert f".swatch.{use}" in style
    for span in compiled.report["timeline"]["spans"]:
        assert f".{span['kind']} .fill" in style


def test_a_line_names_the_rows_and_banks(compiled):
    assert "; 32 multipliers: 8 rows of 4 banks, " in repr(compiled)
