"""The commands, their exit status, and what each prints as JSON: docs/command-line.md, from the code.

``python docs/command_line.py --write`` writes it; without the option it is printed.
"""

# ruff: noqa: E501
from __future__ import annotations

import sys
from inspect import cleandoc
from pathlib import Path

from penstock.cli.environment import Environment
from penstock.cli.main import COMMANDS, EXIT_STATUS
from penstock.differences import Differences
from penstock.exploration.values import as_values
from penstock.inspection import Inspection
from penstock.synthesis import values
from penstock_runtime.bench import table

PAGE = Path(__file__).with_name("command-line.md")
SCHEMAS = {
    "inspect FILE --json": Inspection.__doc__,
    "report DIR --synthesis FOLDER --json": values.__doc__,
    "diff A B --json": Differences.as_values.__doc__,
    "explore FILE --json": as_values.__doc__,
    "bench DIR --json": table.__doc__,
    "doctor --json": Environment.as_values.__doc__,
}
"""Command -> where what it prints is described."""
TEXT = """# Command line

Printed by `python docs/command_line.py --write` from the code; a test holds this page to it.

`penstock COMMAND --help` (or `-h`) lists the options of a command.

{commands}

## Exit status

{exit_status}

Bad input never gives a traceback: it gives one line on standard error, `error: WHAT (WHERE); hint: WHAT TO DO`.
Where the reader of a pipe leaves early, a command ends with 1, and says nothing.

## Tables

In a file or a pipe a row of a table is one line, unless `COLUMNS` says how wide a line may be. On a terminal that is too narrow,
headings are broken, and then each cell has a line of its own; nothing is cut. `NO_COLOR` is respected.

## JSON

With `--json`, a command prints one JSON value on standard output, and nothing else. Below, `name [a, b]` is a list of objects with
these keys, `name {{a, b}}` an object. `report.json` of a project is described in `penstock.report.report`.

{schemas}
"""


def schema(command: str, text: str | None) -> str:
    """A part of the page."""
    return f"### penstock {command}\n\n```text\n{cleandoc(text or '')}\n```"


def page() -> str:
    """The page as it must be."""
    commands = [f"| `{name}` | {summary} |" for name, (_, summary) in COMMANDS.items()]
    statuses = EXIT_STATUS.removeprefix("Exit status: ").rstrip(".").split("; ")
    rows = [f"| {status.replace(' ', ' | ', 1)} |" for status in statuses]
    return TEXT.format(
        commands="\n".join(["| command | |", "|---|---|", *commands]),
        exit_status="\n".join(["| status | |", "|---|---|", *rows]),
        schemas="\n\n".join(schema(command, text) for command, text in SCHEMAS.items()),
    )


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page())
