"""The planted faults: what each changes, and which tests should notice.

``faults/AREA.toml`` holds the faults of one area, each a small mistake that a programmer could
make. A fault replaces one text that occurs exactly once in one file.

    area = "Sparse formats"                         # a group of the table
    tests = ["packing/test_gap.py", ...]            # for all faults of the area

    [[fault]]
    title = "a gap may be one too great"
    file = "compiler/penstock/formats/gap.py"
    old = "..."
    new = "..."
    tests = ["packing/test_gap.py", ...]            # in place of the area's; likely killers first
    equivalent = "..."                              # why nothing can notice, if nothing can

Tests are files or test functions below ``tests``. They run in this order, up to the first failure.
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).parent / "faults"


@dataclass(frozen=True)
class Fault:
    """One planted fault. tests: below ``tests``, likely killers first."""

    area: str
    title: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str | None = None

    def mutated(self, root: Path) -> str:
        """The text of the file with the fault in it. Raises ValueError if it has no place there."""
        text = (root / self.file).read_text()
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.title}: the old text occurs {count} times in {self.file}")
        if self.old == self.new:
            raise ValueError(f"{self.title}: nothing is changed")
        return text.replace(self.old, self.new)


def planted() -> list[Fault]:
    """All faults, area after area. Raises ValueError for two of one title."""
    found = [fault for path in sorted(FAULTS.glob("*.toml")) for fault in _of_area(path)]
    titles = [fault.title for fault in found]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise ValueError(f"two faults have the title {twice[0]!r}")
    return found


def _of_area(path: Path) -> list[Fault]:
    content = tomllib.loads(path.read_text())
    return [
        Fault(
            content["area"], entry["title"], entry["file"], entry["old"], entry["new"],
            tuple(entry.get("tests", content["tests"])), entry.get("equivalent"),
        )
        for entry in content["fault"]
    ]  # fmt: skip


def check_syntax(name: str, text: str) -> None:
    """Raise SyntaxError or TemplateSyntaxError if the text is no module or template at all."""
    if name.endswith(".py"):
        ast.parse(text)
    if name.endswith(".j2"):
        Environment().parse(text)
