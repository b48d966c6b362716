"""What the templates of a kernel are told of its format: plain names and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.formats.phase import PhaseCode
from penstock.formats.protocol import Field


@dataclass(frozen=True)
class KernelFormat:
    """A kernel's format. name: of its folder of templates.

    fields: those of an entry, each as wide as in the widest phase. tables: one dict for each phase;
    empty where no phase needs them.
    """

    name: str
    fields: tuple[Field, ...]
    tables: tuple[dict[str, list[int]], ...]

    @property
    def is_identity(self) -> bool:
        """True if the fields of an entry are what a PE computes with, without tables."""
        return not any(self.tables)


def kernel_format(phases: Sequence[PhaseCode]) -> KernelFormat:
    """The format that all ``phases`` have in common. Raises ValueError if they have none."""
    if len({phase.format.name for phase in phases}) != 1:
        raise ValueError("the phases of a kernel have different formats")
    widest = tuple(
        max(same, key=lambda field: field.bits)
        for same in zip(*(phase.fields for phase in phases), strict=True)
    )
    bits = {field.name: field.bits for field in widest}
    tables = tuple(phase.format.tables(phase, bits) for phase in phases)
    if not any(phase.format.needs_tables(phase, bits) for phase in phases):
        tables = ({},) * len(phases)
    return KernelFormat(phases[0].format.name, widest, tables)
