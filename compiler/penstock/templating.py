"""Where the templates are: of an installed package, or of the checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def template_folder() -> Path:
    """``penstock/templates`` of an installed package, else the checkout's ``templates``."""
    installed = PACKAGE / "templates"
    return installed if installed.is_dir() else PACKAGE.parent.parent / "templates"
