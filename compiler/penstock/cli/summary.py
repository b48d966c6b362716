"""What a compile found out, in a few lines: of report.json, and of nothing else."""

from __future__ import annotations

from typing import Any

from penstock.cli.output import say
from penstock.cli.tables import print_table
from penstock.report.error import error_lines
from penstock.report.summary import array_words

NOT_WASTE = ("weights", "indices", "beat_fill")
"""Of the bits in the weight files; the others are entries without a non-zero."""
SCHEMA = 1
TIMES = ("cycles_per_step", "bound_per_step", "microseconds_per_step", "steps_per_second")
FIGURES = ("of", "max_abs_error", "rms_error", "float_rms", "relative_error")


def print_summary(report: dict[str, Any], name: str) -> None:
    """Print the summary of a project. name: of its folder."""
    hardware, timeline = report["hardware"], report["timeline"]
    waste = [cause for cause in report["totals"]["bits"] if cause not in NOT_WASTE]
    columns = ("words", "bound", "nonzeros", *waste, "entry_bits")
    print_table(
        f"{name}: {array_words(hardware)}",
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


def compile_values(report: dict[str, Any], folder: str) -> dict[str, Any]:
    """Plain values: schema (1), project (the folder), name (of the network); hardware (the
    settings with what the compiler chose, as in report.json); cycles_per_step,
    bound_per_step, microseconds_per_step, steps_per_second; fit {resource: fits, unsure or does not
    fit}; weights (proven to be packed); output_error {of, max_abs_error, rms_error, float_rms,
    relative_error} against the float network, decisions {rule, agree, of, agreement}, labels
    {measure, of, float, fixed} (each null where there is none); warnings, notes [sentences];
    command (that makes it again). report.json in the project has everything.
    """
    timeline, error = report["timeline"], report["error"] or {}
    output = {name: value for name, value in (error.get("output") or {}).items() if name in FIGURES}
    return {
        "schema": SCHEMA, "project": folder, "name": report["network"]["name"],
        "hardware": report["hardware"],
        **{name: timeline[name] for name in TIMES},
        "fit": {name: fit["verdict"] for name, fit in report["resources"]["totals"].items()},
        "weights": report["proof"]["weights"],
        "output_error": output or None, "decisions": error.get("decisions"),
        "labels": error.get("labels"), "warnings": error.get("warnings", []),
        "notes": report["notes"], "command": report["provenance"]["command"],
    }  # fmt: skip
