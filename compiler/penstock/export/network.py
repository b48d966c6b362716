"""What is exported: a graph, and what who calls it must know."""

from __future__ import annotations

from typing import Protocol

from penstock.ir import Graph
from penstock.packing.manifest import Manifest


class Exportable(Protocol):
    """A ``penstock.Compiled``, or a ``penstock_runtime.Project``."""

    @property
    def graph(self) -> Graph:
        """The network in integers."""
        ...

    @property
    def manifest(self) -> Manifest:
        """How arrays are ordered, and which inputs are scaled."""
        ...
