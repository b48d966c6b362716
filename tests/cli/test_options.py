"""Options that come from the fields of the settings."""

from __future__ import annotations

import json

import pytest

from penstock import Hardware, Precision
from penstock.cli.options import with_settings


@with_settings
def command(*, hardware: Hardware, precision: Precision | None):
    return hardware, precision


def test_every_setting_of_the_hardware_and_every_width_has_an_option():
    assert vars(Hardware()).keys() <= command.__annotations__.keys()
    not_asked = {"row_exponents", "overrides"}
    assert vars(Precision()).keys() - not_asked <= command.__annotations__.keys()


def test_options_that_were_not_used_leave_the_settings_alone():
    unused = dict.fromkeys(command.__annotations__)
    assert command(**unused) == (Hardware(), None)


def test_an_option_reaches_its_setting_and_0_is_a_value():
    unused = dict.fromkeys(command.__annotations__)
    used = unused | {"port_bits": 128, "biases": 9, "interpolate_bits": 0, "row_scales": False}
    assert command(**used) == (Hardware(port_bits=128), Precision(biases=9, interpolate_bits=0))


@pytest.mark.parametrize("flag", [True, False])
def test_a_flag_is_a_setting_only_if_it_is_given(flag):
    unused = dict.fromkeys(command.__annotations__)
    expected = Precision(row_scales=True) if flag else None
    assert command(**unused | {"row_scales": flag}) == (Hardware(), expected)


@pytest.mark.parametrize("flag", [True, False])
def test_what_is_chosen_by_default_may_be_chosen_either_way(flag):
    unused = dict.fromkeys(command.__annotations__)
    assert command(**unused | {"overlap": flag}) == (Hardware(overlap=flag), None)


@pytest.mark.parametrize(("words", "overlaps"), [
    ((), True), (("--no-overlap",), False), (("--overlap", "--lanes", "2"), True),
    (("--lanes", "2"), False),
])  # fmt: skip
def test_overlap_is_switched_on_and_off(words, overlaps, penstock, work):
    done = penstock("compile", "model.safetensors", "-o", "out", "--pes", "2", *words)
    assert done.status == 0, done.err
    manifest = json.loads((work / "out/weights/manifest.json").read_text())
    assert bool(manifest["kernel"]["runs"]) == overlaps


def test_frames_and_results_become_streams_and_the_host_program_goes(penstock, work):
    words = ("compile", "model.safetensors", "-o", "out", "--pes", "2", "--board", "kv260")
    assert penstock(*words).status == 0
    assert (work / "out/host/host.cpp").is_file()
    done = penstock(*words, "--io", "stream")
    assert done.status == 0, done.err
    assert "the PYNQ driver moves them by an AXI DMA" in " ".join(done.out.split())
    manifest = json.loads((work / "out/weights/manifest.json").read_text())
    assert manifest["interface"]["io"] == "stream"
    assert not (work / "out/host/host.cpp").exists()
    assert (work / "out/pynq/penstock_driver.py").is_file()


@pytest.mark.parametrize(("words", "expected"), [
    ((), {"name": "relative", "index_bits": 4, "queue_depth": 8}),
    (("--queue-depth", "3", "--index-bits", "2"),
     {"name": "relative", "index_bits": 2, "queue_depth": 3}),
])  # fmt: skip
def test_the_broadcast_dataflow_has_ese_s_index_and_queues_as_deep_as_asked(
    words, expected, penstock, work
):
    options = ("--pes", "2", "--dataflow", "broadcast", *words)
    done = penstock("compile", "model.safetensors", "-o", "out", *options)
    assert done.status == 0, done.err
    manifest = json.loads((work / "out/weights/manifest.json").read_text())
    assert [phase["format"] for phase in manifest["phases"]] == [expected] * len(manifest["phases"])
    hardware = json.loads((work / "out/report.json").read_text())["hardware"]
    assert (hardware["dataflow"], hardware["queue_depth"]) == ("broadcast", expected["queue_depth"])


def test_settings_on_the_command_line_reach_the_project(penstock, work):
    done = penstock(
        "compile", "model.safetensors", "-o", "out", "--pes", "2", "--accumulator-banks", "8",
        "--port-bits", "256", "--logit-bits", "11", "--bias-bits", "9",
    )  # fmt: skip
    assert done.status == 0
    manifest = json.loads((work / "out/weights/manifest.json").read_text())
    assert manifest["port_bits"] == 256
    assert {phase["banks"] for phase in manifest["phases"]} == {8}
