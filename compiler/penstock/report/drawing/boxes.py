"""What is drawn of the dataflow graph: a band for each phase, boxes, and what comes into each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock.report.text import TIMES, interval, number

LETTER, LABEL_LETTER = 6.7, 6.1
"""Widths of the letters of a box and of an edge's label, in pixels; both are monospaced."""
MARGIN = 18
MOST_LETTERS = 22
"""Longer names lose their middle; the whole is in the box's title."""
FAMILIES = {
    "input": "ends", "output": "ends", "argmax": "ends", "capture": "ends",
    "state_read": "state", "state_write": "state",
    "matvec": "product", "requant": "drop", "lut": "table",
}  # fmt: skip
"""Kind of operation -> colour; the rest is plain arithmetic."""
COPY = "@"
"""Behind the name of a value, before the band to which it is carried."""


@dataclass(frozen=True)
class Box:
    """One operation, or (``is_copy``) a value that another band has computed.

    lines: its name, and what more it says; title: everything, for who points at it. ends: what
    comes in, (name of the box, label) in the order of the operation.
    """

    name: str
    of: str
    family: str
    lines: tuple[str, ...]
    title: str
    ends: tuple[tuple[str, str], ...] = ()
    is_copy: bool = False

    @property
    def width(self) -> float:
        """Wide enough for its text, and for the labels of what comes in."""
        text = LETTER * max(len(line) for line in self.lines)
        labels = sum(LABEL_LETTER * len(label) + 8 for _, label in self.ends)
        return max(text, labels) + MARGIN


@dataclass
class Band:
    """A phase, in the order in which they run; or, without a name, what belongs to none."""

    name: str
    sweep: int
    direction: str
    rows: int = 0
    words: int = 0
    boxes: list[Box] = field(default_factory=list)


def bands_of(report: dict[str, Any]) -> list[Band]:
    """All bands that have a box, with their boxes in the order of the graph."""
    bands = [
        Band(phase, sweep["index"], sweep["direction"])
        for sweep in report["network"]["sweeps"]
        for phase in sweep["phases"] or [""]
    ]
    products = {phase["name"]: phase for phase in report["phases"]}
    for band in bands:
        if band.name in products:
            band.rows, band.words = (products[band.name][key] for key in ("rows", "words"))
    rows = {row["name"]: row for row in report["tensors"]}
    homes = _homes(rows, bands)
    for name, row in rows.items():
        if name in homes:
            band = bands[homes[name]]
            band.boxes += _copies(row, rows, homes, band, bands)
            band.boxes.append(_box(row, rows, homes, band, bands))
    return [band for band in bands if band.boxes]


def values_of(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> list[str]:
    """What an operation reads and is no constant, each once."""
    return [name for name in dict.fromkeys(row["inputs"]) if rows[name]["operation"] != "const"]


def _homes(rows: dict[str, dict[str, Any]], bands: list[Band]) -> dict[str, int]:
    """Each value's band. What belongs to no phase stands with what it reads or, if it reads
    nothing, with its first reader."""
    of_phase = {(band.sweep, band.name): index for index, band in enumerate(bands)}
    first_of = {band.sweep: index for index, band in reversed([*enumerate(bands)])}
    homes = {
        name: of_phase[row["sweep"], row["phase"]] for name, row in rows.items() if row["phase"]
    }
    for name, row in rows.items():
        if row["operation"] != "const" and name not in homes and not values_of(row, rows):
            readers = (other for other in rows.values() if name in other["inputs"])
            of_readers = [homes[other["name"]] for other in readers if other["name"] in homes]
            homes[name] = min(of_readers, default=first_of[row["sweep"]])
    for name, row in rows.items():
        if row["operation"] != "const" and name not in homes:
            found = [homes[source] for source in values_of(row, rows)]
            homes[name] = max(first_of[row["sweep"]], *found)
    return homes


def _copies(
    row: dict[str, Any], rows: dict[str, dict[str, Any]], homes: dict[str, int], band: Band,
    bands: list[Band],
) -> Iterator[Box]:  # fmt: skip
    """Boxes for what an operation reads and another band has computed, each once a band."""
    there = {box.name for box in band.boxes}
    for source in values_of(row, rows):
        name = f"{source}{COPY}{bands.index(band)}"
        if bands[homes[source]] is not band and name not in there:
            told = rows[source]
            place = _place(bands[homes[source]])
            lines = (_cut(source), _type(told), f"of {_cut(place)}")
            title = f"{source}, which comes from {place}"
            yield Box(name, source, "copy", lines, title, is_copy=True)


def _place(band: Band) -> str:
    return band.name or f"sweep {band.sweep}"


def _box(
    row: dict[str, Any], rows: dict[str, dict[str, Any]], homes: dict[str, int], band: Band,
    bands: list[Band],
) -> Box:  # fmt: skip
    prefix = band.name.rpartition(".")[0] + "."
    constants = [rows[name] for name in dict.fromkeys(row["inputs"])
                 if rows[name]["operation"] == "const"]  # fmt: skip
    ends = []
    for source in values_of(row, rows):
        told = rows[source]
        here = bands[homes[source]] is band
        ends.append((source if here else f"{source}{COPY}{bands.index(band)}", _label(told, row)))
    what = [row["operation"].replace("_", " ")]
    if row["operation"] in ("input", "state_read"):
        what = [_type(row)]
    lines = [_cut(row["name"].removeprefix(prefix)), *what]
    lines += [_constant(told, prefix) for told in constants]
    return Box(
        row["name"], row["name"], FAMILIES.get(row["operation"], "sum"), tuple(lines),
        _title(row, constants), tuple(ends),
    )  # fmt: skip


def _type(row: dict[str, Any]) -> str:
    return f"{row['type']}{TIMES}{_lengths(row)}"


def _lengths(row: dict[str, Any]) -> str:
    return TIMES.join(number(length) for length in row["shape"])


def _label(source: dict[str, Any], target: dict[str, Any]) -> str:
    """The type of a value, and its length where the operation changes it."""
    return source["type"] if source["shape"] == target["shape"] else _type(source)


def _constant(row: dict[str, Any], prefix: str) -> str:
    """``W_ix s12.12``; a table by its function, for its name is that and its types."""
    name = row["name"].removeprefix(prefix)
    if name.startswith("table."):
        name = name.removeprefix("table.").split("_")[0]
    return f"{_cut(name)} {row['type']}"


def _cut(name: str) -> str:
    if len(name) <= MOST_LETTERS:
        return name
    return f"{name[: MOST_LETTERS // 2]}…{name[-(MOST_LETTERS // 2 - 1) :]}"


def _title(row: dict[str, Any], constants: Iterable[dict[str, Any]]) -> str:
    told = "".join(f"; {one['name']} {_type(one)}" for one in constants)
    return (
        f"{row['name']}: {row['operation']} {_type(row)}{told}; {row['rounding']}, "
        f"{row['overflow']}; provably {interval(row['value_lo'], row['value_hi'])}"
    )
