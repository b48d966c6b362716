"""Options that come from the fields of the settings."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields

import pytest

from penstock import Fixed, Hardware, Precision
from penstock.choices import Choices, Files, Network
from penstock.cli.options import with_options
from penstock.fixed import Overflow, Rounding
from penstock.option import Kind, read_type, settings_of, type_text, words_of

RND_SAT = {"rounding": Rounding.RND, "overflow": Overflow.SAT}
CHANGED = {
    Kind.FLAG: True, Kind.INTEGER: 2, Kind.NUMBER: 123.5, Kind.TEXTS: ("a", "b c"),
    Kind.BITS: Fixed(14, 10, **RND_SAT), Kind.TYPES: {"l0.c": Fixed(16, 12), "a=b": Fixed(9, 3)},
    Kind.EXPONENTS: {"l0.W_ix": [0, 2, 1]},
}  # fmt: skip
"""A value of each kind that is no default."""
CHOSEN = {
    "accumulator_banks": 8, "port_bits": 128, "overlap": False, "table_entries": 64,
    "accumulators": 20, "part": "xczu7ev", "key": "net", "head": "step",
    "head_activation": "argmax", "part_resources": "lut=1,ff=1,bram18=1,uram=0,dsp=1",
    "queue_depth": 3, "interpolate_bits": 5, "rows": 8, "banks": 8, "interleave": 2,
}  # fmt: skip
"""Where not every value is possible."""


def changed(owner, name):
    """Settings with one that is not the default."""
    setting = settings_of(owner)[name]
    others = [one for one in setting.option.choices if one != setting.default]
    value = CHOSEN.get(name, others[0] if others else CHANGED.get(setting.kind))
    more = {"dataflow": "broadcast"} if name == "queue_depth" else {}
    more |= {"dataflow": "bank"} if name in ("rows", "banks", "interleave") else {}
    more |= {"lanes": 4} if name == "interleave" else {}
    more |= {"part": "xc7x"} if name == "part_resources" else {}
    return owner(**{name: value} | more)


@with_options(hardware=Hardware, precision=Precision, network=Network)
def command(*, given):
    return given


def parse(words):
    """What the command line makes of words: table -> field -> value."""
    import typer
    from typer.main import get_command

    found = []
    app = typer.Typer()

    @app.command()
    @with_options(hardware=Hardware, precision=Precision, network=Network)
    def run(*, given):
        found.append(given)

    get_command(app)(words, standalone_mode=False)
    return found[0]


OWNERS = {"hardware": Hardware, "precision": Precision, "network": Network}
SETTINGS = [(table, name) for table, owner in OWNERS.items() for name in settings_of(owner)]


@pytest.mark.parametrize("owner", [Hardware, Precision, Choices, Network, Files])
def test_every_field_of_the_settings_has_an_option(owner):
    assert [*settings_of(owner)] == [field.name for field in fields(owner)]


@pytest.mark.parametrize(("table", "name"), SETTINGS)
def test_a_setting_is_the_same_from_words_and_from_toml(table, name):
    from penstock.config import _text

    owner = OWNERS[table]
    wanted, setting = changed(owner, name), settings_of(owner)[name]
    assert wanted != owner()
    assert owner(**parse(words_of(wanted))[table]) == wanted
    text = f"{name} = {_text(setting.to_plain(getattr(wanted, name)))}"
    assert setting.from_plain(tomllib.loads(text)[name]) == getattr(wanted, name)


def test_options_that_were_not_used_are_not_given():
    unused = dict.fromkeys(command.__annotations__)
    assert command(**unused) == {"hardware": {}, "precision": {}, "network": {}}
    assert words_of(Hardware()) == words_of(Precision()) == words_of(Network()) == []


def test_0_and_no_are_values():
    given = parse(["--interpolate-bits", "0", "--no-row-scales", "--no-overlap"])
    assert given["precision"] == {"interpolate_bits": 0, "row_scales": False}
    assert given["hardware"] == {"overlap": False}


def test_the_clock_of_a_board_is_not_said_again():
    assert words_of(Hardware(board="kv260")) == ["--board", "kv260"]
    assert words_of(Hardware(board="kv260", clock_mhz=77)) == [
        "--clock-mhz", "77", "--board", "kv260",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [
    Fixed(16, 12, **RND_SAT), Fixed(16, 12), Fixed(8, -3, False, **RND_SAT),
    Fixed(7, 9, rounding=Rounding.TRN_ZERO, overflow=Overflow.SAT_SYM),
])  # fmt: skip
def test_a_type_is_what_its_text_says(dtype):
    assert read_type(type_text(dtype)) == dtype


def test_a_type_rounds_and_saturates_unless_it_says_otherwise():
    assert read_type("s16.12") == Fixed(16, 12, **RND_SAT)
    assert read_type("u9.8 TRN WRAP") == Fixed(9, 8, False)


def test_the_type_of_a_tensor_reaches_the_graph(penstock, work):
    words = ("--type", "l0.c=s14.9", "--weight-bits", "s9.7")
    done = penstock("compile", "model.safetensors", "-o", "out", "--pes", "2", *words)
    assert done.status == 0, done.err
    report = json.loads((work / "out/report.json").read_text())
    types = {row["name"]: (row["type"], row["rounding"]) for row in report["tensors"]}
    assert types["l0.c"] == ("s14.9", "RND") and types["l0.W_ix"][0] == "s9.7"


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
