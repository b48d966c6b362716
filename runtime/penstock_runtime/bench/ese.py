"""What ESE published of its layer, as published; nothing here was measured by us.

S. Han et al., "ESE: Efficient Speech Recognition Engine with Sparse LSTM on FPGA", FPGA 2017,
doi 10.1145/3020078.3021745 (arXiv 1612.00694). 32 sequences share a pass over the weights: only so
do 2 operations for each of the layer's weights in a step give the dense-equivalent figure.
"""

from __future__ import annotations

from typing import Any

INPUTS, CELLS, PROJECTION = 153, 1024, 512
PUBLISHED = {
    "source": "S. Han et al., FPGA 2017, doi 10.1145/3020078.3021745",
    "device": "XCKU060",
    "clock_mhz": 200.0,
    "sequences": 32,
    "step_us": 82.7,
    "gops": 282.0,
    "dense_gops": 2520.0,
    "watts": 41.0,
    "times_faster_than": {"Core i7-5930K": 43.0, "Pascal Titan X": 3.0},
    "times_the_energy_efficiency_of": {"Core i7-5930K": 40.0, "Pascal Titan X": 11.5},
}


def is_of_its_size(report: dict[str, Any]) -> bool:
    """True if one of the project's layers has ESE's inputs, cells and projection."""
    return any(
        (layer.get("inputs"), layer.get("cells"), layer.get("outputs"))
        == (INPUTS, CELLS, PROJECTION)
        for layer in report["network"]["layers"]
    )
