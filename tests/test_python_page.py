"""What docs/python.md shows as a session runs as it stands and prints what it says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
FLAGS = doctest.ELLIPSIS


def test_every_example_prints_what_the_page_says(cpp_flags, tmp_path, monkeypatch):
    """One after the other, with the names of those before."""
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == text.count("```python") and all(">>> " in block for block in blocks)
    parser, runner, names = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS), {}
    for number, block in enumerate(blocks):
        test = parser.get_doctest(block, names, f"block {number}", str(PAGE), 0)
        said: list[str] = []
        runner.run(test, out=said.append, clear_globs=False)
        names = test.globs
        assert runner.failures == 0, "".join(said)
