"""From floats to fixed point: calibration and pruning."""

from penstock.calibration import Ranges, calibrate
from penstock.compress.prune import pe_balanced_mask

__all__ = ["Ranges", "calibrate", "pe_balanced_mask"]
