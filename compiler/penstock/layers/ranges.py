"""How far every tensor of a float network reaches: what number formats are chosen by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.fixed import FloatArray


@dataclass
class Ranges:
    """Greatest magnitude seen of each tensor, by name (``x``, ``l0.c``, ``l0.pre_i``, ...)."""

    peak: dict[str, float] = field(default_factory=dict)
    is_synthetic: bool = False

    def observe(self, name: str, values: FloatArray) -> None:
        """Take in one step's values."""
        peak = np.abs(values).max(initial=0.0)
        self.peak[name] = float(np.maximum(self.peak.get(name, 0.0), peak))  # NaN stays
