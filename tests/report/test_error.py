"""The error against the float network, in report.json, on the page and in the terminal."""

import json
import re

import numpy as np
import pytest

from penstock.report.error import error_lines, error_section, frames_text, labels_text


@pytest.fixture
def error(report):
    return report["error"]


def test_every_tensor_has_its_row_and_its_measure(compiled, error):
    assert [row["name"] for row in error["tensors"]] == [one.name for one in compiled.error.tensors]
    for row, one in zip(error["tensors"], compiled.error.tensors, strict=True):
        assert row["relative_error"] == pytest.approx(one.errors.relative, rel=1e-3)
        assert row["relative_error"] == pytest.approx(row["rms_error"] / row["float_rms"], rel=1e-2)


def test_the_worst_tensors_are_those_of_the_greatest_relative_error(error):
    order = sorted(error["tensors"], key=lambda row: -row["relative_error"])
    assert error["worst"] == [row["name"] for row in order[:3]]


def test_a_histogram_holds_every_float_value(error):
    charts = [row for row in error["tensors"] if row["histogram"]]
    assert charts
    for row in charts:
        found = row["histogram"]
        assert sum(found["counts"]) + found["below"] + found["above"] == row["values"]


def test_measured_figures_have_four_digits(error):
    figures = re.findall(r'"(?:\w*_error|float_rms|agreement)": ([-\de.]+)', json.dumps(error))
    assert figures and all(float(f"{float(x):.4g}") == float(x) for x in figures)


def test_clipped_values_are_those_of_the_saturations_without_tables(error):
    rows = [row for row in error["saturations"] if row["kind"] != "table input"]
    assert error["clipped"] == {
        key: sum(row[key] for row in rows) for key in ("count", "of")
    }  # fmt: skip


def test_the_tile_says_what_is_proven_and_what_was_clipped(compiled, error):
    page = compiled.files["report.html"].decode()
    count, of = error["clipped"]["count"], error["clipped"]["of"]
    (tile,) = re.findall(r'<p class="label">No accumulator overflows</p>.*?</div>', page, re.DOTALL)
    assert "Proven" in tile
    assert f"clipped: {count:,} of {of:,} values on the synthetic" in tile
    assert "No overflow" not in page


def test_every_range_has_its_picture(compiled, error):
    page = compiled.files["report.html"].decode()
    names = re.findall(r'aria-label="Float values of (\S+) over', page)
    assert names == [row["name"] for row in error["tensors"] if row["histogram"]]


def test_the_terminal_says_the_same(error):
    lines = error_lines(error)
    assert lines[0].startswith("error against the float network, on synthetic")
    assert "16 sequences, 512 steps" in lines[0]
    assert lines[1].startswith("  outputs: largest error")
    text = "\n".join(lines)
    assert all(name in text for name in error["worst"]) and error["measure"] in text
    assert f"none of {error['clipped']['of']:,} values" in text or "cut off" in text


def test_accuracy_stands_beside_that_of_the_float_network(compile_network):
    from report.conftest import rich

    from penstock import Hardware, Validation
    from penstock.driver import compile_model

    model = rich()
    x = np.random.default_rng(0).normal(0, 1, (12, 7, 5))
    y = model.run(x)[:, 0].argmax(axis=1)
    compiled = compile_model(
        model, None, Hardware(pes=4, max_steps=50), validation=Validation(x, y=y)
    )
    labels = compiled.report["error"]["labels"]
    assert (labels["measure"], labels["of"], labels["float"]) == ("accuracy", 12, 1.0)
    page = compiled.files["report.html"].decode()
    assert "Against labels" in page and "Not measured" not in page
    assert "accuracy on 12 labels: float 100.0 %" in "\n".join(
        error_lines(compiled.report["error"])
    )


def test_only_the_outputs_of_the_greatest_error_have_a_row_each(compiled, monkeypatch):
    monkeypatch.setattr("penstock.report.error.MOST_OUTPUTS", 2)
    greatest = sorted(np.argsort(-compiled.error.outputs.peak)[:2].tolist())
    rows = error_section(compiled.error)["output"]["each"]
    are_labels = compiled.error.logits is not None
    assert [row["output"] for row in rows] == ([] if are_labels else greatest)


def test_a_part_of_the_frames_is_told_as_one():
    frames = {"source": "calibration frames", "sequences": 64, "of_sequences": 500,
              "steps": 20_000, "of_steps": 150_000}  # fmt: skip
    text = "calibration frames: 64 of 500 sequences, 20,000 of 150,000 steps"
    assert frames_text(frames) == text
    assert frames_text(frames | {"of_steps": 20_000}).endswith("64 of 500 sequences, 20,000 steps")


def test_a_loss_is_no_share():
    labels = {"measure": "mean squared error", "of": 20, "float": 0.25, "fixed": 0.31}
    text = "mean squared error on 20 labels: float 0.25, fixed point 0.31"
    assert labels_text({"labels": labels}) == text
