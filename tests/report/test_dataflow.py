"""The drawing of the dataflow graph: all of it, in layers, nothing on top of anything else."""

import os
import random
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from fuzz.random_graphs import drawn_cases

from penstock import Hardware
from penstock.driver import compile_graph
from penstock.errors import PenstockError
from penstock.report.drawing.boxes import bands_of, values_of
from penstock.report.drawing.dataflow import dataflow_chart
from penstock.report.drawing.layered import layered, layers_of


@pytest.fixture
def chart(report):
    return dataflow_chart(report)


@pytest.fixture
def rows(report):
    return {row["name"]: row for row in report["tensors"]}


def rectangle(box):
    return tuple(float(box[key]) for key in ("x", "y", "width", "height"))


def points(path):
    """The corners and ends of a path of M, V, H and C."""
    found, x, y = [], 0.0, 0.0
    for letter, text in re.findall(r"([MVHC])([^MVHC]*)", path):
        numbers = [float(number) for number in text.split()]
        if letter == "V":
            y = numbers[0]
        elif letter == "H":
            x = numbers[0]
        else:
            x, y = numbers[-2:]
        found.append((x, y))
    return found


def test_every_operation_has_one_box_and_constants_are_in_those_that_read_them(chart, rows):
    drawn = [box["name"] for box in chart["boxes"] if "@" not in box["name"]]
    wanted = [name for name, row in rows.items() if row["operation"] != "const"]
    assert sorted(drawn) == sorted(wanted)
    lines = {box["name"]: [line["text"] for line in box["lines"]] for box in chart["boxes"]}
    for name in wanted:
        for constant in (rows[source] for source in rows[name]["inputs"]):
            if constant["operation"] == "const":
                assert any(line.endswith(f" {constant['type']}") for line in lines[name])


def test_every_value_that_is_read_is_an_edge_with_its_type(chart, rows):
    reads = [
        rows[source]["type"] for row in rows.values() if row["operation"] != "const"
        for source in values_of(row, rows)
    ]  # fmt: skip
    labels = [re.match(r"[su]\d+\.-?\d+", edge["label"])[0] for edge in chart["edges"]]
    assert sorted(labels) == sorted(reads)


def test_a_length_stands_where_an_operation_changes_it(report, chart):
    assert any("\N{MULTIPLICATION SIGN}" in edge["label"] for edge in chart["edges"])
    assert not all("\N{MULTIPLICATION SIGN}" in edge["label"] for edge in chart["edges"])


def test_no_box_lies_on_another_and_all_lie_within_the_picture(chart):
    boxes = [rectangle(box) for box in chart["boxes"]]
    left, right = float(chart["x"]), float(chart["x"]) + float(chart["width"])
    for k, (x, y, width, height) in enumerate(boxes):
        assert left <= x and x + width <= right and y >= 0 and y + height <= float(chart["height"])
        for x2, y2, width2, height2 in boxes[:k]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y


def test_edges_run_downwards_past_the_boxes_and_end_on_one(chart):
    boxes = [rectangle(box) for box in chart["boxes"]]
    for edge in chart["edges"]:
        path = points(edge["d"])
        assert all(y <= y2 for (_, y), (_, y2) in pairwise(path))
        (x0, y0), (x1, y1) = path[0], path[-1]
        assert any(y + h == pytest.approx(y0) and x < x0 < x + w for x, y, w, h in boxes)
        assert any(y - 2 == pytest.approx(y1, abs=0.2) and x < x1 < x + w for x, y, w, h in boxes)
        for (xa, ya), (xb, yb) in pairwise(path[1:]):
            if xa == xb:  # past the boxes of a layer
                assert not any(x < xa < x + w and y < yb and ya < y + h for x, y, w, h in boxes)


def test_labels_of_a_box_have_room(chart):
    by_height = {}
    for edge in chart["edges"]:
        by_height.setdefault(edge["y"], []).append((float(edge["x"]), 6.0 * len(edge["label"])))
    for labels in by_height.values():
        labels.sort()
        for (x, width), (x2, width2) in pairwise(labels):
            assert x + width / 2 <= x2 - width2 / 2 + 0.1


def test_bands_are_the_phases_in_their_order_and_hold_their_operations(report, rows):
    bands = bands_of(report)
    phases = [phase for sweep in report["network"]["sweeps"] for phase in sweep["phases"]]
    assert [band.name for band in bands] == phases
    for band in bands:
        for box in band.boxes:
            if not box.is_copy and rows[box.name]["phase"]:
                assert rows[box.name]["phase"] == band.name
                assert rows[box.name]["sweep"] == band.sweep


def test_what_comes_from_elsewhere_and_what_comes_back_has_a_lane(report, chart, rows):
    states = {row["state"] for row in rows.values() if row["state"]}
    assert {lane["value"] for lane in chart["lanes"] if lane["is_state"]} == states
    copies = [box.of for band in bands_of(report) for box in band.boxes if box.is_copy]
    carried = [lane for lane in chart["lanes"] if not lane["is_state"]]
    assert sorted({*copies}) == sorted(lane["value"] for lane in carried)
    assert sum(len(lane["paths"]) - 1 for lane in carried) == len(copies)


def test_lanes_side_by_side_do_not_overlap(chart):
    upright = [
        (path[0][0], *sorted((path[0][1], path[1][1])))
        for lane in chart["lanes"] for path in map(points, lane["paths"][1:])
    ]  # fmt: skip
    of_lane = [len(lane["paths"]) - 1 for lane in chart["lanes"]]
    owner = [k for k, count in enumerate(of_lane) for _ in range(count)]
    for i, (x, low, high) in enumerate(upright):
        for j, (x2, low2, high2) in enumerate(upright[:i]):
            assert owner[i] == owner[j] or x != x2 or high <= low2 or high2 <= low


def test_a_wider_type_is_a_thicker_line(chart):
    strokes = {}
    for edge in chart["edges"]:
        bits = int(re.match(r"[su](\d+)", edge["label"])[1])
        assert strokes.setdefault(bits, edge["stroke"]) == edge["stroke"]
    assert len(strokes) > 3
    assert sorted(strokes) == sorted(strokes, key=lambda bits: float(strokes[bits]))


def random_boxes(seed, count):
    generator = random.Random(seed)
    widths = {str(k): generator.uniform(30, 150) for k in range(count)}
    pairs = [
        (str(source), str(target))
        for target in range(1, count)
        for source in sorted(generator.sample(range(target), min(target, generator.randrange(4))))
    ]
    return widths, pairs


@pytest.mark.parametrize("seed", range(12))
def test_any_graph_is_laid_out_without_overlap(seed):
    widths, pairs = random_boxes(seed, 40)
    layer_of = layers_of(widths, pairs)
    assert all(layer_of[source] < layer_of[target] for source, target in pairs)
    found = layered(widths, pairs, layer_of)
    by_layer = {}
    for name, width in widths.items():
        by_layer.setdefault(layer_of[name], []).append((found.x[name], width / 2))
    for passed in found.bends.values():
        for layer, x in passed.items():
            by_layer[layer].append((x, 1))
    for places in by_layer.values():
        places.sort()
        assert places[0][0] - places[0][1] >= -0.1
        for (x, half), (x2, half2) in pairwise(places):
            assert x + half <= x2 - half2 + 0.1
        assert places[-1][0] + places[-1][1] <= found.width + 0.1


def test_long_chains_are_no_trouble():
    names = [str(k) for k in range(1500)]
    pairs = list(pairwise(names))
    limit = sys.getrecursionlimit()
    found = layered(dict.fromkeys(names, 50.0), pairs, layers_of(names, pairs))
    assert len({*found.x.values()}) == 1 and sys.getrecursionlimit() == limit


def test_what_reads_nothing_stands_right_above_its_first_reader():
    layers = layers_of("abcd", [("a", "b"), ("b", "d"), ("c", "d")])
    assert layers == {"a": 0, "b": 1, "c": 1, "d": 2}


def test_the_layout_does_not_depend_on_the_hash_seed():
    program = (
        "from report.test_dataflow import random_boxes, layered, layers_of\n"
        "widths, pairs = random_boxes(3, 40)\n"
        "print(layered(widths, pairs, layers_of(widths, pairs)))"
    )
    told = set()
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env=os.environ | environment,
        )  # fmt: skip
        told.add(done.stdout)
    assert len(told) == 1 and "Layered" in told.pop()


def test_graphs_of_any_operations_are_drawn_whole():
    drawn = 0
    for case in drawn_cases(1, 14):
        try:
            report = compile_graph(case.graph, Hardware(**case.hardware)).report
        except PenstockError:
            continue
        chart, rows = dataflow_chart(report), {row["name"]: row for row in report["tensors"]}
        test_every_operation_has_one_box_and_constants_are_in_those_that_read_them(chart, rows)
        test_every_value_that_is_read_is_an_edge_with_its_type(chart, rows)
        test_no_box_lies_on_another_and_all_lie_within_the_picture(chart)
        test_edges_run_downwards_past_the_boxes_and_end_on_one(chart)
        test_labels_of_a_box_have_room(chart)
        test_what_comes_from_elsewhere_and_what_comes_back_has_a_lane(report, chart, rows)
        test_lanes_side_by_side_do_not_overlap(chart)
        drawn += 1
    assert drawn >= 10
