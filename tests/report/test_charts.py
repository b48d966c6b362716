"""Charts of the page: axes, loads, timelines, histograms, errors, what is not known."""

import re

import pytest

from penstock.report.drawing import axes, histograms, loads, timeline
from penstock.report.drawing.errors import error_chart
from penstock.report.number_tables import labels_table
from penstock.report.provenance import provenance_tables
from penstock.report.tables import lengths_table
from penstock.report.text import percent
from penstock.report.unknown import unknowns


def labels(ticks):
    return [tick["label"] for tick in ticks]


@pytest.mark.parametrize(
    ("length", "step"), [(1, 1), (6, 1), (7, 2), (13, 5), (31, 10), (1023, 200), (8533, 2000)]
)
def test_ticks_are_round_numbers_and_few(length, step):
    assert axes.step_of(length) == step
    assert len(axes.across(length)) <= axes.MOST_TICKS + 1


@pytest.mark.parametrize("pes", [2, 3, 32, 33, 256, 1024])
def test_every_axis_of_pes_names_the_first_and_nearly_the_last(pes):
    ticks = axes.middles(pes)
    numbers = [int(label.replace(",", "")) for label in labels(ticks)]
    assert numbers[0] == 0 and pes - 1 - numbers[-1] <= axes.step_of(pes) / 2
    assert [float(tick["at"]) for tick in ticks] == pytest.approx(
        [100 * (number + 0.5) / pes for number in numbers], abs=1e-3
    )


def test_heights_of_a_histogram_are_logarithms_and_so_are_its_ticks():
    assert axes.log_height(0, 1000) == 0 and axes.log_height(1000, 1000) == 100
    assert axes.log_height(1, 10**6) > 4
    ticks = axes.powers_upward(12_345)
    assert labels(ticks) == ["1", "100", "10,000"]
    assert float(ticks[1]["at"]) == pytest.approx(100 - axes.log_height(100, 12_345), abs=1e-3)


def phase(nonzeros, words, entries=None):
    return {
        "name": "p", "words": words, "pe_nonzeros": nonzeros, "pe_entries": entries or nonzeros,
        "utilization": sum(nonzeros) / len(nonzeros) / words,
    }  # fmt: skip


def heights(path, words):
    return [words - float(top) for top in re.findall(r"V([\d.]+)h", path)]


@pytest.mark.parametrize("pes", [2, 96, 97, 256])
def test_every_pe_has_a_bar_as_high_as_its_load(pes):
    nonzeros = [100 + k % 7 for k in range(pes)]
    entries = [count + 3 for count in nonzeros]
    (chart,) = loads.load_charts([phase(nonzeros, 120, entries)])
    assert (chart["bars"], chart["together"], chart["heaviest"]) == (pes, 1, "")
    assert heights(chart["nonzeros"], 120) == nonzeros
    assert heights(chart["entries"], 120) == entries


@pytest.mark.parametrize("pes", [257, 1000, 1024])
def test_more_pes_share_bars_and_the_heaviest_still_shows(pes):
    nonzeros = [100] * pes
    nonzeros[pes - 1] = 140
    (chart,) = loads.load_charts([phase(nonzeros, 150)])
    assert chart["bars"] <= loads.MOST_BARS and chart["is_wide"]
    assert heights(chart["heaviest"], 150)[-1] == 140
    last = pes - (chart["bars"] - 1) * chart["together"]
    mean = 100 + 40 / last
    assert heights(chart["nonzeros"], 150)[-1] == pytest.approx(mean, abs=1e-3)
    assert (f"heaviest, PE {pes - 1:,}", "140") in chart["figures"]


def test_equal_loads_are_told_as_one_figure():
    (chart,) = loads.load_charts([phase([7, 7], 9)])
    assert chart["figures"] == [("every PE", "7"), ("words", "9")]


def test_loads_of_the_network_are_on_the_page(report, page):
    for chart in loads.load_charts(report["phases"]):
        assert f'd="{chart["nonzeros"]}"' in page
        assert f'aria-label="Load of the PEs in {chart["name"]}: {chart["summary"]}"' in page


def test_every_process_has_its_bar_and_the_slowest_is_full(report):
    told = report["timeline"]
    rows = timeline.processes_chart(told)
    assert [row["name"] for row in rows] == [row["name"] for row in told["processes"]]
    (slowest,) = (row for row in rows if row["is_slowest"])
    assert float(slowest["busy"]) + float(slowest["stall"]) == pytest.approx(100, abs=1e-3)


def test_stalls_are_told_apart_from_work(compile_network):
    told = compile_network(
        "pruned", part="xc7z020clg400-1", clock_mhz=300.0, weight_storage="stream"
    ).report["timeline"]
    compute = timeline.processes_chart(told)[0]
    stall, step = told["stall_cycles"], told["cycles_per_step"]
    assert stall and compute["stall_cycles"] == f"{stall:,}"
    assert float(compute["stall"]) == pytest.approx(100 * stall / step, abs=1e-3)
    assert float(compute["busy"]) == pytest.approx(100 * (1 - stall / step), abs=1e-3)
    assert compute["cycles"] == f"{told['compute_cycles']:,}"
    row = timeline.timeline_chart(told)["rows"][-1]
    assert row["kind"] == "stall" and row["total"].startswith(f"{stall:,} cycles")
    (bar,) = row["bars"]
    assert float(bar["x"]) + float(bar["width"]) == pytest.approx(100, abs=2e-3)


def test_a_sequence_is_its_parts_to_scale(report):
    told = report["timeline"]
    chart, call = timeline.sequence_chart(told), told["call"]
    steps = timeline.STEPS * told["cycles_per_step"]
    whole = sum(call[name] for name in ("begin", "zero", "once", "store", "end")) + steps
    assert chart["cycles"] == f"{whole:,}"
    end = 0.0
    for part in chart["parts"]:
        assert float(part["x"]) == pytest.approx(end, abs=2e-3)
        end = float(part["x"]) + float(part["width"])
    assert end == pytest.approx(100, abs=1e-2)
    of_steps = sum(float(part["width"]) for part in chart["parts"] if part["kind"] == "steps")
    assert of_steps == pytest.approx(100 * steps / whole, abs=1e-2)
    sweeps = {
        span["sweep"] for span in told["spans"]
        if span["direction"] != "once" and not span["is_first"]
    }  # fmt: skip
    runs = [part for part in chart["parts"] if part["kind"] == "steps"]
    assert len(runs) == len(sweeps)
    marks = [float(mark) for mark in chart["marks"]]
    for run in runs:
        begin, end = float(run["x"]), float(run["x"]) + float(run["width"])
        assert sum(begin - 2e-3 < mark < end + 2e-3 for mark in marks) == timeline.STEPS + 1


def test_what_comes_before_the_first_step_is_drawn_before_it(report):
    told = report["timeline"]
    parts = timeline.sequence_chart(told)["parts"]
    kinds = [part["kind"] for part in parts]
    first = any(span["is_first"] and span["sweep"] == 0 for span in told["spans"])
    assert (kinds[kinds.index("steps") - 1] == "once") == first
    widths = sum(float(part["width"]) for part in parts if part["kind"] == "once")
    whole = int(timeline.sequence_chart(told)["cycles"].replace(",", ""))
    assert widths == pytest.approx(100 * told["call"]["once"] / whole, abs=2e-2)


def test_lengths_follow_the_call_of_a_long_sequence(report):
    told = report["timeline"]
    rows = {row[0]: row for row in lengths_table(told).rows}
    assert rows["100"][1] == f"{told['call']['long']:,}" and told["call"]["long_steps"] == 100


def test_spans_of_every_kind_have_their_row(report, page):
    chart = timeline.timeline_chart(report["timeline"])
    kinds = {span["kind"] for span in report["timeline"]["spans"]}
    assert {row["kind"] for row in chart["rows"]} == kinds  # nothing waits here
    assert sum(len(row["bars"]) for row in chart["rows"]) == len(report["timeline"]["spans"])


def found(counts=(1, 2), below=0, above=0, peak=0.4, lo=-1.0, hi=1.0):
    return {
        "counts": list(counts), "below": below, "above": above, "peak": peak, "lo": lo, "hi": hi
    }  # fmt: skip


@pytest.mark.parametrize(
    ("histogram", "told"),
    [
        (found(peak=0.6), "peak at 60 % of the range"),
        (found(peak=0.4), "peak at 40 % of the range, 1 bit to spare"),
        (found(peak=0.1), "peak at 10 % of the range, 3 bits to spare"),
        (found(peak=0.0), "peak at 0 % of the range"),
        (found(peak=3.0, above=1234), "out of range: 0 below, 1,234 above"),
    ],
)
def test_a_histogram_says_what_to_do_about_the_type(histogram, told):
    row = {"name": "x", "type": "s16.15", "values": 3, "histogram": histogram}
    (chart,) = histograms.value_charts({"tensors": [row]})
    assert chart["told"] == told and chart["is_cut"] == ("out of range" in told)


def test_an_unsigned_type_has_no_zero_between_its_ends():
    row = {"name": "x", "type": "u8.8", "float_nonzeros": 3, "histogram": found(lo=0.0)}
    (chart,) = histograms.weight_charts([row])
    assert labels(chart["x"]) == ["0", "1"]


def test_weights_are_counted_against_their_type(report):
    for row in report["quantization"]:
        histogram = row["histogram"]
        counted = sum(histogram["counts"]) + histogram["below"] + histogram["above"]
        assert counted == row["float_nonzeros"]
        assert histogram["hi"] <= 2 * max(histogram["peak"], row["step"] * 2)


def test_every_matrix_has_its_histogram_on_the_page(report, page):
    names = re.findall(r'aria-label="Float weights of (\S+) over', page)
    assert names == [row["name"] for row in report["quantization"]]


def test_error_and_saturation_have_a_row_for_each_tensor_in_the_order_of_the_graph(report):
    error, order = report["error"], [row["name"] for row in report["tensors"]]
    chart = error_chart(error, order)
    rows = chart["rows"]
    names = [row["name"] for row in rows]
    measured = {row["name"] for row in error["tensors"] + error["saturations"]}
    assert names == [name for name in order if name in measured]
    worst = max(row["relative_error"] for row in error["tensors"])
    assert chart["full_error"] == percent(max(worst, 0.01), 2)
    longest = max(float(row["error"]) for row in rows)
    assert longest == pytest.approx(100 * min(worst / 0.01, 1), abs=1e-2)
    for row in error["saturations"]:
        shown = next(one for one in rows if one["name"] == row["name"])
        assert (float(shown["lost"]) > 0) == (row["count"] > 0)
        assert f"of {row['of']:,}" in shown["lost_text"]


def test_accuracy_that_was_not_measured_is_said_to_be_unknown(page):
    assert "Not measured, for there were no labels." in page


def test_accuracy_is_shown_where_it_was_measured():
    given = {"measure": "accuracy", "of": 200, "float": 0.981, "fixed": 0.9805}
    assert labels_table(given).rows == [["Accuracy", "200", "98.1 %", "98.0 %"]]
    assert labels_table(None) is None


def test_what_is_not_known_is_said(compile_network, report, page):
    told = [what for what, _ in unknowns(report)]
    assert told == ["Clock", "LUT and FF", "Pipeline depths", "Power"]
    assert "What is not known" in page
    resources = "lut=100000,ff=200000,bram18=500,uram=0,dsp=500"
    unknown = compile_network("pruned", part="xcself-1", part_resources=resources)
    told = [what for what, _ in unknowns(unknown.report)]
    assert told[4:] == ["Memory bandwidth of xcself", "Memory ports of xcself"]
    assert "0; the device has none" in unknown.files["report.html"].decode()


PROVENANCE = {
    "files": {"model": {"name": "net.safetensors", "sha256": "ab" * 32}},
    "settings": {"hardware": {"pes": 8, "overlap": True, "board": None}, "precision": None},
    "versions": {"penstock": "0.1", "numpy": "2.0"},
    "command": "penstock compile net.safetensors -o project --pes 8",
}


def test_provenance_is_a_table_of_files_versions_and_settings():
    told = provenance_tables(PROVENANCE)
    assert told["command"] == PROVENANCE["command"]
    assert told["files"].rows == [["model", "net.safetensors", "ab" * 32]]
    assert told["versions"].rows == [["penstock", "0.1"], ["numpy", "2.0"]]
    assert told["settings"].rows == [
        ["hardware", "pes", "8"], ["hardware", "overlap", "yes"],
        ["hardware", "board", "\N{EN DASH}"], ["precision", "all", "the network's own"],
    ]  # fmt: skip


def test_provenance_is_on_the_page_if_it_is_in_the_report(compiled, report):
    from penstock.report.page import render_page
    from penstock.report.sparsity import pictures, placed_matrices

    shown = pictures(placed_matrices(compiled.machine))
    page = render_page(report | {"provenance": PROVENANCE}, shown)
    assert PROVENANCE["command"] in page and "ab" * 32 in page
    page = render_page(report | {"provenance": PROVENANCE | {"command": None}}, shown)
    assert "No command makes the project again" in page
