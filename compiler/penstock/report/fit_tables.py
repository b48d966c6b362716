"""The page's tables of resources."""

from __future__ import annotations

from typing import Any

from penstock.report.table import Table
from penstock.report.text import TIMES, number, plural


def kinds_table(resources: dict[str, Any]) -> Table:
    """Memories summed up by what they hold."""
    columns = {
        "Memories by kind": "text",
        "How many": "number",
        "BRAM18": "number",
        "URAM": "number",
        "LUT": "number",
    }
    sums: dict[str, list[int]] = {}
    for row in resources["memories"]:
        of_kind = sums.setdefault(row["kind"], [0, 0, 0, 0])
        for index, key in enumerate(("count", "bram18", "uram", "lut")):
            of_kind[index] += row[key]
    return Table(columns, [[kind, *map(number, counts)] for kind, counts in sums.items()])


def memories_table(resources: dict[str, Any]) -> Table:
    """Every memory of the kernel."""
    columns = {
        "Memory": "name", "Kind": "text", "How many": "number", "Each": "number", "In": "text",
        "BRAM18": "number", "URAM": "number", "LUT": "number",
    }  # fmt: skip
    storage = {
        "bram": "BRAM", "bram_t2p": "BRAM, dual port", "lutram": "LUTs", "rom": "BRAM (ROM)",
        "uram": "URAM",
    }  # fmt: skip
    rows = [
        [row["name"], row["kind"], number(row["count"]),
         f"{number(row['depth'])} {TIMES} {plural(row['width'], 'bit')}", storage[row["storage"]],
         *(number(row[key]) for key in ("bram18", "uram", "lut"))]
        for row in resources["memories"]
    ]  # fmt: skip
    sums = {
        key: sum(row[key] for row in resources["memories"]) for key in ("bram18", "uram", "lut")
    }
    used = [number(value) for value in sums.values()]
    return Table(columns, rows, ["All memories", "", "", "", "", *used])


def blocks_table(resources: dict[str, Any]) -> Table:
    """The logic around the memories, block by block."""
    columns = {
        "Logic": "name", "How many": "number", "LUT each": "number", "LUT": "number",
        "FF": "number",
    }  # fmt: skip
    keys = ("count", "lut_each", "lut", "ff")
    rows = [[row["name"], *(number(row[key]) for key in keys)] for row in resources["blocks"]]
    used = [number(sum(row[key] for row in resources["blocks"])) for key in ("lut", "ff")]
    return Table(columns, rows, ["All logic", "", "", *used])


def ports_table(resources: dict[str, Any]) -> Table:
    """The bandwidth of every memory port."""
    columns = {
        "Port": "name", "Channel": "number", "GB/s, a beat a cycle": "number",
        "while its reader runs": "number", "mean of a step": "number", "offered": "number",
    }  # fmt: skip
    keys = ("beats", "streaming", "mean", "offered")
    return Table(columns, [
        [row["name"], number(row["channel"]), *(number(row[f"gb_per_s_{key}"], 2) for key in keys)]
        for row in resources["ports"]["each"]
    ])  # fmt: skip


def multipliers_table(resources: dict[str, Any]) -> Table:
    """Where the DSPs are."""
    columns = {"Multipliers": "name", "How many": "number", "DSP each": "number", "DSP": "number"}
    rows = [
        [row["name"], number(row["count"]), number(row["dsp_each"]), number(row["dsp"])]
        for row in resources["multipliers"]
    ]
    used = number(resources["totals"]["dsp"]["used"])
    return Table(columns, rows, ["All multipliers", "", "", used])
