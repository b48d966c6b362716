"""What the compiler wrote about a project, read again: report.json and other files of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.marker import read_marker

SCHEMA = 4
"""Of report.json; its parts are listed in the text of ``penstock.report.report``."""
REPORT, MANIFEST = "report.json", "weights/manifest.json"
HINT = "compile the model again"


def read_report(folder: Path) -> dict[str, Any]:
    """report.json as the compiler wrote it. Raises PenstockError if it is another, or damaged."""
    report = read_json(folder, REPORT)
    if report.get("schema") != SCHEMA:
        raise PenstockError(
            f"{REPORT} is of another version of Penstock (schema {report.get('schema')!r}, not "
            f"{SCHEMA})", str(folder), HINT,
        )  # fmt: skip
    return report


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a project, if it is still the one that the compiler wrote."""
    digest = read_marker(folder).files.get(name)
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise PenstockError(f"{name} can't be read: {error.strerror}", str(folder), HINT) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise PenstockError(
            f"{name} is not the file that the compiler wrote (its sha256 differs)",
            str(folder), HINT,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(content)
    return found
