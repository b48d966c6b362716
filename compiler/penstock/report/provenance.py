"""Where a project comes from, as the page shows it."""

from __future__ import annotations

from typing import Any

from penstock.report.table import Table
from penstock.report.text import NOTHING


def provenance_tables(provenance: dict[str, Any]) -> dict[str, Any]:
    """``command`` (None: there is none), and the tables of files, versions and settings."""
    files = [[what.replace("_", " "), row["name"], row["sha256"]]
             for what, row in provenance["files"].items()]  # fmt: skip
    settings = [
        [table, name, _told(value)]
        for table, values in provenance["settings"].items()
        for name, value in (values or {"all": "the network's own"}).items()
    ]
    return {
        "command": provenance["command"],
        "files": Table({"File": "text", "Name": "name", "SHA-256": "name"}, files),
        "versions": Table({"Package": "name", "Version": "name"},
                          [[name, told] for name, told in provenance["versions"].items()]),
        "settings": Table({"Of": "text", "Setting": "name", "Value": "name"}, settings),
    }  # fmt: skip


def _told(value: Any) -> str:
    """A setting as it would be typed; a dash for what was left open."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_told(own)}" for key, own in value.items())
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    return str(value)
