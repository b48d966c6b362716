"""A compiled network in a line, and as a notebook shows it."""

from __future__ import annotations

from typing import Any

from penstock.notebook import table
from penstock.report.summary import array_words, hardware_line, network_line, tiles


def compiled_line(report: dict[str, Any]) -> str:
    """``<Compiled 'net': l0: 5 inputs, 8 cells; 2 PEs, 128 cycles a step, 0.64 us at 200 MHz>``."""
    timeline = report["timeline"]
    return (
        f"<Compiled {report['network']['name']!r}: {_network(report, '; ')}; "
        f"{array_words(report['hardware'])}, {timeline['cycles_per_step']:,} cycles a step, "
        f"{timeline['microseconds_per_step']:,.2f} us at {timeline['clock_mhz']:g} MHz>"
    )


def compiled_table(report: dict[str, Any], notes: list[str]) -> str:
    """The key figures of the report's page, and the notes."""
    figures = [(tile["label"], f"{tile['value']} {tile['unit']}".strip(), tile["note"])
               for tile in tiles(report)]  # fmt: skip
    rows = [
        ("Network", _network(report, " · "), ""),
        ("Hardware", hardware_line(report["hardware"]), ""),
        *figures,
    ]
    return table(report["network"]["name"], rows, notes)


def _network(report: dict[str, Any], between: str) -> str:
    """Its layers; a graph that was not made of layers has only a width at its ends."""
    network = report["network"]
    ends = f"{network['inputs']:,} inputs, {network['outputs']:,} outputs"
    return network_line(network).replace(" · ", between) or ends
