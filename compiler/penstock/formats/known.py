"""The formats that Penstock has; nothing else lists them. A second one makes this a union."""

from __future__ import annotations

from penstock.formats.gap import Gap

AnyFormat = Gap
"""What a manifest may name as a phase's format."""
