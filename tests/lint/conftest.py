"""A kernel of a page that breaks no rule, and what lint finds where its text is changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from penstock_runtime.lint import is_available, lint

PROJECT = Path(__file__).parent / "project"
KERNEL = "kernel/lstm_top.cpp"


@pytest.fixture(autouse=True)
def _libclang(cpp_flags):
    """Skips where libclang is not installed, never in CI."""
    if not is_available():
        if os.environ.get("CI"):
            raise AssertionError("libclang is not installed")
        pytest.skip("libclang is not installed: pip install 'penstock[lint]'")


@pytest.fixture
def linted(tmp_path):
    """Lint the kernel after replacements; each of them must change it."""

    def run(*changes):
        folder = shutil.copytree(PROJECT, tmp_path / "project", dirs_exist_ok=True)
        text = (PROJECT / KERNEL).read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{text.count(old)} x {old!r}"
            text = text.replace(old, new)
        (folder / KERNEL).write_text(text)
        return lint(folder)

    return run
