"""Pages of docs/ that are printed from the code say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch")
DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", ["what_compiles", "command_line"])
def test_a_page_is_what_the_code_says(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), f"python docs/{name}.py --write"
