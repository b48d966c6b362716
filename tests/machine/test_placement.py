"""Memories that leave block RAM where a device has too little of it."""

import re
from dataclasses import replace

import pytest
from schedule.planning import planned

from penstock import Hardware
from penstock.codegen.hls.steps import storage_code
from penstock.driver import compile_graph
from penstock.machine import describe
from penstock.machine.resources import estimate

NETWORK = {"inputs": 70, "cells": (48,), "peephole": True, "head": 3, "at": "step", "density": 0.2}
PLENTY = {"lut": 900_000, "ff": 9_999_999, "bram18": 9_999, "uram": 0, "dsp": 9_999}


def hardware(**has):
    told = ",".join(f"{name}={count}" for name, count in {**PLENTY, **has}.items())
    return Hardware(pes=12, elements_per_cycle=1, port_bits=64, part="xcself", part_resources=told)


GRAPH, PLAN = planned(hardware(), **NETWORK)


def machine_with(**has):
    return describe(GRAPH, replace(PLAN, hardware=hardware(**has)))


def bram18(machine):
    return estimate(machine).fits["bram18"]


def moved(machine):
    return {(memory.name, memory.impl) for memory in machine.memories if memory.is_moved}


USED = bram18(machine_with()).used


def enough(limit):
    """Block RAMs of which so many should be planned for."""
    return -(-limit * 10 // 8)


def test_nothing_moves_where_block_ram_suffices():
    assert not moved(machine_with(bram18=enough(USED)))
    assert bram18(machine_with(bram18=enough(USED))).fits


def test_what_costs_the_least_moves_first():
    """Words of 51 bits, 32 deep: 32 LUTs for two block RAMs."""
    machine = machine_with(bram18=enough(USED) - 2)
    assert moved(machine) == {("words", "lutram")}
    assert bram18(machine).fits


@pytest.mark.parametrize("least", range(26, USED, 6))
def test_as_much_moves_as_makes_it_fit(least):
    machine = machine_with(bram18=enough(least))
    assert bram18(machine).used <= least
    assert machine == machine_with(bram18=enough(least))
    plain = machine_with()
    for kind in {memory.kind for memory in plain.memories}:
        counts = [sum(m.count for m in of.memories_of(kind)) for of in (plain, machine)]
        assert counts[0] == counts[1], kind


def test_the_activations_of_whole_groups_move():
    machine = machine_with(bram18=enough(35), lut=70_000)
    parts = machine.memories_of("activations")
    assert [(part.impl, part.count) for part in parts] == [("bram", 3), ("lutram", 9)]
    assert machine.groups.group_pes == 3


def test_ultra_ram_takes_what_luts_can_not():
    machine = machine_with(bram18=enough(USED - 6), lut=40_000, uram=10)
    assert moved(machine) == {("activation memory", "uram")}
    resources = estimate(machine)
    assert resources.fits["uram"].used == 6 and resources.fits["bram18"].fits


def test_where_it_can_not_fit_nothing_moves():
    machine = machine_with(bram18=enough(10))
    assert not moved(machine)
    assert bram18(machine).used == USED
    assert bram18(machine).fits is False


def test_the_timeline_does_not_know_where_memories_stand():
    assert machine_with(bram18=enough(35)).timeline == machine_with().timeline


def test_the_kernel_binds_memories_to_where_they_stand():
    compiled = compile_graph(GRAPH, hardware(bram18=44, lut=70_000))
    compute = compiled.files["kernel/compute.h"].decode()
    bound = re.findall(
        r"BIND_STORAGE variable=(vector\w*) type=(\w+) impl=(\w+) latency=(\d)", compute
    )
    assert bound == [("vector_0", "ram_s2p", "bram", "2"), ("vector_1", "ram_s2p", "lutram", "2")]
    top = compiled.files["kernel/lstm_top.cpp"].decode()
    in_luts = set(re.findall(r"BIND_STORAGE variable=(\w+) type=fifo impl=lutram", top))
    assert {"words", "weight_beats", "x_beats", "y_beats"} <= in_luts
    assert "results" not in in_luts  # it never stood in block RAM


def test_ultra_ram_is_read_in_two_cycles():
    machine = machine_with(bram18=enough(USED - 12), lut=40_000, uram=100)
    (memory,) = machine.memories_of("activations")
    assert storage_code(memory) == {"type": "ram_s2p", "impl": "uram", "latency": 2}
    assert storage_code(replace(memory, impl="bram"))["latency"] == 1


def test_what_moved_is_told():
    notes = compile_graph(GRAPH, hardware(bram18=44, lut=70_000)).notes
    (note,) = [note for note in notes if "scarce" in note]
    assert note == (
        "block RAM of xcself is scarce, so memories stand elsewhere: in LUTs: "
        "9 of 12 memories of activation memory, beats, words"
    )


def test_weights_leave_ultra_ram_where_that_is_scarce():
    """They are deep enough for it, and block RAM has room."""
    network = {"inputs": 64, "cells": (96,), "density": 0.9}

    def compiled(uram, bram18=9_999):
        told = f"lut=900000,ff=9999999,bram18={bram18},uram={uram},dsp=9999"
        own = Hardware(pes=2, weight_storage="onchip", part="xcself", part_resources=told)
        return compile_graph(planned(own, **network)[0], own)

    enough_of_it, scarce, nothing = compiled(99), compiled(1), compiled(1, bram18=20)
    assert enough_of_it.machine.memory("weights").impl == "uram"
    weights = scarce.machine.memory("weights")
    assert weights.impl == "bram" and weights.is_moved and weights.depth >= 2048
    assert not enough_of_it.machine.memory("weights").is_moved
    (note,) = [note for note in scarce.notes if "scarce" in note]
    assert note == (
        "UltraRAM of xcself is scarce, so memories stand elsewhere: in block RAM: weights"
    )
    assert "variable=stored type=ram_s2p impl=bram" in scarce.files["kernel/compute.h"].decode()
    assert nothing.machine.memory("weights").impl == "uram"
    assert estimate(nothing.machine).fits["uram"].fits is False
