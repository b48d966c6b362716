"""What Penstock finds on this machine: libraries, compilers, headers, the vendor's tools.

Nothing that may be missing is imported before it is looked for, so that this can tell of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.cli.environment import libraries, tools, vendor
from penstock.cli.environment.item import BASICS, Item

__all__ = ["BASICS", "Environment", "Item", "examine"]

SCHEMA = 1


@dataclass(frozen=True)
class Environment:
    """All that was looked for."""

    items: list[Item]

    def works(self, command: str) -> bool:
        """True if nothing is missing that a command needs, of ``BASICS``."""
        return all(item.is_ok for item in self.items if command in item.needed_by)

    @property
    def is_ready(self) -> bool:
        """True if the basics work."""
        return all(map(self.works, BASICS))

    def as_values(self) -> dict[str, Any]:
        """Plain values: schema (1), ready (compile, run and csim work), works {command: whether};

        items [name, state (ok, missing, too old or broken), found (a version, a path, or what is
        wrong), costs (what does not work without it), remedy (how to get it), needed_by (those of
        compile, run and csim that do not work without it)]; where it is ok, costs and remedy are
        empty.
        """
        return {
            "schema": SCHEMA, "ready": self.is_ready,
            "works": {command: self.works(command) for command in BASICS},
            "items": [vars(item) | {"needed_by": list(item.needed_by)} for item in self.items],
        }  # fmt: skip


def examine() -> Environment:
    """Look for everything. C simulation runs in Vitis, where there is one, without a compiler."""
    needed, least = libraries.requirements()
    csim = () if vendor.has_csim() else ("csim",)
    return Environment([
        libraries.python(least),
        *(libraries.required(name, least) for name in needed),
        *(libraries.optional(name, least) for name in libraries.COSTS),
        tools.headers(csim), tools.compiler(csim), tools.trial(csim),
        tools.cache_folder(), tools.make(),
        vendor.vitis(), vendor.linker(), vendor.xrt(), vendor.cuda(),
    ])  # fmt: skip
