"""What the compiler chooses for a device, what it says of that, and what it refuses."""

import json
import re
from dataclasses import replace
from functools import cache

import pytest
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.calibration import calibrate
from penstock.devices import BOARDS, board_of, known_device
from penstock.driver import compile_model
from penstock.lowering import lower
from penstock.machine.bandwidth import bandwidth
from penstock.machine.candidates import (
    COUNTS,
    WITHIN,
    Candidate,
    candidate,
    explore,
    of_count,
    preferred,
)
from penstock.machine.choose import MOST_UNNAMED, choose
from penstock.machine.machine import describe
from penstock.machine.resources import Verdict
from penstock.schedule.outline import Outline
from penstock.settings import Balance
from penstock_runtime import load_project
from penstock_runtime.compare import check

NETWORKS = {
    "tiny": {},
    "digits": {"inputs": 8, "cells": (64,), "head": 10, "pes": 8, "density": 0.1},
    "phones": {"inputs": 39, "cells": (256,), "head": 40, "at": "step", "pes": 16, "density": 0.1},
    "both ways": {"cells": (64,), "bidirectional": True, "head": 4, "at": "step"},
}


@cache
def graph_of(name):
    network = random_model(**NETWORKS[name])
    return lower(network, calibrate(network, None), Precision())


@cache
def chosen(name, **settings):
    machine, notes = choose(graph_of(name), Hardware(**settings))
    of_rows = ("spread over all PEs", "shared by all PEs")
    return machine, tuple(note for note in notes if not any(words in note for words in of_rows))


def told(notes, text="the compiler chose"):
    """The one note that says so."""
    (note,) = [note for note in notes if text in note]
    return note


def verdict(machine):
    return Candidate(machine).verdict


@pytest.mark.parametrize("board", ["pynq-z2", "kv260", "zcu104"])
@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks_fit_small_boards_with_room(name, board):
    machine, notes = chosen(name, board=board)
    assert verdict(machine) is Verdict.FITS
    assert machine.hardware.pes > 1 and machine.hardware.beat_bits == board_bits(board)
    assert told(notes).startswith(f"for {board}, the compiler chose {machine.hardware.pes} PEs, ")


def board_bits(board):
    return {"pynq-z2": 64, "kv260": 128, "zcu104": 128}[board]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_ports_are_as_wide_as_the_familys(board):
    zynq = {"xc7z": 64, "xczu": 128, "xck2": 128}
    assert Hardware(board=board.name).beat_bits == zynq.get(board.part[:4], 512)
    assert Hardware(board=board.name, port_bits=256).beat_bits == 256


def test_ports_of_described_parts_are_as_wide_as_is_told():
    die = "lut=1,ff=1,bram18=1,uram=0,dsp=1"
    told = {16: 64, 64: 64, 100: 64, 200: 128, 256: 256, 1024: 512}
    for bits, chosen_bits in told.items():
        device = known_device("xcself", f"{die},gbps=1,ports=1,port_bits={bits}")
        assert device.port_bits == chosen_bits
    for part, bits in {"xc7z020clg400-1": 64, "xcu26": 512, "xczu3eg": 128}.items():
        assert known_device(part, die).port_bits == bits


def test_wider_ports_are_taken_where_lanes_need_them():
    machine, notes = chosen("tiny", board="pynq-z2", lanes=8)
    assert machine.hardware.beat_bits == 128
    assert notes[0] == "memory ports have 128 bits, wide enough for an element with all its lanes"
    with pytest.raises(PenstockError, match="8 lanes of 16 bits do not fit a port of 64"):
        choose(graph_of("tiny"), Hardware(board="kv260", lanes=8, port_bits=64))


def test_without_a_device_small_networks_compile_and_large_ones_take_32_pes():
    machine, notes = chosen("tiny")
    assert machine.hardware.pes == 8
    assert told(notes).endswith(": no phase has more than 8 rows")
    machine, notes = chosen("phones")
    assert machine.hardware.pes == MOST_UNNAMED == 32
    assert told(notes).endswith(
        ": more than 32 only for a device that is named (--board, --part, or --pes)"
    )
    assert chosen("phones", board="u55c")[0].hardware.pes > 32


def test_the_fewest_pes_are_taken_that_are_about_as_fast_as_the_fastest_that_fits():
    hardware = Hardware(board="kv260")
    outline = Outline.of(graph_of("phones"), hardware)
    found = explore(outline, hardware, outline.most_rows)
    fitting = [one for one in found if one.verdict is Verdict.FITS]
    fastest = min(one.cycles for one in fitting)
    best = preferred(found)
    assert best.verdict is Verdict.FITS and best.cycles <= (1 + WITHIN) * fastest
    for one in fitting:
        if one.plainness < best.plainness:
            assert one.cycles > (1 + WITHIN) * fastest


def test_no_count_that_was_left_out_would_have_been_faster():
    """The search stops where no schedule could be; here every count is tried."""
    hardware = Hardware(board="pynq-z2")
    outline = Outline.of(graph_of("digits"), hardware)
    every = [
        one
        for pes in sorted(COUNTS)
        if pes <= outline.most_rows
        for one in of_count(outline, replace(hardware, pes=pes))
    ]
    best = preferred(every)
    found = preferred(explore(outline, hardware, outline.most_rows))
    assert found.hardware == best.hardware


def test_counts_that_were_left_out_are_tried_if_the_best_does_not_fit(monkeypatch):
    graph, hardware = graph_of("phones"), Hardware(board="kv260")
    first, _ = choose(graph, hardware)
    by_estimate = Candidate.verdict.fget

    def verdict_of(one):
        is_scheduled = bool(one.machine.plan.products[0].waste)  # an outline knows of none
        if is_scheduled and one.pes >= first.hardware.pes:
            return Verdict.DOES_NOT_FIT
        return by_estimate(one)

    monkeypatch.setattr(Candidate, "verdict", property(verdict_of))
    machine, _ = choose(graph, hardware)
    outline = Outline.of(graph, hardware)
    fewer = [
        one.cycles
        for pes in COUNTS
        if pes < first.hardware.pes
        for one in of_count(outline, replace(hardware, pes=pes))
        if one.verdict is Verdict.FITS
    ]
    assert machine.hardware.pes < first.hardware.pes
    assert Candidate(machine).cycles <= 1.1 * min(fewer)


def test_what_is_given_is_kept():
    given = {"elements_per_cycle": 5, "overlap": True, "weight_storage": "stream", "lanes": 2}
    machine, _ = chosen("phones", board="zcu104", **given)
    kept = machine.hardware
    assert {name: getattr(kept, name) for name in given} == given
    assert kept.pes % 5 == 0 and not machine.on_chip
    machine, notes = chosen("phones", board="kv260", pes=16)
    assert not any("compiler chose" in note for note in notes)
    assert (machine.hardware.pes, machine.hardware.cell_units, machine.hardware.overlaps) == (
        16, 8, True,
    )  # fmt: skip


def test_given_pes_get_fewer_units_where_the_default_would_not_fit():
    machine, notes = chosen("phones", board="pynq-z2", pes=24)
    note = told(notes)
    assert verdict(machine) is not Verdict.DOES_NOT_FIT and machine.hardware.pes == 24
    units = machine.hardware.cell_units
    assert units < 8
    assert note.startswith(
        f"for pynq-z2, the compiler chose {units} elements per cycle, no overlap, "
    )
    assert ": 8 elements per cycle with overlap would not fit with room; " in note
    assert note.endswith(" to be planned for")


def test_given_pes_that_fit_in_no_way_are_built_as_ever():
    machine, notes = chosen("phones", board="pynq-z2", pes=64)
    assert verdict(machine) is Verdict.DOES_NOT_FIT
    assert not any("compiler chose" in note for note in notes)
    assert (machine.hardware.cell_units, machine.hardware.overlaps) == (8, True)


def test_units_of_an_odd_number_of_pes_are_its_largest_divisor():
    units = {1: 1, 3: 3, 5: 5, 6: 2, 9: 3, 12: 4, 14: 2, 24: 8, 31: 1, 33: 3, 35: 7}
    assert {pes: Hardware(pes=pes).cell_units for pes in units} == units


SAYS = (
    r"(?P<next>\d+) PEs would not fit with room; (up to )?[\d,]+ [A-Z].* of [\d,]+ to be planned "
    r"for",
    r"more PEs save no time, and must save 5 %",
    r"more PEs would save [0-4]\.\d % of the time at most, and must save 5 %",
    r"no phase has more than (?P<rows>\d+) rows",
)


@pytest.mark.parametrize("board", ["pynq-z2", "kv260", "zcu104", "u55c"])
@pytest.mark.parametrize("name", ["digits", "phones"])
def test_what_limits_is_said_and_true(name, board):
    machine, notes = chosen(name, board=board)
    why = told(notes).partition(": ")[2]
    (found,) = filter(None, (re.fullmatch(says, why) for says in SAYS))
    outline = Outline.of(graph_of(name), Hardware(board=board))
    limit = found.groupdict()
    if "next" in limit:
        count = int(limit["next"])
        assert count == min(count for count in COUNTS if count > machine.hardware.pes)
    if "rows" in limit:
        assert outline.most_rows == int(limit["rows"])
        assert not any(machine.hardware.pes < count <= outline.most_rows for count in COUNTS)


def test_each_limit_is_said_of_a_device_that_has_it():
    plenty = {"lut": 999_999, "ff": 1_999_999, "bram18": 4_000, "uram": 0, "dsp": 4_000}
    memory = {"gbps": 400, "ports": 99, "port_bits": 512}

    def why(**changed):
        parts = ",".join(f"{key}={value}" for key, value in (plenty | memory | changed).items())
        _, notes = chosen("phones", part="xcself", part_resources=parts, weight_storage="stream")
        return told(notes).partition(": ")[2]

    assert re.fullmatch(SAYS[0], why(lut=30_000))["next"]
    assert re.search(r" DSP of 16 to be planned for$", why(dsp=20))
    assert re.fullmatch(f"{SAYS[1]}|{SAYS[2]}", why(gbps=2))
    assert re.fullmatch(f"{SAYS[2]}|{SAYS[3]}", why())


def test_a_network_that_fits_at_no_count_is_refused_with_what_is_short_and_a_board_that_fits():
    with pytest.raises(PenstockError) as caught:
        choose(graph_of("both ways"), Hardware(board="pynq-z2", max_steps=4_096))
    line = caught.value.line()
    assert line.startswith("the network does not fit pynq-z2: with 1 PE it takes ")
    assert ", most of all for frames, and 224 of 280 should be planned for (" in line
    assert line.endswith(" is large enough; or fewer cells or lanes, a smaller --max-steps")
    board = line.split("--board ")[1].split()[0]
    machine, _ = choose(graph_of("both ways"), Hardware(board=board, max_steps=4_096))
    assert verdict(machine) is Verdict.FITS


def test_what_no_board_holds_is_said():
    with pytest.raises(PenstockError) as caught:
        choose(graph_of("both ways"), Hardware(max_steps=1_000_000))
    assert "hint: no board in the device table is large enough: fewer cells" in caught.value.line()


def test_a_part_that_is_described_is_chosen_for():
    told = "lut=53200,ff=106400,bram18=280,uram=0,dsp=220,gbps=2.1,ports=4,port_bits=64"
    described = choose(graph_of("digits"), Hardware(part="xc7self-1", part_resources=told))[0]
    assert verdict(described) is Verdict.FITS
    assert described.hardware.beat_bits == 64


def test_more_units_than_rows_are_refused_as_more_pes_are():
    with pytest.raises(PenstockError, match="16 PEs can't share 8 cells"):
        choose(graph_of("tiny"), Hardware(elements_per_cycle=16))


def test_rounder_numbers_of_pes_are_suggested_where_they_are_faster():
    note = told(chosen("phones", pes=31)[1], "would be faster")
    assert note.startswith("32 PEs would be faster than 31: by estimate ")
    assert note.endswith(
        "with 1 group of 32 and 8 elements per cycle instead of 1 group of 31 and 1 element per "
        "cycle"
    )
    for pes in (32, 33):
        assert not any("would be faster" in note for note in chosen("phones", pes=pes)[1])


def test_short_steps_are_told_to_do_without_overlap():
    for pes, is_told in ((4, False), (16, True)):
        machine, notes = chosen("digits", pes=pes)
        without, _ = chosen("digits", pes=pes, overlap=False)
        assert machine.hardware.overlaps and not without.hardware.overlaps
        step, plain = machine.timeline.step, without.timeline.step
        note = f"--no-overlap would be faster: {plain} cycles a step instead of {step}"
        assert (note in notes) == is_told == (plain < 0.95 * step)
    assert not any("--no-overlap" in note for note in chosen("digits", pes=16, overlap=True)[1])


def test_few_ports_get_more_pes_each():
    """31 is prime: a port a PE, if the device had them."""
    machine, _ = chosen("phones", pes=31, weight_storage="stream")
    assert (machine.groups.groups, machine.groups.group_pes) == (1, 31)
    word_bits = 31 * max(product.code.entry_bits for product in machine.plan.products)
    assert word_bits > machine.hardware.beat_bits
    assert machine.timeline.stall > 0
    many, _ = chosen("phones", pes=31, weight_storage="stream", board="u250")
    assert (many.groups.groups, many.groups.group_pes) == (31, 1)
    zynq, _ = chosen("phones", pes=32, weight_storage="stream", board="pynq-z2")
    assert zynq.groups.groups == 4


def test_words_wider_than_a_port_wait_for_it_however_wide_the_devices_are():
    machine, _ = chosen("phones", pes=256, weight_storage="stream", port_bits=64)
    word_bits = machine.groups.group_pes * max(p.code.entry_bits for p in machine.plan.products)
    assert machine.groups.groups <= 27 and word_bits >= 3 * 64
    assert bandwidth(machine).slower_by_port == pytest.approx(word_bits / 64)
    assert machine.timeline.busy[0].cycles > 3 * machine.order.step_cycles / 2


def test_more_ports_than_a_card_has_do_not_fit():
    machine, _ = chosen("phones", pes=61, weight_storage="stream")
    found = Candidate(machine)
    assert all(fit.verdict is Verdict.FITS for fit in found.resources.fits.values())
    assert found.verdict is Verdict.DOES_NOT_FIT and len(machine.ports) > 32


@pytest.mark.parametrize("name", ["digits", "phones"])
def test_a_checkpoints_pes_are_taken_if_they_fit(name):
    graph = graph_of(name)
    machine, notes = choose(graph, Hardware(board="kv260"), balanced_for=Balance(4))
    assert machine.hardware.pes == 4 and notes[0] == "the masks are balanced for 4 PEs"
    machine, notes = choose(graph, Hardware(board="pynq-z2"), balanced_for=Balance(64))
    assert verdict(machine) is Verdict.FITS
    assert notes[0] == "the masks are balanced for 64 PEs, which do not fit"
    assert choose(graph, Hardware(pes=2), balanced_for=Balance(4))[0].hardware.pes == 2


def test_every_choice_is_in_the_report():
    compiled = compile_model(random_model(), None, Hardware(board="pynq-z2"))
    hardware = json.loads(compiled.files["report.json"])["hardware"]
    names = ["pes", "elements_per_cycle", "overlap", "weight_storage"]
    assert hardware["chosen"] == names
    made = compiled.machine.hardware
    assert [hardware[name] for name in names] == [
        made.pes, made.cell_units, made.overlaps,
        "onchip" if compiled.machine.on_chip else "stream",
    ]  # fmt: skip
    assert hardware["board"] == "pynq-z2" and hardware["part"] == board_of("pynq-z2").part
    assert any("the compiler chose" in note for note in compiled.notes)
    given = {"pes": 2, "elements_per_cycle": 1, "overlap": False, "weight_storage": "stream"}
    assert compile_model(random_model(), None, Hardware(**given)).report["hardware"]["chosen"] == []


@pytest.mark.parametrize("board", ["pynq-z2", "kv260"])
def test_the_phones_network_compiles_for_small_boards_with_no_other_option(board):
    compiled = compile_model(random_model(**NETWORKS["phones"]), None, Hardware(board=board))
    totals = compiled.report["resources"]["totals"]
    assert {name: row["fits"] for name, row in totals.items()} == dict.fromkeys(totals, True)
    assert not compiled.report["timeline"]["stall_cycles"]
    assert len(compiled.machine.ports) == compiled.report["resources"]["ports"]["count"]


def test_a_chosen_kernel_is_bit_true(cpp_flags, tmp_path):
    compiled = compile_model(random_model(cells=(24,), head=3), None, Hardware(board="pynq-z2"))
    result = check(load_project(compiled.write(tmp_path / "project")))
    assert result.passed


def test_ports_wider_than_any_are_not_chosen():
    with pytest.raises(PenstockError, match="32 lanes of 32 bits do not fit a port of 512"):
        network = random_model(cells=(4,), head=2, activation="sigmoid", pes=2)
        graph = lower(network, calibrate(network, None), Precision(outputs=18))
        choose(graph, Hardware(pes=2, lanes=32))


def test_weights_stay_on_chip_if_it_is_faster_and_fits_no_worse():
    """Logic that can't fit is no reason to wait for memory."""
    machine, _ = chosen("phones", board="pynq-z2", pes=31)
    streamed, _ = chosen("phones", board="pynq-z2", pes=31, weight_storage="stream")
    kept, _ = chosen("phones", board="pynq-z2", pes=31, weight_storage="onchip")
    assert kept.timeline.step < streamed.timeline.step
    assert Candidate(kept).room >= Candidate(streamed).room
    assert machine.on_chip


def test_pes_that_need_too_many_ports_are_not_taken_for_balance():
    network = random_model(inputs=20, cells=(220,), density=0.03, pes=4)
    graph = lower(network, calibrate(network, None), Precision(weights=6))
    hardware = Hardware(board="u55c", weight_storage="stream", overlap=False)
    asked, _ = choose(graph, replace(hardware, pes=185))
    assert Candidate(asked).resources.bandwidth.are_too_many
    machine, notes = choose(graph, hardware, balanced_for=Balance(185))
    assert machine.hardware.pes != 185
    assert told(notes, "balanced for").endswith("185 PEs, which do not fit")


def test_rows_that_all_pes_share_are_thought_of_when_pes_are_chosen():
    """Of an uneven mask, more PEs save time only where its heavy rows are shared."""
    network = random_model(inputs=64, cells=(256,), density=0.05, full_cell=3)
    graph = lower(network, calibrate(network, None), Precision())
    hardware = Hardware(board="zcu104")
    outline = Outline.of(graph, hardware)
    machine, _ = choose(graph, hardware)
    assert machine.parts
    (row,) = machine.products[0].shared[:1]
    estimated = candidate(outline, machine.hardware, machine.on_chip)
    assert row in estimated.machine.products[0].shared
    assert estimated.step == pytest.approx(machine.timeline.step, rel=0.05)
    plain = describe(graph, outline.schedule(machine.hardware), machine.on_chip)
    assert plain.timeline.step > 1.1 * machine.timeline.step


def test_broadcast_has_eses_pes_or_as_many_as_fit():
    machine, (note, *_) = chosen("phones", dataflow="broadcast", board="u55c")
    assert machine.hardware.pes == 32
    assert note == "for the broadcast dataflow, the compiler chose 32 PEs: ESE has 32"
    machine, (note, *_) = chosen("phones", dataflow="broadcast", board="pynq-z2")
    assert verdict(machine) is Verdict.FITS and machine.hardware.pes < 32
    following = min(count for count in COUNTS if count > machine.hardware.pes)
    assert re.fullmatch(
        rf"for the broadcast dataflow, the compiler chose {machine.hardware.pes} PEs: {following} "
        r"PEs would not fit with room; (up to )?[\d,]+ \S+ of [\d,]+ to be planned for", note
    )  # fmt: skip
    tiny = "lut=900,ff=1800,bram18=4,uram=0,dsp=1"
    with pytest.raises(PenstockError, match="the network does not fit xctiny: with 1 PE it takes"):
        choose(
            graph_of("phones"), Hardware(dataflow="broadcast", part="xctiny", part_resources=tiny)
        )


def test_a_part_that_is_the_default_is_named_if_it_is_given():
    assert not Hardware().names_device
    given = Hardware(part=Hardware().target)
    assert given.names_device and given.device is Hardware().device
    unnamed, _ = choose(graph_of("phones"), Hardware())
    machine, _ = choose(graph_of("phones"), given)
    assert unnamed.hardware.pes <= MOST_UNNAMED < machine.hardware.pes


def test_a_port_of_the_devices_width_stays_if_it_is_asked_for():
    hardware = Hardware(board="pynq-z2", pes=2, lanes=8)
    assert hardware.beat_bits == 64 < 8 * 16
    machine, notes = choose(graph_of("tiny"), hardware)
    assert machine.beats.port_bits == 128 and any("128 bits" in note for note in notes)
    with pytest.raises(PenstockError, match="8 lanes of 16 bits do not fit a port of 64"):
        choose(graph_of("tiny"), replace(hardware, port_bits=64))
