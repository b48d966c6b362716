"""Pages of docs/ that are printed from the code say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch")
DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_of_what_compiles_is_that_of_the_tables():
    spec = importlib.util.spec_from_file_location("what_compiles", DOCS / "what_compiles.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "python docs/what_compiles.py --write"
