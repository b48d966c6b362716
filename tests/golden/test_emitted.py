"""The emitted C++ as reviewed text. After a wanted change: pytest tests/golden --update-golden."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model

GOLDEN = Path(__file__).parent / "files"
FILES = ("config.h", "cell_unit.h", "compute.h", "pe_array.h", "ports.h", "lstm_top.cpp")
LONGEST_LINE = 120


@pytest.fixture(scope="module")
def emitted():
    model = random_model(
        inputs=3, cells=(5,), outputs=2, peephole=True, density=0.5, head=2, pes=2, seed=1
    )
    files = compile_model(model, None, Hardware(pes=2)).files
    return {
        path: content.decode() for path, content in files.items() if path.endswith((".h", "cpp"))
    }


@pytest.mark.parametrize("name", FILES)
def test_the_kernel_is_the_reviewed_one(name, emitted, request):
    text = emitted[f"kernel/{name}"]
    if request.config.getoption("--update-golden"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text(), "if wanted: pytest tests/golden --update-golden"


def test_no_emitted_line_is_too_long_to_read(emitted):
    for path, text in emitted.items():
        for number, line in enumerate(text.splitlines(), 1):
            assert len(line) <= LONGEST_LINE, f"{path}:{number}: {line}"


def test_no_emitted_line_ends_in_blanks(emitted):
    for path, text in emitted.items():
        assert not [line for line in text.splitlines() if line != line.rstrip()], path
