"""Two projects side by side: what their compiles chose and found out, and which files differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.marker import read_marker
from penstock.project import reading
from penstock.reported import MANIFEST, read_json, read_report

SCHEMA = 1
NAME = "name"
"""By it the items of a list are told apart."""
FIT = ("used", "total", "verdict")
"""Of a resource."""
LEFT_OUT = {
    "timeline": ("spans",), "phases": ("name", "pe_nonzeros", "pe_entries", "matvecs", "operands"),
    "ports": ("each",), "error": ("tensors", "saturations", "worst", "warnings", "measure"),
    "output": ("each",),
}  # fmt: skip
"""Of a part of report.json: what follows from the rest, or is too long to be read side by side."""
FILES = "files"

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Row:
    """A value of both projects. a, b: null where a project has none."""

    name: str
    a: Scalar
    b: Scalar

    @property
    def is_equal(self) -> bool:
        """True if the two have the same."""
        return self.a == self.b


@dataclass(frozen=True)
class Section:
    """What belongs together, in the order of the first project."""

    name: str
    rows: list[Row]


@dataclass(frozen=True)
class Differences:
    """Two projects side by side; their names, and every value of either."""

    a: str
    b: str
    sections: list[Section]

    @property
    def is_equal(self) -> bool:
        """True if all values are the same, and all files: then it is the same project."""
        return all(row.is_equal for section in self.sections for row in section.rows)

    def as_values(self, everything: bool = False) -> dict[str, Any]:
        """Plain values: schema (1), a, b (the folders), equal; sections [name, rows [name, a, b]]:
        network, settings, formats, cycles, bits, fit, error, notes, provenance, files.

        A value is text, a number, true, false, or null where a project has none. Rows are those
        that differ; with ``everything`` (--all), all. Names are those of report.json and
        manifest.json. files: the sha256 of a file as it is now, null if it can't be read.
        """
        return {
            "schema": SCHEMA, "a": self.a, "b": self.b, "equal": self.is_equal,
            "sections": [
                {
                    "name": section.name,
                    "rows": [vars(row) for row in section.rows if everything or not row.is_equal],
                }
                for section in self.sections
            ],
        }  # fmt: skip


def differences(a: Path, b: Path) -> Differences:
    """Compare two projects. Raises PenstockError for a folder that is none, or is damaged."""
    ours, theirs = _sections(a), _sections(b)
    return Differences(
        str(a), str(b),
        [Section(name, _rows(values, theirs[name])) for name, values in ours.items()],
    )  # fmt: skip


def _rows(a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> list[Row]:
    return [Row(name, a.get(name), b.get(name)) for name in {**a, **b}]


def _sections(folder: Path) -> dict[str, dict[str, Scalar]]:
    """Section -> value by name."""
    with reading(folder):
        report, manifest = read_report(folder), read_json(folder, MANIFEST)
        files = read_marker(folder).found(folder)
    phases = {phase[NAME]: _part(phase, "phases") for phase in report["phases"]}
    chosen = {"weights": manifest["weights"], "interface": manifest["interface"]}
    return {
        "network": _flat(report["network"]),
        "settings": _flat(report["hardware"] | chosen),
        "formats": _formats(report),
        "cycles": _flat(_part(report["timeline"], "timeline") | {"phases": phases}),
        "bits": _flat(report["totals"]),
        "fit": _flat(_fit(report["resources"])),
        "error": _flat(_error(report["error"])),
        "notes": dict.fromkeys(report["notes"], True),
        "provenance": _flat(report["provenance"]),
        FILES: dict(files),
    }


def _part(values: Mapping[str, Any], part: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in LEFT_OUT[part]}


def _formats(report: Mapping[str, Any]) -> dict[str, Scalar]:
    """Of every tensor its type, how it rounds and what it does beyond its range."""
    found: dict[str, Scalar] = {
        row["name"]: f"{row['type']} {row['rounding']} {row['overflow']}"
        for row in report["tensors"]
    }
    return found | {"proof.kernel_width": report["proof"]["kernel_width"]}


def _fit(resources: Mapping[str, Any]) -> dict[str, Any]:
    totals = {name: {part: fit[part] for part in FIT} for name, fit in resources["totals"].items()}
    return {"device": resources["device"], **totals, "ports": _part(resources["ports"], "ports")}


def _error(error: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of every tensor the relative error. Without a float network there is none."""
    if error is None:
        return {}
    tensors = {row[NAME]: {"relative_error": row["relative_error"]} for row in error["tensors"]}
    return _part(error, "error") | {
        "output": _part(error["output"], "output"), "tensors": tensors,
    }  # fmt: skip


def _flat(value: Any, name: str = "") -> dict[str, Scalar]:
    """``{"call": {"begin": 3}}`` -> ``{"call.begin": 3}``; a list's items by their own names."""
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        items = {str(row.get(NAME, n)): _unnamed(row) for n, row in enumerate(value)}.items()
    else:
        return {name: ", ".join(map(str, value)) if isinstance(value, list) else value}
    found: dict[str, Scalar] = {}
    for key, item in items:
        found |= _flat(item, f"{name}.{key}" if name else str(key))
    return found


def _unnamed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != NAME}
