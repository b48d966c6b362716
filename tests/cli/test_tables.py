"""Tables survive a pipe, a narrow terminal, and a wish for no colors: nothing of them is lost."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest
from cli.given import compile_to

from penstock.cli.tables import print_table

LONG = "l0_reverse." + "x" * 150
COLUMNS = ("matrix", "words that are needed", "share")
ROWS = [(LONG, "1,234,567", "12.5 %"), ("l[red]0", "8", "")]
SHORT = [("l0.W_ix", "1,234,567", "12.5 %"), ("l[red]0", "8", "")]
COLORS = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9\d|10\d)[;m]")


def lines(capsys, width, rows, monkeypatch):
    if width is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    print_table("a table", COLUMNS, rows)
    return capsys.readouterr().out.splitlines()


def test_in_a_pipe_a_row_is_a_line_however_long(capsys, monkeypatch):
    title, *rest = lines(capsys, None, ROWS, monkeypatch)
    assert title == "a table"
    (row,) = (line for line in rest if LONG in line)
    assert "1,234,567" in row and "12.5 %" in row
    assert any("words that are needed" in line for line in rest)


def test_the_user_says_how_wide_a_line_may_be(capsys, monkeypatch):
    found = lines(capsys, 40, SHORT, monkeypatch)
    assert max(map(len, found)) <= 40
    (row,) = (line for line in found if "l0.W_ix" in line)
    assert "1,234,567" in row and "12.5 %" in row
    headings = [line for line in found if "needed" in line]
    assert headings and "words that" not in " ".join(headings), "the heading is broken"


def test_where_no_row_fits_its_cells_are_lines(capsys, monkeypatch):
    found = lines(capsys, 25, SHORT, monkeypatch)
    assert found == [
        "a table",
        "matrix l0.W_ix",
        "  words that are needed  1,234,567",
        "  share                  12.5 %",
        "matrix l[red]0",
        "  words that are needed  8",
    ]


def test_a_table_without_rows_has_its_headings(capsys, monkeypatch):
    assert "matrix" in "".join(lines(capsys, 40, [], monkeypatch))


@pytest.fixture
def two_projects(penstock, work):
    """Of two numbers of PEs."""
    assert compile_to(penstock, "a").status == 0
    assert compile_to(penstock, "b", "--pes", "3", "--weight-bits", "8").status == 0


COMMANDS = [
    ("report", "a"), ("inspect", "a"), ("inspect", "model.safetensors"), ("diff", "a", "b"),
    ("bench", "a", "--no-cpu", "--ese"),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_at_40_columns_every_word_and_figure_is_there(words, penstock, two_projects, monkeypatch):
    said = {}
    for width in ("400", "40"):
        monkeypatch.setenv("COLUMNS", width)
        said[width] = set(re.findall(r"[\w.,%+-]+", penstock(*words).out))
    assert said["400"] - said["40"] == set()
    assert not any("\N{HORIZONTAL ELLIPSIS}" in word for word in said["40"])


@pytest.mark.parametrize("words", [COMMANDS[0], COMMANDS[3]], ids=" ".join)
def test_a_terminal_without_colors_is_given_none(words, two_projects, work):
    told = on_a_terminal(words, NO_COLOR="1")
    assert "cycles" in told and not COLORS.search(told)


def on_a_terminal(words, **more):
    """What a command writes to a terminal of 40 columns."""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "40"} | more
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "penstock", *words], stdout=follower, stdin=follower,
        stderr=follower, env=environment,
    ):  # fmt: skip
        os.close(follower)
        told = b""
        while True:
            try:
                part = os.read(leader, 1 << 16)
            except OSError:  # all that wrote have ended
                break
            if not part:
                break
            told += part
    os.close(leader)
    return told.decode()
