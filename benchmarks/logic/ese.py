"""ESE's configuration by the estimate, against what ESE published of its own.

ESE (Han et al., FPGA 2017) has 32 channels of 32 PEs; a channel is what is called a lane here, and
the published DSPs leave some 15 a channel for the element-wise part: that of two elements a cycle.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from ese_layer import PES, checkpoint

from penstock import Hardware, compile_checkpoint
from penstock.machine.resources import estimate

PUBLISHED = {"lut": 293_920, "lut_memory": 69_939, "ff": 453_068, "bram18": 2 * 947, "dsp": 1_504}
"""Of ESE on an XCKU060. Recalled from table 4 of the paper, not looked up again; of LUTs as memory,
too."""
ELEMENTS_PER_CYCLE = 2
NAMES = {"lut": "LUT", "lut_memory": "LUT as memory", "ff": "FF", "bram18": "BRAM18", "dsp": "DSP"}


def estimates(
    lanes: tuple[int, ...], elements: int | None = ELEMENTS_PER_CYCLE
) -> dict[int, dict[str, int]]:
    """Lanes -> what is estimated of ESE's layer."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = checkpoint(Path(scratch))
        for count in lanes:
            hardware = Hardware(PES, count, elements, part="xcku060-ffva1156-2-e")
            resources = estimate(compile_checkpoint(path, None, hardware).machine)
            found[count] = {name: resources.fits[name].used for name in PUBLISHED}
    return found


def ratios(found: dict[str, int]) -> dict[str, float]:
    """What ESE published / what is estimated."""
    return {name: PUBLISHED[name] / found[name] for name in PUBLISHED}


def table() -> str:
    """The estimates beside ESE's figures."""
    usual, few = estimates((1, 16), 8), estimates((16, 32))
    rows = {
        "1 lane, 8 elements a cycle": usual[1], "16 lanes, 8": usual[16], "16 lanes, 2": few[16],
        "32 lanes, 2": few[32], "ESE, published": PUBLISHED,
    }  # fmt: skip
    lines = [f"| {PES} PEs | {' | '.join(NAMES.values())} |", f"|---{'|---' * len(NAMES)}|"]
    lines += [f"| {name} | {' | '.join(f'{row[key]:,}' for key in NAMES)} |"
              for name, row in rows.items()]  # fmt: skip
    told = " | ".join(f"{ratio:.2f}" for ratio in ratios(few[32]).values())
    return "\n".join([*lines, f"| published / estimated | {told} |"])


if __name__ == "__main__":
    print(table())
