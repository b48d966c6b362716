"""``penstock report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.arguments import AsJson, Folder
from penstock.cli.output import print_json, say, say_wrong
from penstock.cli.summary import print_summary
from penstock.cli.tables import print_table
from penstock.machine.resources import NAMES
from penstock.project import reading
from penstock.report.text import NOTHING, number, plural
from penstock.reported import read_report
from penstock.synthesis import Comparison, compare, find_reports, plan_of
from penstock.synthesis.values import as_values

Values = dict[str, Any]


def report_command(
    folder: Folder,
    synthesis: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Compare with what Vitis HLS reported in it; auto: where make csynth leaves it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a compile found out, or hold it against the reports of Vitis HLS."""
    if synthesis is None:
        with reading(folder):
            report = read_report(folder)
        if as_json:
            print_json(report)
        else:
            print_summary(report, str(folder))
        return
    comparison = _compared(folder, synthesis)
    values = as_values(comparison)
    if as_json:
        print_json(values)
    else:
        print_comparison(values)
    if not comparison.passed:
        raise typer.Exit(1)


def _compared(folder: Path, synthesis: str) -> Comparison:
    with reading(folder):
        plan = plan_of(folder, read_report(folder))
        return compare(plan, find_reports(folder, synthesis))


def print_comparison(values: Values) -> None:
    """Print ``synthesis.values``: tables, then a line for each thing that is not as planned."""
    say(f"{values['solution']}: {values['top'] or 'no csynth.xml'}"
        + (f" by {values['tool']} for {values['part']}" if values["top"] else ""))  # fmt: skip
    if values["top"]:
        _print_design(values)
    _print_accumulators(values["accumulators"])
    _print_latency(values["latency"])
    for open_ in values["unchecked"]:
        say(f"not checked: {open_}")
    for failure in values["failures"]:
        say_wrong(f"FAIL: {failure}")
    if values["passed"]:
        say("PASS: every loop has the planned II, and the accumulators the distance of the proof")


def _print_design(values: Values) -> None:
    clock = values["clock"]
    say(
        f"clock: {number(clock['target_ns'], 2)} ns wanted, {number(clock['estimated_ns'], 2)} ns "
        f"estimated, {number(clock['uncertainty_ns'], 2)} ns of uncertainty"
    )
    print_table(
        "resources", ("", "estimate", "synthesis", "ratio", "available"),
        [
            (NAMES[row["name"]], number(row["estimate"]), number(row["synthesis"]),
             number(row["ratio"], 2), number(row["available"]))
            for row in values["resources"]
        ],
    )  # fmt: skip
    say(f"estimate: {values['rules']}")
    rows = [row for loop in values["loops"] for row in _loop_rows(loop)]
    columns = ("loop", "module", "planned II", "II", "trip count", "depth")
    print_table("loops", columns, rows, words=2)


def _loop_rows(loop: Values) -> list[tuple[str, ...]]:
    planned = f"{loop['planned_ii']:,}"
    rows: list[tuple[str, ...]] = [
        (loop["name"], copy["module"], planned, number(copy["ii"]), _range(copy["trip_count"]),
         number(copy["depth"]))
        for copy in loop["copies"]
    ]  # fmt: skip
    return rows or [(loop["name"], NOTHING, planned, *3 * (NOTHING,))]


def _print_accumulators(found: Values) -> None:
    if not found["updates"]:
        return
    worst = max(found["updates"], key=lambda update: update["distance"])
    say(
        f"accumulators: loaded in stage {worst['load_stage']}, stored in stage "
        f"{worst['store_stage']} of {worst['function']}, so usable again after "
        f"{plural(found['distance'], 'word')}; the proof used {found['planned_distance']}"
    )


def _print_latency(latency: Values) -> None:
    step = latency["step"]
    say(
        f"cycles of a step: {latency['step_planned']:,} by the timeline"
        + (f", {_range(step)} by csynth (phases at their longest trip counts)" if step else "")
    )
    if latency["call"] is not None:
        best, average, worst = map(number, latency["call"])
        say(f"cycles of a call: {best} / {average} / {worst} by csynth (best, average, worst)")
    done = latency["simulated"]
    if done is not None:
        low, mean, high = map(number, done["call"])
        say(f"co-simulation, {done['language']}: {done['status']}; cycles of a call: "
            f"{low} / {mean} / {high} (least, mean, most)")  # fmt: skip
        if done["step"] is not None:
            say(f"cycles of a step: {number(done['step'])} in co-simulation, with what a call of "
                f"{plural(done['steps'], 'step')} loads and stores")  # fmt: skip


def _range(ends: Values | None) -> str:
    if ends is None:
        return NOTHING
    low, high = ends["low"], ends["high"]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
