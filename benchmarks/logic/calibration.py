"""The model of ``penstock.machine.logic`` against what synthesis made of the same parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from operands import ADDRESS, COLUMN
from penstock.machine import banks as of_banks
from penstock.machine import blocks, broadcast, logic, sums
from penstock.machine.blocks import PeShape, column_address, pe
from penstock.machine.logic import Logic
from primitives import index_bits
from queues import INDEX, SLOT, VALUE, WEIGHT
from units import NETWORKS, machine_of

Row = dict[str, Any]
FEW = 2
"""LUTs or registers by which a small part may be off."""
COMPOSED = (
    "pe", "unpacker", "collector", "drain", "shared_rows", "columns", "deal", "relative_pe",
    "packer", "bank_row", "bank_choice", "cell_unit",
)  # fmt: skip
"""Blocks that add primitives up; of them is the error that is told."""


def _pe(lanes: int, banks: int, depth: int, acc_bits: int, apart: int = 0) -> Logic:
    shape = PeShape(
        weight=12, gap=6, slot=7, column=11, address=11, activation=16, accumulator=acc_bits,
        banks=banks, lanes=lanes, phases=2, operands=apart or 2, is_scattered=apart > 0, places=2,
        tables=64,
    )  # fmt: skip
    return pe(shape) + logic.memory(depth, acc_bits) * (banks * lanes)


def _relative_pe(lanes: int, banks: int, depth: int, acc_bits: int) -> Logic:
    shape = PeShape(
        weight=WEIGHT, gap=INDEX, slot=SLOT, column=COLUMN, address=ADDRESS, activation=VALUE,
        accumulator=acc_bits, banks=banks, lanes=lanes, phases=2, operands=2, places=2,
        queued=VALUE * lanes + 1,
    )  # fmt: skip
    return pe(shape) + logic.memory(depth, acc_bits) * (banks * lanes)


def _operand_address(phases: int, operands: int) -> Logic:
    shape = PeShape(
        weight=0, gap=0, slot=0, column=COLUMN, address=ADDRESS, activation=0, accumulator=0,
        banks=1, lanes=1, phases=phases, operands=operands, is_scattered=True,
    )  # fmt: skip
    return column_address(shape)


def _columns(pes: int, phases: int, operands: int) -> Logic:
    queued = VALUE + index_bits(operands)
    return broadcast.columns(pes, ADDRESS, queued) + _operand_address(phases, operands)


def _deal(pes: int, entry_bits: int) -> Logic:
    return broadcast.deal(pes, pes * entry_bits)


def _cell_unit(network: int) -> Logic:
    machine = machine_of(NETWORKS[network])
    return blocks.unit_logic(machine.graph, machine.products[0].unit)


def _phases(named: str) -> sums.Phases:
    return [(int(s), int(w)) for s, w in (phase.split("x") for phase in named.split("+"))]


def _collector(pes: int, units: int, phases: str, bits: int) -> Logic:
    return sums.collector(pes // units, _phases(phases), bits) * units


def _drain(pes: int, units: int, phases: str, bits: int) -> Logic:
    found = _phases(phases)
    taken = sums.drained(pes // units, [siblings for siblings, _ in found], bits)
    return sums.drain(found, bits) * pes + taken * units


def _shared_rows(pes: int, banks: int, depth: int, bits: int) -> Logic:
    places = sums.place_of_parts(pes, banks, index_bits(depth)) * pes
    memories = logic.memory(depth, bits) * (pes * banks)
    return sums.tree_of_parts(pes, bits) * banks + places + memories


def _bank_row(
    banks: int, depth: int, bits: int, regions: int, places: int, held: int, slots: int = 0
) -> Logic:  # fmt: skip
    each = of_banks.multiplier(WEIGHT, VALUE, bits, 1, regions, places, index_bits(depth))
    memory = logic.memory(depth, VALUE) * (banks * regions)
    kept = logic.memory(slots, bits) if slots else Logic()
    return each * banks + of_banks.sums(bits, 1, held, 1, slots > 0) + memory + kept


def _bank_choice(rows: int, parts: int, bits: int) -> Logic:
    with_choice, without = (of_banks.sums(bits, count, 1, 1, False) for count in (parts, 1))
    return Logic(rows * (with_choice.lut - without.lut), rows // parts * bits)


def _shifter(bits: int, places: int, step: int) -> Logic:
    return logic.shifter(bits, places)


MODELS: dict[str, Callable[..., Logic]] = {
    "adder": logic.adder, "comparator": logic.comparator, "multiplexer": logic.multiplexer,
    "shifter": _shifter, "table": logic.table, "multiplier": logic.multiplier,
    "memory": logic.memory, "fifo": logic.fifo, "clamp": logic.clamp,
    "requantizer": logic.requantizer, "counter": logic.counter, "all_clear": logic.all_clear,
    "axis": logic.axis, "operand_address": _operand_address, "pe": _pe,
    "unpacker": blocks.unpacker, "collector": _collector, "drain": _drain,
    "shared_rows": _shared_rows, "columns": _columns, "deal": _deal, "relative_pe": _relative_pe,
    "packer": blocks.packer, "bank_row": _bank_row, "bank_choice": _bank_choice,
    "cell_unit": _cell_unit,
}  # fmt: skip


def compared(found: Row) -> list[Row]:
    """A row for each design of UltraScale+: the model's figures beside those of synthesis."""
    rows = []
    for row in found["rows"]:
        if row["family"] == "usp":
            model = MODELS[row["block"]](**row["sizes"])
            rows.append({**row, "model": model})
    return rows


def error(row: Row, what: str) -> float:
    """Relative error of the model's LUTs (``lut``) or registers (``ff``); of two, none."""
    measured: int = row[what]
    off: int = getattr(row["model"], what) - measured
    return off / measured if measured and abs(off) > FEW else 0.0


def greatest(rows: list[Row], what: str) -> dict[str, float]:
    """Block -> the greatest error, whatever its sign. Registers count in composed blocks only:
    those of a lone primitive are its test's own."""
    found: dict[str, float] = {}
    for row in rows:
        if what == "lut" or row["block"] in COMPOSED:
            found[row["block"]] = max(found.get(row["block"], 0.0), abs(error(row, what)))
    return found


def table(found: Row) -> str:
    """Model against synthesis, as a table in Markdown."""
    lines = [
        f"Model against {found['yosys']}, UltraScale+.", "",
        "| part | LUT, model | synthesis | error | FF, model | synthesis | error "
        "| DSP | synthesis |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    rows = compared(found)
    for row in rows:
        name = " ".join([row["block"], *(f"{key}={value}" for key, value in row["sizes"].items())])
        model, cells = row["model"], []
        for what in ("lut", "ff"):
            cells += [f"{getattr(model, what):,}", f"{row[what]:,}", f"{error(row, what):+.0%}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {model.dsp} | {row['dsp']} |")
    for what in ("lut", "ff"):
        worst = greatest(rows, what)
        told = ", ".join(f"{block} {value:.0%}" for block, value in worst.items())
        composed = max(value for block, value in worst.items() if block in COMPOSED)
        lines += ["", f"Greatest error of {what.upper()}: {told}; composed blocks {composed:.0%}."]
    return "\n".join(lines)
