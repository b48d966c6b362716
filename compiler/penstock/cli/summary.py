"""What a compile found out, in a few lines: of report.json, and of nothing else."""

from __future__ import annotations

from typing import Any

from penstock.cli.output import say
from penstock.cli.tables import print_table
from penstock.report.error import error_lines

NOT_WASTE = ("weights", "indices", "beat_fill")
"""Of the bits in the weight files; the others are entries without a non-zero."""


def print_summary(report: dict[str, Any], name: str) -> None:
    """Print the summary of a project. name: of its folder."""
    hardware, timeline = report["hardware"], report["timeline"]
    waste = [cause for cause in report["totals"]["bits"] if cause not in NOT_WASTE]
    columns = ("words", "bound", "nonzeros", *waste, "entry_bits")
    print_table(
        f"{name}: {hardware['pes']} PEs",
        ("phase", "words", "bound", "non-zeros", *waste, "entry bits"),
        [
            (phase["name"], *(f"{phase[column]:,}" for column in columns))
            for phase in report["phases"]
        ],
    )
    say(
        f"{timeline['cycles_per_step']:,} cycles per step by the timeline (bound "
        f"{timeline['bound_per_step']:,}), {timeline['microseconds_per_step']:,.1f} us at "
        f"{timeline['clock_mhz']:g} MHz; {report['proof']['weights']:,} weights proven to be packed"
    )
    if report["error"] is not None:
        for line in error_lines(report["error"]):
            say(line)
    for note in report["notes"]:
        say(f"note: {note}")
