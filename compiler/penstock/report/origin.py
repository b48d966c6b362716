"""Provenance on the page: the files, the settings, the versions, the command."""

from __future__ import annotations

from typing import Any

from penstock.report.tables import Table
from penstock.report.text import NOTHING


def provenance_tables(provenance: dict[str, Any]) -> dict[str, Any]:
    """All that the page shows of the section ``provenance`` of report.json."""
    files = [[key, source["name"], source["sha256"]] for key, source in provenance["files"].items()]
    settings = [
        [f"{table}.{name}", _text(value)]
        for table, values in provenance["settings"].items()
        for name, value in (values or {}).items()
    ]
    return {
        "files": Table({"File": "text", "Name": "name", "SHA-256": "name"}, files),
        "settings": Table({"Setting": "name", "Value": "name"}, settings),
        "versions": ", ".join(f"{name} {one}" for name, one in provenance["versions"].items()),
        "command": provenance["command"],
    }


def _text(value: Any) -> str:
    if value is None:
        return "left open"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{name} = {one}" for name, one in value.items()]
    return (", ".join(map(str, value)) or NOTHING) if isinstance(value, list) else str(value)
