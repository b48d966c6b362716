"""``penstock lint``: rules that a kernel breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.output import say
from penstock.errors import PenstockError
from penstock.project import reading
from penstock_runtime.lint import Report, lint


def lint_command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A project folder written by compile.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules.")] = False,
    table: Annotated[
        bool, typer.Option("--table", help="List the accesses of every array in every pipeline.")
    ] = False,
) -> None:
    """Look in a kernel's syntax tree for what Vitis HLS would stumble over."""
    if rules:
        _say_rules()
        return
    if folder is None:
        raise PenstockError("no folder was given", "lint", "penstock lint DIR")
    with reading(folder):
        report = lint(folder)
    if table:
        _say_table(report)
    for finding in report.findings:
        say(finding.line())
    if report.findings:
        raise typer.Exit(1)
    if not table:
        say("no rule is broken")


def _say_rules() -> None:
    from penstock_runtime.lint.finding import RULES

    for rule in RULES:
        say(f"{rule.name}: {rule.sentence} ({rule.source})")


def _say_table(report: Report) -> None:
    say(f"{'place':30} {'array':28} {'kind':10} {'banks':>6} {'reads':>6} {'writes':>6}  ports")
    from penstock_runtime.lint.storage import PORTS

    for row in report.table:
        ports = PORTS[row.kind] + ("" if row.fits else ": too few")
        say(
            f"{row.at!s:30} {row.array:28} {row.kind:10} {row.banks:6,} {row.reads:6,} "
            f"{row.writes:6,}  {ports}"
        )
