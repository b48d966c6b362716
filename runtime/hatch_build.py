"""What ``penstock-runtime`` holds of the package ``penstock``: what the runtime imports.

A test holds this list against the imports. The compiler's own modules stay out, and with them all
that they need.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARED = (
    "__init__.py", "arrays.py", "bounds.py", "errors.py", "fixed.py", "formats", "hidden.py", "ir",
    "journal.py", "locking.py", "marker.py", "notebook.py", "ops", "packing", "project.py",
    "py.typed", "reported.py", "sorting.py", "thresholds.py", "version.py",
)  # fmt: skip
"""Modules, and packages with all of theirs."""


class SharedModules(BuildHookInterface):  # type: ignore[type-arg]
    """Takes them from the compiler's folder; in an sdist they lie beside this file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each to what is built."""
        checkout = Path(self.root).parent / "compiler/penstock"
        folder = checkout if checkout.is_dir() else Path(self.root) / "penstock"
        for name in SHARED:
            build_data["force_include"][str(folder / name)] = f"penstock/{name}"
