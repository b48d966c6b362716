"""What fits: the goals for ESE's layer, and the table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import fit


def test_256_pes_of_ese_s_layer_fit_a_card_and_keep_it_busy(tmp_path):
    compiled = fit.ESE.compiled(tmp_path, fit.Hardware(pes=256, board="u55c"))
    assert fit.verdict(compiled.report) == "yes"
    assert compiled.machine.timeline.step <= 1.08 * compiled.machine.order.bound_cycles
    assert not compiled.report["resources"]["ports"]["are_too_many"]


def test_512_pes_fit_with_their_weights_on_chip(tmp_path):
    hardware = fit.Hardware(pes=512, board="u55c", weight_storage="onchip")
    compiled = fit.ESE.compiled(tmp_path, hardware)
    assert fit.verdict(compiled.report) == "yes"
    assert compiled.machine.timeline.step <= 1.15 * compiled.machine.order.bound_cycles
    assert any("is scarce" in note for note in compiled.report["notes"])


def test_ese_s_channels_fit_the_memory_of_its_part(tmp_path):
    hardware = fit.Hardware(pes=32, lanes=32, part="xcku060-ffva1156-2-e")
    compiled = fit.ESE.compiled(tmp_path, hardware)
    totals = compiled.report["resources"]["totals"]
    assert totals["bram18"]["fits"] and totals["lut_memory"]["fits"] and totals["dsp"]["fits"]


def test_a_line_says_what_the_report_says(tmp_path):
    hardware = fit.Hardware(pes=4, board="pynq-z2", port_bits=64)
    compiled = fit.DIGITS.compiled(tmp_path, hardware)
    cells = dict(zip(fit.TITLES, fit.row(fit.DIGITS, compiled), strict=True))
    lut = compiled.report["resources"]["totals"]["lut"]
    assert cells["LUT"] == f"{lut['used']:,} of 53,200"
    assert cells["fits"] == "yes" and cells["device"] == "pynq-z2"
    assert cells["cycles"] == f"{compiled.report['timeline']['cycles_per_step']:,}"


@pytest.mark.parametrize(
    ("lut", "bram18", "ports", "told"),
    [("fits", "fits", False, "yes"), ("unsure", "fits", False, "unsure: LUT"),
     ("unsure", "does not fit", False, "no: BRAM18"), ("fits", "fits", True, "no: ports")],
)  # fmt: skip
def test_a_verdict_names_what_is_missing(lut, bram18, ports, told):
    totals = {"lut": {"verdict": lut}, "bram18": {"verdict": bram18}}
    report = {"resources": {"totals": totals, "ports": {"are_too_many": ports}}}
    assert fit.verdict(report) == told
