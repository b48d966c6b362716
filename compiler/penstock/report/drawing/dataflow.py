"""The dataflow graph, placed: bands from top to bottom, edges in them, lanes beside them.

A lane leads a value to the bands that read it and do not compute it (on the left), or a state's new
value to the next step's old one (on the right). All lengths are pixels at full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.report.drawing.axes import rounded
from penstock.report.drawing.boxes import LABEL_LETTER, Band, Box, bands_of
from penstock.report.drawing.layered import Layered, layered, layers_of
from penstock.report.text import number, plural

LINE, PADDING = 14, 10
"""Height of a line of text; of what is above and below all lines of a box, together."""
GAP = 46
"""Between two layers: room for an edge, and for its label at the lower end."""
HEAD, FOOT = 58, 20
"""Of a band: its title and the way in, and the way out."""
LANE, LANE_SHIFT = 12, 4
"""From lane to lane; and where they cross a band, of four lanes in turns."""
LABEL_RISE = 9
"""From a box up to the labels of what comes in."""


@dataclass(frozen=True)
class Place:
    """A box where it stands: its middle, top and height; where its layer begins and ends."""

    box: Box
    x: float
    y: float
    height: float
    layer_top: float
    layer_bottom: float

    @property
    def left(self) -> float:
        """Its left edge."""
        return self.x - self.box.width / 2

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass(frozen=True)
class Lane:
    """A value on its way beside the bands: from below one box to the tops of others."""

    value: str
    source: Place
    targets: tuple[Place, ...]

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the greatest ordinate."""
        ends = [self.source.layer_bottom, *(target.layer_top for target in self.targets)]
        return min(ends), max(ends)


def dataflow_chart(report: dict[str, Any]) -> dict[str, Any]:
    """Everything that the template draws, see the module's text."""
    bands = bands_of(report)
    arranged = [_arranged(band) for band in bands]
    width = max(found.width for found in arranged)
    places: dict[str, Place] = {}
    rows, tops = [], 0.0
    edges: list[dict[str, Any]] = []
    for band, found in zip(bands, arranged, strict=True):
        layer_of = _layer_of(band)
        own, height = _placed(band, found, layer_of, (width - found.width) / 2, tops)
        places |= own
        edges += _edges(band, found, own, (width - found.width) / 2)
        rows.append(_band_row(band, tops, height))
        tops += height
    left, right = _lanes(report, places)
    left_lanes, right_lanes = _numbered(left), _numbered(right)
    margin = (LANE * (1 + max(left_lanes.values(), default=-1)) + 16,
              LANE * (1 + max(right_lanes.values(), default=-1)) + 16)  # fmt: skip
    lanes = [_lane(lane, left_lanes[lane], -4.0, -LANE) for lane in left]
    lanes += [_lane(lane, right_lanes[lane], width + 4, LANE) for lane in right]
    return {
        "x": _round(-margin[0]), "width": _round(margin[0] + width + margin[1]),
        "height": _round(tops), "bands": rows, "edges": edges, "lanes": lanes,
        "boxes": [_box_row(place) for place in places.values()],
        "counts": _counts(report, bands),
    }  # fmt: skip


def _layer_of(band: Band) -> dict[str, int]:
    return layers_of(*_names_and_pairs(band))


def _names_and_pairs(band: Band) -> tuple[list[str], list[tuple[str, str]]]:
    pairs = [(source, box.name) for box in band.boxes for source, _ in box.ends]
    return [box.name for box in band.boxes], pairs


def _arranged(band: Band) -> Layered:
    _, pairs = _names_and_pairs(band)
    return layered({box.name: box.width for box in band.boxes}, pairs, _layer_of(band))


def _placed(
    band: Band, found: Layered, layer_of: dict[str, int], left: float, top: float
) -> tuple[dict[str, Place], float]:
    """Every box of a band in its place, and the band's height."""
    heights: dict[int, float] = {}
    for box in band.boxes:
        layer = layer_of[box.name]
        heights[layer] = max(heights.get(layer, 0.0), _height(box))
    tops, y = {}, top + HEAD
    for layer in sorted(heights):
        tops[layer] = y
        y += heights[layer] + GAP
    places = {}
    for box in band.boxes:
        layer = layer_of[box.name]
        bottom = tops[layer] + heights[layer]
        y_box = tops[layer]
        places[box.name] = Place(
            box, left + found.x[box.name], y_box, _height(box), tops[layer], bottom
        )
    return places, y - GAP + FOOT - top


def _height(box: Box) -> float:
    return LINE * len(box.lines) + PADDING


def _edges(
    band: Band, found: Layered, places: dict[str, Place], left: float
) -> list[dict[str, Any]]:
    """All edges within a band. Across gaps they are curved; past the boxes of a layer, upright."""
    layer_of = _layer_of(band)
    bounds = {layer_of[name]: (place.layer_top, place.layer_bottom)
              for name, place in places.items()}  # fmt: skip
    rows = []
    for box in band.boxes:
        target = places[box.name]
        for (source_name, label), x_in in _entries(target, places, found, left, layer_of):
            source = places[source_name]
            path = [f"M{_round(source.x)} {_round(source.bottom)}"]
            x, y = source.x, source.layer_bottom
            if y > source.bottom:
                path.append(f"V{_round(y)}")
            for layer, bend in sorted(found.bends.get((source_name, box.name), {}).items()):
                low, high = bounds[layer]
                path += [_curve(x, y, left + bend, low), f"V{_round(high)}"]
                x, y = left + bend, high
            path.append(_curve(x, y, x_in, target.y - 2))
            rows.append({
                "d": "".join(path), "label": label, "x": _round(x_in),
                "y": _round(target.y - LABEL_RISE), "stroke": rounded(0.7 + _bits(label) / 16),
            })  # fmt: skip
    return rows


def _entries(
    target: Place, places: dict[str, Place], found: Layered, left: float, layer_of: dict[str, int]
) -> list[tuple[tuple[str, str], float]]:
    """What comes into a box, and where along its top: in the order in which it comes from the left,
    with room for every label."""

    def comes_from(end: tuple[str, str]) -> float:
        bends = found.bends.get((end[0], target.box.name), {})
        last = layer_of[target.box.name] - 1
        return left + bends[last] if last in bends else places[end[0]].x

    ends = sorted(target.box.ends, key=comes_from)
    room = [LABEL_LETTER * len(label) + 8 for _, label in ends]
    x = target.x - sum(room) / 2
    entries = []
    for end, own in zip(ends, room, strict=True):
        entries.append((end, x + own / 2))
        x += own
    return entries


def _bits(label: str) -> int:
    """Of the type that a label begins with: ``s16.12`` has 16."""
    return int(label.split(".")[0].lstrip("su"))


def _curve(x: float, y: float, x_end: float, y_end: float) -> str:
    if abs(x - x_end) < 0.5:
        return f"V{_round(y_end)}"
    middle = _round((y + y_end) / 2)
    return f"C{_round(x)} {middle} {_round(x_end)} {middle} {_round(x_end)} {_round(y_end)}"


def _lanes(report: dict[str, Any], places: dict[str, Place]) -> tuple[list[Lane], list[Lane]]:
    """(values that other bands read, states that come back)."""
    carried: dict[str, list[Place]] = {}
    for place in places.values():
        if place.box.is_copy:
            carried.setdefault(place.box.of, []).append(place)
    left = [Lane(value, places[value], tuple(copies)) for value, copies in carried.items()]
    states: dict[str, dict[str, Place]] = {}
    for row in report["tensors"]:
        if row["state"] is not None:
            states.setdefault(row["state"], {})[row["operation"]] = places[row["name"]]
    right = [
        Lane(state, ends["state_write"], (ends["state_read"],)) for state, ends in states.items()
    ]
    return left, right


def _numbered(lanes: list[Lane]) -> dict[Lane, int]:
    """So that no two overlap, the short ones inside."""
    found: dict[Lane, int] = {}
    for lane in sorted(lanes, key=lambda lane: lane.reach[1] - lane.reach[0]):
        low, high = lane.reach
        taken = {
            number for other, number in found.items()
            if other.reach[0] <= high and low <= other.reach[1]
        }  # fmt: skip
        found[lane] = next(number for number in range(len(found) + 1) if number not in taken)
    return found


def _lane(lane: Lane, number: int, edge: float, step: int) -> dict[str, Any]:
    """The way out, and each way in: only these end in an arrow. Lanes on one side keep apart where
    they cross the bands, too."""
    source, apart = lane.source, LANE_SHIFT * (number % 4)
    is_state = step > 0
    x, out = edge + step * (number + 1), source.layer_bottom + (15 if is_state else 6) + apart / 2
    paths = [f"M{_round(source.x)} {_round(source.bottom)}V{_round(out)}H{_round(x)}"]
    for target in lane.targets:
        into = target.layer_top - 33 + apart
        paths.append(f"M{_round(x)} {_round(out)}V{_round(into)}H{_round(target.x)}"
                     f"V{_round(target.y - 2)}")  # fmt: skip
    return {"paths": paths, "is_state": is_state, "value": lane.value}


def _band_row(band: Band, top: float, height: float) -> dict[str, Any]:
    what = (
        [plural(band.rows, "row"), f"PE array: {plural(band.words, 'word')}"] if band.words else []
    )
    title = f"phase {band.name}" if band.name else "no phase"
    return {
        "y": _round(top), "height": _round(height), "sweep": band.sweep,
        "title": " · ".join([title, *what]), "sweep_title": f"Sweep {band.sweep}, {band.direction}",
        "tint": band.sweep % 2,
    }  # fmt: skip


def _box_row(place: Place) -> dict[str, Any]:
    return {
        "x": _round(place.left), "y": _round(place.y), "width": _round(place.box.width),
        "height": _round(place.height), "middle": _round(place.x), "family": place.box.family,
        "title": place.box.title, "name": place.box.name,
        "lines": [
            {"text": line, "y": _round(place.y + LINE * (k + 1) + 1)}
            for k, line in enumerate(place.box.lines)
        ],
    }  # fmt: skip


def _counts(report: dict[str, Any], bands: list[Band]) -> str:
    """``35 operations in 2 phases of 1 sweep; 17 constants are in the boxes that read them``."""
    constants = sum(row["operation"] == "const" for row in report["tensors"])
    operations = len(report["tensors"]) - constants
    sweeps = {band.sweep for band in bands}
    return (
        f"{plural(operations, 'operation')} in {plural(len(bands), 'phase')} of "
        f"{plural(len(sweeps), 'sweep')}, {number(constants)} constants in the boxes that read them"
    )


def _round(value: float) -> str:
    """To a tenth of a pixel: no machine's last bit shows."""
    return rounded(round(value, 1) + 0.0)
