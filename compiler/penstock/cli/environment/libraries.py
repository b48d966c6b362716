"""Python and its libraries, those that are required and those that are not."""

from __future__ import annotations

import platform
import re
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from penstock.cli.environment.item import BASICS, BROKEN, MISSING, OK, OLD, Item, first_line

REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)[^;]*?>=\s*([0-9.]+)")
EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)")
PYTHON = "python"
MODULES = {"libclang": "clang.cindex"}
"""Distribution -> its module, where that has another name."""
COSTS = {
    "torch": ("torch", ".pt and .pt2 files can't be read, nor modules trained or compressed"),
    "onnx": ("onnx", ".onnx files can't be read"),
    "onnxruntime": ("onnx", ".onnx files are compared by ONNX's own implementation, slowly"),
    "libclang": ("lint", "penstock lint does not run, and check leaves it out"),
    "matplotlib": ("plot", "penstock sensitivity draws no --plot"),
    "scipy": ("", "penstock bench measures no sparse products"),
}
"""Optional library -> the extra of Penstock that brings it, and what it costs to be without."""


def python(least: dict[str, str]) -> Item:
    """The interpreter that runs this."""
    version, wanted = platform.python_version(), least.get(PYTHON, "")
    found = f"{version} ({sys.executable})"
    if is_older(version, wanted):
        remedy = f"install Python {wanted} or later"
        return Item("Python", OLD, found, "nothing is tested with it", remedy, BASICS)
    return Item("Python", OK, found, needed_by=BASICS)


def required(name: str, least: dict[str, str]) -> Item:
    """A library that nothing works without."""
    wanted = f">={least[name]}" if name in least else ""
    return _library(name, least, "nothing works", f"pip install '{name}{wanted}'", BASICS)


def optional(name: str, least: dict[str, str]) -> Item:
    """One that only some commands need."""
    extra, costs = COSTS[name]
    remedy = f"pip install 'penstock[{extra}]'" if extra else f"pip install {name}"
    return _library(name, least, costs, remedy)


def _library(
    name: str, least: dict[str, str], costs: str, remedy: str, needed_by: tuple[str, ...] = ()
) -> Item:
    """It is loaded, too: some fail only then."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Item(name, MISSING, "", costs, remedy, needed_by)
    if is_older(version, least.get(name, "")):
        return Item(name, OLD, f"{version}, not {least[name]}", costs, remedy, needed_by)
    try:
        import_module(MODULES.get(name, name))
    except Exception as error:  # a library can fail in any way
        found = f"{version}: {first_line(str(error)) or type(error).__name__}"
        return Item(name, BROKEN, found, costs, f"{remedy} --force-reinstall", needed_by)
    return Item(name, OK, version, needed_by=needed_by)


def requirements() -> tuple[list[str], dict[str, str]]:
    """The libraries that Penstock requires, and the least version of each that it names.

    They stand in the metadata of the installed package, or else in the checkout's pyproject.toml.
    """
    try:
        about = metadata.metadata("penstock")
        texts, version = about.get_all("Requires-Dist") or [], about["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        texts, version = _of_checkout()
    needed, least = [], {PYTHON: version.removeprefix(">=")}
    for text in texts:
        match = REQUIREMENT.match(text)
        if match is not None:
            name = match[1].lower()
            least.setdefault(name, match[2])
            if EXTRA.search(text) is None:
                needed.append(name)
    return needed, least


def _of_checkout() -> tuple[list[str], str]:
    import tomllib

    place = Path(__file__).resolve().parents[4] / "pyproject.toml"
    project: dict[str, Any] = tomllib.loads(place.read_text())["project"]
    extras = [
        f"{text}; extra == '{extra}'"
        for extra, texts in project["optional-dependencies"].items()
        for text in texts
    ]
    return [*project["dependencies"], *extras], project["requires-python"]


def is_older(version: str, least: str) -> bool:
    """True if ``version`` comes before ``least``, by their first three numbers."""
    ours, theirs = (
        [*map(int, re.findall(r"\d+", text.partition("+")[0])), 0, 0, 0][:3]
        for text in (version, least)
    )
    return ours < theirs
