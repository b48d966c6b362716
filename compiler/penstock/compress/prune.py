"""Load-balance-aware magnitude pruning (Han et al., FPGA 2017, section 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import FloatArray


def pe_balanced_mask(weight: FloatArray, density: float, pes: int) -> NDArray[np.bool_]:
    """Keep the greatest magnitudes, the same number in the submatrix of every PE.

    weight: (rows, columns), row r on PE r mod ``pes``. Each PE keeps round(density * its weights),
    at least one. Raises ValueError for a density outside (0, 1].
    """
    if not 0.0 < density <= 1.0:
        raise ValueError(f"density {density} is outside (0, 1]")
    mask = np.zeros(weight.shape, dtype=bool)
    for pe in range(min(pes, weight.shape[0])):
        magnitude = np.abs(weight[pe::pes])
        keep = max(1, round(density * magnitude.size))
        kept = np.argsort(-magnitude, axis=None, kind="stable")[:keep]
        flags = np.zeros(magnitude.size, dtype=bool)
        flags[kept] = True
        mask[pe::pes] = flags.reshape(magnitude.shape)
    return mask
