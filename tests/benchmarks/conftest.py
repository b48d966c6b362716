"""The modules of benchmarks/performance, which import each other by their bare names."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks/performance"
NAMES = [path.stem for path in FOLDER.glob("*.py")]


@pytest.fixture
def module(monkeypatch):
    """One of them, which import each other by their bare names."""
    known = {name: sys.modules.pop(name, None) for name in NAMES}
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for name, before in known.items():
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before
