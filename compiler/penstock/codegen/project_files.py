"""What surrounds the kernel in a project folder: build files, host programs, README."""

from __future__ import annotations

from typing import Any

from penstock.codegen.storage import Storage
from penstock.packing.manifest import Manifest


def emit_project_files(
    keep: Storage, manifest: Manifest, sources: dict[str, str], report: dict[str, Any]
) -> dict[str, str]:
    """path -> text."""
    return {}
