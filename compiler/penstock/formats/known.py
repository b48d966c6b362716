"""The formats that Penstock has; nothing else lists them."""

from __future__ import annotations

from penstock.formats.bank import Bank
from penstock.formats.gap import Gap
from penstock.formats.relative import Relative

AnyFormat = Gap | Relative | Bank
"""What a manifest may name as a phase's format."""
