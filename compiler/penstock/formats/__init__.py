"""Sparse formats: how the non-zeros of a phase become entries, and how a PE reads them."""

from penstock.formats.gap import Gap
from penstock.formats.layout import Layout
from penstock.formats.phase import PhaseCode
from penstock.formats.protocol import Entries, Field, Format, NonZeros

__all__ = ["Entries", "Field", "Format", "Gap", "Layout", "NonZeros", "PhaseCode"]
