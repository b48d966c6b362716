"""A table of the page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """columns: heading -> ``text``, ``name`` (monospaced) or ``number`` (right-aligned)."""

    columns: dict[str, str]
    rows: list[list[str]]
    total: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """The kind of each column, in order."""
        return list(self.columns.values())
