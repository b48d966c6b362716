"""Limits, devices and boards: docs/limits.md, from the tables that the compiler itself goes by.

``python docs/limits.py --write`` writes it; without the option it is printed.
"""

# ruff: noqa: E501
from __future__ import annotations

import sys
from pathlib import Path

from penstock import bounds, thresholds
from penstock.devices import BOARDS, DEVICES, PLANNED_SHARE, Device, known_device

PAGE = Path(__file__).with_name("limits.md")
TEXT = """# Limits and boards

The tables are printed by `python docs/limits.py --write` from those that the compiler itself goes by; a test holds this page to them.

## What has been run, and what has not

| | |
|---|---|
| Linux on x86-64, Python 3.11, g++ 12 | every test, on every change |
| C simulation with AMD's headers `ap_int.h`, `ap_fixed.h` | every test, with g++ |
| Vitis HLS: synthesis, co-simulation | **not run** |
| a card or a board | **not run** |
| macOS, Windows, other processors | **not run** |

So the bits are proven, and the clock, the cycles that pipelines add, and the resources are estimates. `penstock doctor` tells what your
machine has, and what each missing part costs.

## Limits

| what | at most |
|---|---|
{limits}

{lanes} sequences can go through side by side (`--lanes`), or, in the bank dataflow, in turn (`--interleave`). What is beyond is refused before anything is written, by one line that says what would do.

## Boards

The board is named with `--board`, which sets part and clock; `--part` and `--clock-mhz` say something else. *Resources* are those of the
whole die; of these the compiler plans with at most {shares}. 18K BRAMs are halves of a block RAM.

| board | part | clock, MHz | LUTs | registers | 18K BRAMs | UltraRAMs | DSPs | memory | ports |
|---|---|---|---|---|---|---|---|---|---|
{boards}

Another part of these families is described in one option: `--part NAME --part-resources lut=..,ff=..,bram18=..,uram=..,dsp=..`. The head of
`compiler/penstock/devices.py` says where the figures come from; some are recalled, not looked up.

## When a result is doubtful

The compiler, `run` and `Session` warn, and `--strict` refuses, where

* more than {saturated} of a tensor's values are out of range;
* the error of the outputs is above {error} of the float outputs (RMS over RMS);
* fewer than {agreement} of the decisions are those of the float network.

## What does not compile

[What compiles](what-compiles.md) has the list, with reasons. In short: a step of the network sees its own frame and the state, so convolutions over
time and attention have no place; sequences are independent; and softmax and embeddings stay on the host.
"""
LIMITS = {
    "PEs (`gather`; `broadcast`: 128)": bounds.MAX_PES,
    "multipliers, rows x banks (`bank`)": bounds.MAX_MULTIPLIERS,
    "elements per cycle of the cell unit": bounds.MAX_CELL_UNITS,
    "bits of an activation, a state or a bias": bounds.WIDEST,
    "elements of a vector: inputs, cells, classes": bounds.MAX_LENGTH,
    "elements of one weight matrix, zeros counted": bounds.MAX_MATRIX,
    "elements of all tensors of a network": bounds.MAX_WEIGHTS,
    "steps of a sequence that must be buffered": bounds.MAX_STEPS,
    "bytes of the kernel's memories in C simulation": bounds.MAX_MEMORY_BYTES,
    "clock, MHz": int(bounds.FASTEST_MHZ),
}
NAMES = {
    "lut": "LUTs", "lut_memory": "LUT memories", "ff": "registers", "bram18": "block RAMs",
    "uram": "UltraRAMs", "dsp": "DSPs",
}  # fmt: skip


def memory_of(device: Device) -> tuple[str, str]:
    """What stands beside a device, and how a kernel gets there."""
    memory = device.memory
    if memory is None:
        return "unknown", "unknown"
    return (
        f"{memory.kind}, {memory.gb_per_s:g} GB/s",
        f"{memory.ports} of {memory.port_bits} bits",
    )


def boards() -> str:
    """A row for each."""
    rows = []
    for board in BOARDS:
        device = known_device(board.part)
        die = device.die
        counts = (die.lut, die.ff, die.bram18, die.uram, die.dsp)
        cells = [f"`{board.name}`", f"`{board.part}`", f"{board.clock_mhz:g}"]
        rows.append(" | ".join([*cells, *(f"{n:,}" for n in counts), *memory_of(device)]))
    return "\n".join(f"| {row} |" for row in rows)


def page() -> str:
    """The page as it must be."""
    assert {known_device(board.part) for board in BOARDS} <= set(DEVICES)
    shares: dict[float, list[str]] = {}
    for resource, share in PLANNED_SHARE.items():
        shares.setdefault(share, []).append(NAMES[resource])
    *lanes, most = bounds.LANE_CHOICES
    return TEXT.format(
        limits="\n".join(f"| {what} | {most:,} |" for what, most in LIMITS.items()),
        lanes=f"{', '.join(map(str, lanes))} or {most}",
        shares=", ".join(f"{share:.0%} of the {' and '.join(n)}" for share, n in shares.items()),
        boards=boards(),
        saturated=f"{thresholds.SATURATED:.1%}", error=f"{thresholds.OUTPUT_ERROR:.0%}",
        agreement=f"{thresholds.AGREEMENT:.0%}",
    )  # fmt: skip


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page())
