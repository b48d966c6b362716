"""The estimate against the emitted C++ that it speaks of, and against the devices."""

import math
import re
from collections import Counter

import pytest

from penstock.machine.arrays import Role
from penstock.machine.logic import lutram_luts
from penstock.machine.memories import Memory
from penstock.machine.resources import Fit, Verdict, bram18_blocks, cost_of


@pytest.fixture(scope="module")
def sizes(compiled):
    """The constants of kernel/config.h."""
    text = compiled.files["kernel/config.h"].decode()
    return {name: int(value) for name, value in re.findall(r"const \w+ (\w+) = (\d+);", text)}


def memory(report, name):
    (row,) = [row for row in report["memories"] if row["name"] == name]
    return row


@pytest.fixture(scope="module")
def resources(report):
    return report["resources"]


def test_activation_memory_is_that_of_the_kernel(compiled, resources, sizes):
    row = memory(resources, "activation memory")
    copies = sizes["GROUPS"] * sizes.get("GROUP_COPIES", 0) or 1  # one serves all broadcasts
    overlaps = compiled.machine.hardware.overlaps
    assert row["count"] == copies * (1 if overlaps else sizes["CELL_UNITS"])
    in_word = sizes["COPIED"] if overlaps else 1
    assert row["depth"] == -(
        -sizes["VECTOR_DEPTH"] // (in_word if overlaps else sizes["CELL_UNITS"])
    )
    config = compiled.files["kernel/config.h"].decode()
    width = row["width"] // sizes["LANES"] // in_word
    assert f"typedef ap_int<{width}> activation_t;" in config
    compute = compiled.files["kernel/compute.h"].decode()
    kind, _, _ = row["storage"].partition("_")
    assert re.search(rf"variable=vector type=ram_\w+ impl={kind} ", compute)


def test_accumulators_are_those_of_the_kernel(compiled, resources, sizes):
    row = memory(resources, "accumulators")
    assert row["count"] == sizes["PES"] * sizes["BANKS"]
    assert row["depth"] == sizes["ACC_DEPTH"]
    config = compiled.files["kernel/config.h"].decode()
    assert f"typedef ap_int<{row['width'] // sizes['LANES']}> acc_t;" in config
    compute = compiled.files["kernel/compute.h"].decode()
    assert f"variable=acc type=ram_s2p impl={row['storage']} " in compute


def test_streams_are_as_deep_as_the_kernel_declares_them(resources, sizes):
    depths = {"beats": "BEAT", "words": "WORD", "frames": "FRAME", "results": "RESULT"}
    for name, constant in depths.items():
        assert memory(resources, name)["depth"] == sizes[f"{constant}_STREAM_DEPTH"]


def test_every_array_of_the_kernel_is_counted(compiled, resources):
    compute = compiled.files["kernel/compute.h"].decode()
    arrays = re.findall(r"^  static [^;]*? (\w+)\[[^;]*;", compute, re.MULTILINE)
    arrays = [name for name in arrays if not name.startswith("kept_")]  # registers
    counted = {"weights", "activations", "accumulators", "sums", "packets"}
    counted |= {str(role) for role in Role}
    rows = [row for row in resources["memories"] if row["kind"] in counted]
    assert len(rows) - 1 == len(arrays)  # one more is the output frame, in ports.h


def test_two_table_lookups_of_a_cycle_share_a_memory(compiled, resources, sizes):
    units = re.split(r"^static", compiled.files["kernel/cell_unit.h"].decode(), flags=re.MULTILINE)
    lookups = [Counter(re.findall(r"= ((?:sigma|tanh)_\w+)\(", unit)) for unit in units]
    rows = [row for row in resources["memories"] if row["kind"] == "tables"]
    at_once = sizes["CELL_UNITS"] * sizes["LANES"]
    counts = sorted(-(-at_once * calls // 2) for unit in lookups for calls in unit.values())
    assert sorted(row["count"] for row in rows) == counts
    tables = compiled.files["kernel/tables.h"].decode()
    copies = [int(count) for count in re.findall(r" TABLE\[(\d+)\]\[", tables)]
    names = {name for unit in lookups for name in unit}
    most = (max(unit[name] for unit in lookups) for name in names)
    assert sorted(copies) == sorted(-(-at_once * calls // 2) for calls in most)
    assert {row["bram18"] for row in rows} == {2 * row["count"] for row in rows}  # 2,048 x 16 bits


def test_multipliers_are_those_of_the_pes_and_of_the_cell_units(compiled, resources, sizes):
    products = re.findall(r" = \w+ \* \w+;", compiled.files["kernel/cell_unit.h"].decode())
    in_cells = len(products) * sizes["CELL_UNITS"] * sizes["LANES"]
    assert resources["totals"]["dsp"]["used"] == sizes["PES"] * sizes["LANES"] + in_cells


def test_totals_are_the_sums_of_the_rows(resources):
    totals, rows = resources["totals"], resources["memories"]
    assert totals["bram18"]["used"] == sum(row["bram18"] for row in rows)
    assert totals["uram"]["used"] == sum(row["uram"] for row in rows)
    parts = [*rows, *resources["blocks"]]
    assert totals["lut"]["used"] == sum(row["lut"] for row in parts)
    assert totals["ff"]["used"] == sum(row["ff"] for row in resources["blocks"])
    assert totals["lut"]["used"] > totals["lut_memory"]["used"] > sum(row["lut"] for row in rows)
    assert totals["dsp"]["used"] == sum(row["dsp"] for row in resources["multipliers"])


@pytest.mark.parametrize(
    ("depth", "width", "blocks", "dual_blocks"),
    [(512, 36, 1, 2), (1024, 18, 1, 1), (2048, 16, 2, 2), (513, 36, 2, 2), (16384, 1, 1, 1),
     (16385, 1, 2, 2), (1, 1, 1, 1), (256, 512, 15, 29)],
)  # fmt: skip
def test_block_rams_follow_their_shapes(depth, width, blocks, dual_blocks):
    assert bram18_blocks(depth, width) == blocks
    assert bram18_blocks(depth, width, is_true_dual_port=True) == dual_blocks


@pytest.mark.parametrize(
    ("depth", "width", "luts"), [(32, 14, 8), (32, 15, 16), (64, 7, 8), (64, 14, 16), (65, 7, 16)]
)
def test_lut_memories_follow_their_shapes(depth, width, luts):
    assert lutram_luts(depth, width) == luts


@pytest.mark.parametrize(
    ("depth", "width", "blocks"), [(4096, 72, 1), (4097, 72, 2), (4096, 73, 2), (100, 16, 1)]
)
def test_ultra_rams_have_one_shape(depth, width, blocks):
    cost = cost_of(Memory("name", "kind", 3, depth, width, impl="uram"))
    assert (cost.impl, cost.uram, cost.bram18, cost.lut) == ("uram", 3 * blocks, 0, 0)


def test_the_estimate_says_that_it_is_one(compiled):
    assert compiled.report["resources"]["label"] == "estimate, not from synthesis"
    assert "estimate, not from synthesis" in compiled.files["report.html"].decode()


def test_the_logic_s_error_and_where_it_comes_from_are_told(compiled, resources):
    error = f"{100 * resources['logic_error']:.0f} %"
    assert f"within {error} of what open synthesis (yosys) makes of them" in resources["rules"]
    page = compiled.files["report.html"].decode()
    assert resources["rules"] in page.replace("&#39;", "'") and f"logic ± {error}" in page


def test_a_resource_fits_up_to_the_share_that_is_planned_for():
    assert Fit(70, 100, 0.7).fits is True
    assert Fit(71, 100, 0.7).fits is False


@pytest.mark.parametrize(
    ("used", "verdict", "fits"),
    [(56, Verdict.FITS, True), (57, Verdict.UNSURE, None), (94, Verdict.UNSURE, None),
     (95, Verdict.DOES_NOT_FIT, False)],
)  # fmt: skip
def test_within_the_estimate_s_error_nobody_can_tell(used, verdict, fits):
    found = Fit(used, 100, 0.7, too_high=0.25, too_low=0.25)
    assert (found.verdict, found.fits) == (verdict, fits)


def test_what_only_synthesis_can_tell_is_noted(compile_network):
    first = compile_network("pruned").report
    used = first["resources"]["totals"]["lut"]["used"]
    told = f"lut={used},ff=9999999,bram18=9999,uram=0,dsp=9999"
    names = ("elements_per_cycle", "overlap", "weight_storage", "port_bits")
    given = {"part": "xcself-1"} | {name: first["hardware"][name] for name in names}
    report = compile_network("pruned", **given, part_resources=told).report
    assert report["resources"]["totals"]["lut"]["fits"] is False
    told = told.replace(f"lut={used}", f"lut={round(used / 0.75)}")
    report = compile_network("pruned", **given, part_resources=told).report
    lut = report["resources"]["totals"]["lut"]
    assert (lut["fits"], lut["verdict"]) == (None, "unsure")
    assert lut["least"] < used < lut["most"]
    assert (
        f"by estimate, the kernel takes {used:,} LUT, from {lut['least']:,} to {lut['most']:,}; "
        f"xcself has {lut['total']:,}, of which 70 % ({lut['limit']:,}) should be planned for: "
        "only synthesis can tell whether it fits"
    ) in report["notes"]


def test_what_does_not_fit_is_noted_and_not_refused(compile_network):
    report = compile_network("pruned", part="xc7z020clg400-1", pes=32, lanes=8).report
    dsp = report["resources"]["totals"]["dsp"]
    assert dsp["used"] > dsp["limit"] == 176
    assert dsp["fits"] is False
    notes = [note for note in report["notes"] if "DSP" in note]
    assert notes == [
        f"by estimate, the kernel takes {dsp['used']:,} DSP; xc7z020 has 220, of which 80 % (176) "
        "should be planned for: take fewer PEs, lanes or cell units, or a larger part"
    ]


def test_what_fits_is_not_noted(compile_network):
    assert not [note for note in compile_network("pruned").report["notes"] if "xcu55c" in note]


def test_a_stream_faster_than_the_memory_is_noted_with_what_it_costs(compile_network):
    report = compile_network(
        "pruned", part="xc7z020clg400-1", clock_mhz=300.0, weight_storage="stream"
    ).report
    timeline, ports = report["timeline"], report["resources"]["ports"]
    peak, stall = timeline["weight_gb_per_s_peak"], timeline["stall_cycles"]
    assert peak > 2.1
    assert ports["slower_by_device"] >= peak / 2.1
    words = sum(row["words"] for row in report["phases"])
    assert stall == math.ceil(words * (ports["slower_by_device"] - 1))
    assert timeline["cycles_per_step"] == timeline["compute_cycles"] + stall
    assert (
        f"the weight stream asks for {peak:.1f} GB/s at 300 MHz, more than the 2.1 GB/s of memory "
        f"beside xc7z020: the PEs wait in {stall:,} of the {timeline['cycles_per_step']:,} "
        "cycles of a step"
    ) in report["notes"]


def test_a_port_wider_than_the_device_s_is_noted(compile_network):
    told = "lut=9999999,ff=9999999,bram18=9999,uram=0,dsp=9999,gbps=99,ports=9,port_bits=16"
    report = compile_network(
        "pruned", part="xcself", part_resources=told, clock_mhz=200.0, weight_storage="stream"
    ).report
    ports = report["resources"]["ports"]
    (weights,) = [port for port in ports["each"] if port["name"] == "weights_0"]
    assert weights["gb_per_s_offered"] == pytest.approx(0.4)
    asked = weights["gb_per_s_streaming"]
    assert ports["slower_by_port"] == pytest.approx(asked / 0.4)
    stall, step = report["timeline"]["stall_cycles"], report["timeline"]["cycles_per_step"]
    assert (
        f"weights_0 asks for {asked:.1f} GB/s at 200 MHz, more than the 0.4 GB/s of a memory port "
        f"of xcself: the PEs wait in {stall:,} of the {step:,} cycles of a step"
    ) in report["notes"]


def test_more_ports_than_the_device_has_are_noted(compile_network):
    report = compile_network("pruned", board="pynq-z2", part=None).report
    count = report["resources"]["ports"]["count"]
    note = f"the kernel has {count} memory ports, and xc7z020 offers 4: some have to share one"
    assert count > 4 and note in report["notes"]
