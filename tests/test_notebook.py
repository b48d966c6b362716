"""What Python and notebooks show of a compiled network and of a run."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from graphs import residual
from support import random_model

from penstock import Hardware
from penstock.driver import compile_graph, compile_model
from penstock_runtime import Interpreter

ODD = "<script>alert('\N{BUG}')</script>&\x1b[31m"


class Page(HTMLParser):
    """Tags that were opened, all closed again, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


@pytest.fixture(scope="module")
def compiled():
    return compile_model(random_model(pes=2, head=3), None, Hardware(pes=2))


@pytest.fixture(scope="module")
def interpreter(compiled, tmp_path_factory):
    return Interpreter(compiled.write(tmp_path_factory.mktemp("shown") / "project"), "numpy")


def test_a_compiled_network_is_a_line(compiled):
    timeline = compiled.report["timeline"]
    assert repr(compiled) == (
        "<Compiled 'lstm': l0: 5 inputs, 8 cells; head: 3 outputs; 2 PEs, "
        f"{timeline['cycles_per_step']} cycles a step, "
        f"{timeline['microseconds_per_step']:.2f} us at {timeline['clock_mhz']:g} MHz>"
    )


def test_a_compiled_network_is_a_table_of_key_figures_and_notes(compiled):
    page = Page(compiled._repr_html_())
    assert {*page.tags} == {"table", "caption", "tbody", "tr", "th", "td", "p"}
    lines = page.text.splitlines()
    assert lines[0] == "lstm" and "l0: 5 inputs, 8 cells · head: 3 outputs" in lines
    assert {"Time per step", "Output error", "Fit, by estimate", "Proven"} <= {*lines}
    assert [f"note: {note}" for note in compiled.notes] == lines[-len(compiled.notes) :]


def test_a_graph_without_layers_is_shown_by_its_ends():
    compiled = compile_graph(residual(), Hardware(pes=2))
    assert repr(compiled).startswith("<Compiled 'sketch': 8 inputs, 8 outputs; 2 PEs, ")
    assert "Unknown" in compiled._repr_html_()


def test_no_name_is_read_as_html_or_commands_the_terminal(compiled):
    network = compiled.report["network"] | {"name": ODD}
    odd = replace(compiled, report=compiled.report | {"network": network}, notes=[ODD])
    assert "\x1b" not in repr(odd)
    text = odd._repr_html_()
    assert "<script>" not in text and "script" not in Page(text).tags
    assert unescape(text).count(ODD) == 2


def test_a_result_is_a_line_and_a_table(interpreter):
    x = np.random.default_rng(0).normal(0, 0.5, (2, 5, 5))
    result = interpreter.run_quietly(x)
    low, high = result.values.min(), result.values.max()
    values = f"(2, 1, 3) from {low:.4g} to {high:.4g}"
    assert repr(result) == f"<RunResult: values {values}; no value was out of range>"
    assert Page(result._repr_html_()).text.splitlines()[:7] == [
        "Result of a run", "Values", values, "States", "l0.y (2, 8), l0.c (2, 8)",
        "Range", "no value was out of range",
    ]  # fmt: skip


def test_a_result_names_the_tensor_that_lost_the_most(interpreter):
    result = interpreter.run_quietly(np.full((2, 5, 5), 1e6))
    lost = [one for one in result.saturations if one.kind == "input frame"]
    assert repr(result).endswith(f"; out of range and cut off: {lost[0]}, and 1 more>")
    assert f"out of range and cut off: {lost[0]}" in unescape(result._repr_html_())
