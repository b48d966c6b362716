"""Where a project comes from: the section of report.json, and the command that makes it again."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from penstock.choices import Files
from penstock.config import Origin
from penstock.option import settings_of, words_of
from penstock.version import __version__


def provenance_section(origin: Origin) -> dict[str, Any]:
    """Plain values, see the text of ``penstock.report.report``."""
    return {
        "files": {key: asdict(source) for key, source in origin.files.items()},
        "settings": {
            table: None if settings is None else _plain(settings)
            for table, settings in origin.tables().items()
        },
        "versions": {
            "penstock": __version__,
            **{name: version(name) for name in ("numpy", *origin.libraries)},
        },
        "command": command(origin) if origin.is_whole else None,
    }


def command(origin: Origin) -> str:
    """As it could be typed beside the files; the options are those that are no defaults."""
    words = ["penstock", "compile", origin.files["model"].name, "-o", "project"]
    for key, source in origin.files.items():
        if key != "model":
            words += settings_of(Files)[key].to_words(source.name)
    for settings in origin.tables().values():
        words += [] if settings is None else words_of(settings)
    return shlex.join(words)


def _plain(settings: Any) -> dict[str, Any]:
    """What is left open is None."""
    return {
        name: setting.to_plain(getattr(settings, name))
        for name, setting in settings_of(type(settings)).items()
    }
