"""``penstock bench``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from penstock.cli.arguments import AsJson, Folder
from penstock.cli.output import print_json, say
from penstock.cli.progress import told_progress
from penstock.cli.tables import print_table
from penstock.report.text import plural
from penstock_runtime.bench import Measuring, performance

EMPTY = ""
PUBLISHED = "ESE, as published"
Values = dict[str, Any]


def bench_command(
    folder: Folder,
    ese: Annotated[bool, typer.Option("--ese", help="Show ESE's figures for any network.")] = False,
    no_cpu: Annotated[bool, typer.Option("--no-cpu", help="Measure nothing on the CPU.")] = False,
    sequences: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Side by side where measured. Default: the lanes."),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="Samples; medians are shown.")] = 9,
    as_json: AsJson = False,
) -> None:
    """Print the performance table of a project: as planned, as measured here, as ESE published."""
    measuring = Measuring(not no_cpu, sequences, repeat, ese)
    with told_progress() as tell:
        values = performance(folder, measuring, tell)
    if as_json:
        print_json(values)
        return
    _print_planned(values)
    if values["measured"]:
        _print_measured(values)
    if values["published"] is not None:
        _print_published(values["published"])
    for note in values["notes"]:
        say(f"note: {note}")


def _print_planned(values: Values) -> None:
    """ESE's published figures are a row of their own."""
    hardware, published = values["hardware"], values["published"]
    rows = [_planned_cells(row) for row in values["planned"]]
    if published is not None:
        figures = (published["step_us"], published["gops"], published["dense_gops"])
        rows.append((PUBLISHED, *5 * (EMPTY,), *(f"{figure:,g}" for figure in figures)))
    print_table(
        f"{values['project']}, planned: {hardware['pes']} PEs, "
        f"{plural(hardware['lanes'], 'lane')}, {hardware['clock_mhz']:g} MHz, {hardware['part']}",
        ("matrix", "size", "density", "non-zeros", "bytes", "theoretical us", "scheduled us",
         "GOP/s", "as if dense"),
        rows,
    )  # fmt: skip


def _planned_cells(row: Values) -> tuple[str, ...]:
    size = f"{row['weights']:,}"
    if row["rows"] is not None:
        size = f"{row['rows']:,} x {row['columns']:,}"
    return (
        row["name"], size, f"{100 * row['density']:.1f} %", f"{row['nonzeros']:,}",
        f"{row['bytes']:,.0f}", f"{row['theoretical_us']:,.2f}", f"{row['scheduled_us']:,.2f}",
        f"{row['gops']:,.2f}", f"{row['dense_gops']:,.1f}",
    )  # fmt: skip


def _print_measured(values: Values) -> None:
    """A column for each contender; its energy stands in the last row."""
    measured = values["measured"]
    names = [row["name"] for row in values["planned"]]
    rows = [
        [name, *(_us(one["us"][index] if one["us"] else None) for one in measured)]
        for index, name in enumerate(names[:-1])
    ]
    rows.append([f"{names[-1]}, us", *(_us(one["step_us"]) for one in measured)])
    if any(one["step_mj"] is not None for one in measured):
        rows.append(["energy of a step, mJ", *(_us(one["step_mj"]) for one in measured)])
    print_table(
        f"measured on {values['machine']}, {values['sequences']} side by side: us",
        ("matrix", *map(_contender, measured)), rows,
    )  # fmt: skip


def _contender(row: Values) -> str:
    threads = row["threads"]
    if threads is None:
        return str(row["contender"])
    return f"{row['contender']}, {plural(threads, 'thread')}"


def _us(value: float | None) -> str:
    return EMPTY if value is None else f"{value:,.2f}"


def _print_published(found: Values) -> None:
    say(
        f"{PUBLISHED} in {found['source']}, not measured here: {found['device']} at "
        f"{found['clock_mhz']:g} MHz and {found['watts']:g} W, {found['sequences']} sequences at "
        "once; its time is that of the hardware"
    )
    efficient = found["times_the_energy_efficiency_of"]
    for device, times in found["times_faster_than"].items():
        say(
            f"{PUBLISHED}: {times:g} times as fast as {device}, {efficient[device]:g} times its "
            "energy efficiency"
        )
