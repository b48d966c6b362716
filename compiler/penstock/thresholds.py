"""Beyond what a result is doubtful, in one place: who runs or compiles is warned."""

from __future__ import annotations

SATURATED = 1e-3
"""Share of a tensor's values out of range. A type that fits its data loses none on frames like
those of calibration; one value in a thousand is an outlier, more are a type or a scale that does
not fit."""
OUTPUT_ERROR = 0.05
"""RMS of the outputs' error over the RMS of the float outputs. Networks whose formats fit stay well
below 0.01 at 12 to 16 bits; a twentieth of the signal is what few bits or a lost scale cost."""
AGREEMENT = 0.99
"""Share of decisions that are those of the float network. Rounding flips near ties alone, a few in
a thousand; one in a hundred costs accuracy that can be seen."""
