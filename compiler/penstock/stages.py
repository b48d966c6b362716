"""What a compile is doing, for whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable

STAGES = (
    "reading the network", "calibrating", "choosing types", "choosing hardware and scheduling",
    "packing", "proving the packed weights", "comparing with the float network",
    "writing the sources", "golden vectors",
)  # fmt: skip
"""Of a compile, in their order."""
Tell = Callable[[str, int, int], None]
"""Takes what is being done, how much is done, and of how much."""


def tell_nobody(work: str, done: int, of: int) -> None:
    """Say nothing."""


def tell_stage(tell: Tell, stage: str) -> None:
    """Say that a stage begins."""
    tell(stage, STAGES.index(stage), len(STAGES))
