"""The figures of report.json against the plan, the files and the model that they speak of."""

import json

import numpy as np
import pytest

from penstock.ir import Direction
from penstock.layers import Lstm
from penstock.layers.build import exponents_of


def weight_files(compiled):
    return [content for name, content in compiled.files.items() if name.startswith("weights/group")]


def float_values(model):
    """Every weight, bias and peephole of the float model."""
    values = sum(matrix.size for matrix in model.weights().values())
    for part in cells(model):
        values += sum(vector.size for vector in part.bias.values())
        values += sum(vector.size for vector in part.peephole.values())
    return values + (model["head"].bias.size if "head" in model else 0)


def cells(model):
    return [layer for _, layer in model.named_layers() if isinstance(layer, Lstm)]


def constants(graph):
    return {node.name: node.tensor for node in graph.of_kind("const")}


def test_loads_of_the_pes_add_up_to_the_plan(compiled, report):
    for row, phase in zip(report["phases"], compiled.plan.products, strict=True):
        assert len(row["pe_nonzeros"]) == len(row["pe_entries"]) == compiled.plan.hardware.pes
        assert sum(row["pe_nonzeros"]) == row["nonzeros"] == phase.nonzeros
        code = phase.waste["padding"] + phase.waste.get("empty", 0)
        assert sum(row["pe_entries"]) == phase.nonzeros + code
        assert max(row["pe_entries"]) <= row["words"]


def test_every_entry_is_a_nonzero_or_padding_or_waits(compiled, report):
    for row, phase in zip(report["phases"], compiled.plan.products, strict=True):
        entries = row["words"] * compiled.plan.hardware.pes
        assert phase.waste.keys() >= {"padding", "bubbles"}
        assert row["nonzeros"] + sum(row[cause] for cause in phase.waste) == entries


def test_nonzeros_are_those_of_the_graph_and_of_the_proof(compiled, report):
    matrices = [t.constant for t in constants(compiled.graph).values() if len(t.shape) == 2]
    nonzeros = sum(int(np.count_nonzero(matrix)) for matrix in matrices)
    assert report["totals"]["nonzeros"] == report["proof"]["weights"] == nonzeros
    assert report["totals"]["weights"] == sum(matrix.size for matrix in matrices)
    assert report["totals"]["density"] == nonzeros / report["totals"]["weights"]


def test_utilization_is_the_bound_over_the_words(compiled, report):
    pes = compiled.plan.hardware.pes
    for row in report["phases"]:
        assert row["bound"] == -(-row["nonzeros"] // pes)
        assert row["utilization"] == row["bound"] / row["words"]
    totals = report["totals"]
    assert totals["words"] == report["proof"]["words"]
    assert totals["utilization"] == totals["bound"] / totals["words"]


def test_bits_for_each_nonzero_are_those_of_the_weight_files(compiled, report):
    bits = 8 * sum(len(content) for content in weight_files(compiled))
    assert report["totals"]["bits_per_nonzero"] == bits / report["totals"]["nonzeros"]
    assert sum(report["totals"]["bits"].values()) == bits
    assert sum(row["bytes"] for row in report["phases"]) == bits // 8
    assert min(report["totals"]["bits"].values()) >= 0


def test_beat_fill_is_less_than_a_beat_for_each_phase_and_port(compiled, report):
    beats = compiled.manifest.groups * len(report["phases"])
    assert report["totals"]["bits"]["beat_fill"] < beats * compiled.manifest.port_bits


def test_compression_counts_all_of_both_sides(case, report):
    model, compiled = case
    compression = report["totals"]["compression"]
    vectors = {name: t for name, t in constants(compiled.graph).items() if len(t.shape) == 1}
    layouts, layout_of = compiled.plan.layouts, compiled.plan.layout_of
    stored = sum(len(content) for content in weight_files(compiled))
    for name, tensor in vectors.items():
        length = layouts[layout_of[name]].positions if name in layout_of else tensor.length
        stored += -(-length * tensor.type.width // 8)
    assert compression["dense_bytes"] == 4 * float_values(model)
    assert compression["compiled_bytes"] == stored
    assert compression["ratio"] == compression["dense_bytes"] / stored


def test_peepholes_and_biases_are_told_apart(case, report):
    model, _ = case
    peepholes = sum(vector.size for part in cells(model) for vector in part.peephole.values())
    assert report["totals"]["compression"]["dense_values"]["peepholes"] == peepholes


def test_spans_follow_one_another_and_add_up_to_the_step(compiled, report):
    timeline, sweeps = report["timeline"], compiled.graph.sweeps
    begin = end = 0
    for row in timeline["spans"]:
        begin = begin if row["is_beside"] else end
        assert row["start"] == begin
        end = max(end, begin + row["cycles"])
    assert timeline["compute_cycles"] + timeline["cycles_once"] == end
    step = [
        row for row in timeline["spans"]
        if sweeps[row["sweep"]] is not Direction.ONCE and not row["is_first"]
    ]  # fmt: skip
    assert sum(timeline["cycles_by_kind"].values()) == sum(row["cycles"] for row in step)
    assert timeline["bound_per_step"] == sum(row["bound"] for row in step)


def test_a_step_takes_as_long_as_the_slowest_process(report):
    timeline = report["timeline"]
    cycles = {row["name"]: row["cycles"] for row in timeline["processes"]}
    assert cycles["compute"] == timeline["compute_cycles"] + timeline["stall_cycles"]
    assert timeline["cycles_per_step"] == cycles[timeline["slowest"]] == max(cycles.values())
    assert {"fetch_frames", "unpack_frames", "fetch_words", "unpack_words"} <= cycles.keys()


def test_a_call_is_its_steps_and_what_comes_around_them(report):
    timeline, call = report["timeline"], report["timeline"]["call"]
    around = call["begin"] + call["once"] + call["end"]
    assert call["one_step"] == around + timeline["cycles_per_step"]
    steps = call["long_steps"] * timeline["cycles_per_step"]
    assert call["long"] == around + steps + call["zero"] + call["store"]
    first = timeline["cycles_per_step"] + call["zero"] + call["reload"] + call["store"]
    assert call["first"] == around + first


def test_bandwidth_is_the_bytes_of_a_step_over_its_time(compiled, report):
    timeline, hardware = report["timeline"], compiled.plan.hardware
    in_step = [
        row for row in report["phases"] if compiled.graph.sweeps[row["sweep"]] is not Direction.ONCE
    ]
    seconds = timeline["cycles_per_step"] / (hardware.clock_mhz * 1e6)
    assert timeline["weight_bytes_per_step"] == sum(row["bytes"] for row in in_step)
    mean = timeline["weight_bytes_per_step"] / seconds / 1e9
    assert timeline["weight_gb_per_s_mean"] == pytest.approx(mean)
    assert timeline["microseconds_per_step"] == pytest.approx(seconds * 1e6)
    assert timeline["steps_per_second"] == pytest.approx(hardware.lanes / seconds)
    widest = max(row["entry_bits"] for row in report["phases"])
    peak = hardware.pes * widest / 8 * hardware.clock_mhz * 1e6 / 1e9
    assert timeline["weight_gb_per_s_peak"] == pytest.approx(peak)


def test_proven_intervals_are_the_extremes_of_the_sums(compiled, report):
    for row in report["proof"]["accumulators"]:
        node = compiled.graph[row["name"]]
        pairs = compiled.graph.inputs(node)
        lo = hi = 0
        for x, w in zip(pairs[::2], pairs[1::2], strict=True):
            shift = node.tensor.type.frac - x.tensor.type.frac - w.tensor.type.frac
            weights = np.asarray(w.tensor.constant)
            corners = [weights * x.tensor.lo, weights * x.tensor.hi]
            lo = lo + (np.minimum(*corners).sum(axis=1) << shift)
            hi = hi + (np.maximum(*corners).sum(axis=1) << shift)
        assert (row["lo"], row["hi"]) == (int(lo.min()), int(hi.max()))


def test_proven_width_is_enough_and_no_more(report):
    for row in report["proof"]["accumulators"]:
        half = 1 << (row["proven_width"] - 1)
        assert -half <= row["lo"] <= row["hi"] < half
        assert not -half // 2 <= row["lo"] <= row["hi"] < half // 2
        assert row["chosen_width"] >= row["proven_width"]


def test_hazard_distance_is_kept(report):
    least = report["proof"]["min_distance"]
    assert least is None or least >= report["proof"]["hazard_distance"]


def test_every_tensor_is_listed_with_its_type(compiled, report):
    listed = {row["name"]: (row["type"], row["lo"], row["hi"]) for row in report["tensors"]}
    assert listed == {
        node.name: (str(node.tensor.type), node.tensor.lo, node.tensor.hi)
        for node in compiled.graph.nodes()
    }


def test_quantization_error_is_that_of_the_dequantized_weights(case, report):
    model, compiled = case
    exponents = exponents_of(compiled.graph)
    for name, values in model.weights().items():
        rows = [row for row in report["quantization"] if row["of"] == name]
        assert [row["columns"][0] for row in rows] == [0, *(row["columns"][1] for row in rows)][:-1]
        assert rows[-1]["columns"][1] == values.shape[1]
        for row in rows:
            tensor = compiled.graph[row["name"]].tensor
            scale = 2.0 ** -exponents.get(row["name"], np.zeros(len(values)))[:, None]
            stored = tensor.type.to_float(tensor.constant)
            error = stored * scale - values[:, slice(*row["columns"])]
            assert row["max_abs_error"] == pytest.approx(np.abs(error).max())
            assert row["rms_error"] == pytest.approx(np.sqrt(np.mean(error**2)))
            assert row["max_abs_error"] <= tensor.type.step / 2


def test_layers_have_the_shapes_of_the_model(case, report):
    model, _ = case
    rows = [row for row in report["network"]["layers"] if row["kind"] == "lstm"]
    for row, part in zip(rows, cells(model), strict=True):
        shapes = (row["inputs"], row["cells"], row["outputs"])
        assert shapes == (part.inputs, part.cells, part.outputs)
        assert row["projection"] == (part.projection is not None)
        assert row["peepholes"] == bool(part.peephole)
    assert [row["name"] for row in report["network"]["layers"]] == [p.name for p in model.places]


def test_json_file_holds_the_report_and_nothing_but_plain_values(compiled, report):
    assert json.loads(compiled.files["report.json"]) == report
