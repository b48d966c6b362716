"""Boards and parts: what is known, what is refused, what can be told instead."""

from __future__ import annotations

import json

import pytest

from penstock import Hardware, PenstockError
from penstock.devices import BOARDS, DEVICES, board_of, device_of

TOLD = "lut=100,ff=200,bram18=30,uram=4,dsp=5"


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_a_part_number_finds_its_device(device):
    assert device_of(f"{device.name}-package-2-e") is device


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_a_die_is_plausible(device):
    die = device.die
    assert die.ff == 2 * die.lut
    assert 0.3 < die.lut_memory / die.lut < 0.55
    assert device.memory.port_bits in (64, 128, 512)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_sets_part_and_clock(board):
    hardware = Hardware(board=board.name)
    assert (hardware.target, hardware.clock_mhz) == (board.part, board.clock_mhz)
    assert hardware.device is device_of(board.part)


def test_without_a_board_part_and_clock_have_their_defaults():
    hardware = Hardware()
    assert (hardware.board, hardware.target) == (None, "xcu55c-fsvh2892-2L-e")
    assert hardware.clock_mhz == 200.0
    assert Hardware(board="u55c").clock_mhz == board_of("U55C").clock_mhz


def test_what_is_given_beside_a_board_counts():
    hardware = Hardware(board="kv260", clock_mhz=300.0, part="xck26-sfvc784-2LVI-i")
    assert (hardware.clock_mhz, hardware.target) == (300.0, "xck26-sfvc784-2LVI-i")


def test_a_board_and_the_part_of_another_die_are_refused():
    with pytest.raises(PenstockError) as refused:
        Hardware(board="kv260", part="xcu55c-fsvh2892-2L-e")
    assert str(refused.value) == (
        "the board kv260 has the part xck26-sfvc784-2LV-c, not xcu55c-fsvh2892-2L-e (hardware "
        "settings); hint: give one of --board and --part"
    )


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("kv620", "try kv260, or"), ("pynq", "try pynq-z2, or"),
     ("zcu105", "try zcu104 or zcu102"), ("nothing", "choose one of u55c, u50, ")],
)  # fmt: skip
def test_an_unknown_board_is_refused_with_the_nearest(name, nearest):
    with pytest.raises(PenstockError, match="there is no board") as refused:
        Hardware(board=name)
    assert nearest in str(refused.value)


@pytest.mark.parametrize(
    ("part", "nearest"),
    [
        ("xcu55-fsvh2892", "try xcu55c"),
        ("xczu7eg-ffvc1156-2-e", "xczu7ev, or"),
        ("q", "choose one of"),
    ],
)
def test_an_unknown_part_is_refused_with_the_nearest(part, nearest):
    with pytest.raises(PenstockError, match="is not in the device table") as refused:
        Hardware(part=part)
    assert nearest in str(refused.value) and "--part-resources lut=..,ff=.." in str(refused.value)


def test_an_unknown_part_may_be_described():
    device = Hardware(part="XCself-pack-1", part_resources=TOLD).device
    assert (device.name, device.memory) == ("xcself", None)
    assert (device.die.lut, device.die.lut_memory, device.die.uram) == (100, 40, 4)
    told = f"{TOLD}, gbps=12.8, ports=2, port_bits=256"
    memory = Hardware(part="xcself", part_resources=told).device.memory
    assert (memory.gb_per_s, memory.ports, memory.port_bits) == (12.8, 2, 256)
    assert memory.port_gb_per_s(100.0) == 3.2 and memory.port_gb_per_s(1000.0) == 12.8


@pytest.mark.parametrize(
    "told",
    ["", "lut", "lut=1", TOLD.replace("lut", "luts"), TOLD.replace("5", "five"), f"{TOLD},lut=1",
     f"{TOLD},gbps=0,ports=1,port_bits=64", f"{TOLD},gbps=2,ports=0,port_bits=64",
     f"{TOLD},gbps=2,ports=1,port_bits=0", TOLD.replace("100", "100.5"),
     f"{TOLD},gbps=1", f"{TOLD},x=1", TOLD.replace("100", "1e3"), TOLD.replace("100", "-1")],
)  # fmt: skip
def test_a_description_that_is_none_is_refused(told):
    with pytest.raises(PenstockError) as refused:
        Hardware(part="xcself", part_resources=told)
    assert str(refused.value).startswith(f"the part's resources {told!r} can't be read")
    assert "write lut=..,ff=..,bram18=..,uram=..,dsp=..[,gbps=..,ports=..,port_bits=..]" in str(
        refused.value
    )


def test_a_board_on_the_command_line_reaches_the_project(penstock, work):
    done = penstock("compile", "model.safetensors", "-o", "out", "--pes", "2", "--board", "kv260")
    assert done.status == 0
    config = (work / "out/hls_config.cfg").read_text()
    assert "part=xck26-sfvc784-2LV-c\n" in config and "clock=5ns\n" in config


def test_an_unknown_board_on_the_command_line_is_one_line(penstock):
    done = penstock("compile", "model.safetensors", "-o", "out", "--board", "kv620")
    assert done.status != 0
    assert done.err.splitlines() == [
        "error: there is no board 'kv620' in the device table (hardware settings); hint: try "
        "kv260, or give --part"
    ]


def test_a_board_is_all_that_need_be_given(penstock, work):
    done = penstock("compile", "model.safetensors", "-o", "out", "--board", "pynq-z2")
    assert done.status == 0, done.err
    report = json.loads((work / "out/report.json").read_text())
    assert all(row["fits"] for row in report["resources"]["totals"].values())
    told = f"note: for pynq-z2, the compiler chose {report['hardware']['pes']} PEs, "
    assert told in " ".join(done.out.split())


def test_what_fits_no_number_of_pes_is_refused_and_nothing_is_written(refused):
    tiny = "lut=900,ff=1800,bram18=4,uram=0,dsp=9,gbps=1,ports=4,port_bits=64"
    line = refused(
        "compile", "model.safetensors", "-o", "out", "--part", "xc7z007", "--part-resources", tiny
    )
    assert line.startswith("the network does not fit xc7z007: with 1 PE it takes ")
    assert "hint: --board pynq-z2 is large enough; or fewer cells or lanes" in line
