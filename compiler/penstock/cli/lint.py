"""``penstock lint``: rules that a kernel breaks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.arguments import AsJson
from penstock.cli.output import print_json, say, say_wrong
from penstock.errors import PenstockError
from penstock.project import reading
from penstock_runtime.lint import Report, lint

SCHEMA = 1


def lint_command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A project folder written by compile.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules.")] = False,
    table: Annotated[
        bool, typer.Option("--table", help="List the accesses of every array in every pipeline.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look in a kernel's syntax tree for what Vitis HLS would stumble over."""
    if rules:
        _print_rules(as_json)
        return
    if folder is None:
        raise PenstockError("no folder was given", "lint", "penstock lint DIR")
    with reading(folder):
        report = lint(folder)
    if as_json:
        print_json(lint_values(folder, report))
    elif table:
        _say_table(report)
    for finding in report.findings if not as_json else ():
        say_wrong(finding.line())
    if report.findings:
        raise typer.Exit(1)
    if not table and not as_json:
        say("no rule is broken")


def lint_values(folder: Path, report: Report) -> dict[str, Any]:
    """Plain values: schema (1), project (the folder), passed; findings [file, line, rule, what,
    hint]; table [file, line, array, kind (of memory), banks, reads, writes (in a cycle), fits]:
    each array of each pipeline. With --rules: schema, rules [name, sentence, source].
    """
    return {
        "schema": SCHEMA, "project": os.fspath(folder), "passed": not report.findings,
        "findings": [
            {"file": one.at.file, "line": one.at.line, "rule": one.rule, "what": one.what,
             "hint": one.hint} for one in report.findings
        ],
        "table": [
            {"file": row.at.file, "line": row.at.line, "array": row.array, "kind": row.kind,
             "banks": row.banks, "reads": row.reads, "writes": row.writes, "fits": row.fits}
            for row in report.table
        ],
    }  # fmt: skip


def _print_rules(as_json: bool) -> None:
    from penstock_runtime.lint.finding import RULES

    if as_json:
        print_json({"schema": SCHEMA, "rules": [vars(rule) for rule in RULES]})
        return
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
