"""The commands, their settings, exit status, and what each prints as JSON: docs/command-line.md.

All from the code.

``python docs/command_line.py --write`` writes it; without the option it is printed.
"""

# ruff: noqa: E501
from __future__ import annotations

import sys
from inspect import cleandoc
from pathlib import Path

from penstock.cli.check import check_values, csim_values
from penstock.cli.completion import FILES, LINES, completion_values
from penstock.cli.compress import compress_values, sensitivity_values
from penstock.cli.environment import Environment
from penstock.cli.export import export_values
from penstock.cli.lint import lint_values
from penstock.cli.main import COMMANDS, EXIT_STATUS
from penstock.cli.run import run_values
from penstock.cli.summary import compile_values
from penstock.config import TABLES
from penstock.differences import Differences
from penstock.exploration.values import as_values
from penstock.inspection import Inspection
from penstock.option import REPEATED, Kind, Setting, settings_of
from penstock.report import report
from penstock.synthesis import values
from penstock_runtime.bench import table

PAGE = Path(__file__).with_name("command-line.md")
SCHEMAS = {
    "inspect FILE --json": Inspection.__doc__,
    "compress FACTORY DATA -o FILE --json": compress_values.__doc__,
    "sensitivity FACTORY DATA --json": sensitivity_values.__doc__,
    "compile MODEL -o DIR --json": compile_values.__doc__,
    "run DIR -i FILE -o FILE --json": run_values.__doc__,
    "csim DIR --json": csim_values.__doc__,
    "check DIR --json": check_values.__doc__,
    "lint DIR --json": lint_values.__doc__,
    "export DIR -o FILE --json": export_values.__doc__,
    "report DIR --json": report.__doc__,
    "report DIR --synthesis FOLDER --json": values.__doc__,
    "diff A B --json": Differences.as_values.__doc__,
    "explore FILE --json": as_values.__doc__,
    "bench DIR --json": table.__doc__,
    "doctor --json": Environment.as_values.__doc__,
    "completion SHELL --json": completion_values.__doc__,
}
"""Command -> where what it prints is described."""
TEXT = """# Command line

Printed by `python docs/command_line.py --write` from the code; a test holds this page to it.

`penstock COMMAND --help` (or `-h`) lists the options of a command.

{commands}

Every command takes

* `-q`, `--quiet`: print only what is wrong; the exit status says the rest.
* `-v`, `--verbose`: print each stage of the work to standard error, with the seconds since the start.
* `--json`: print one JSON value on standard output, and nothing else; see below.

What takes longer than a second shows how far it is, and how fast, on standard error: only on a terminal, and gone when it has ended.

Commands, options and values are completed by

```sh
{completion}
```

## Settings

Of `penstock compile`, in its options, in `penstock.toml` and in Python: the fields of `penstock.Hardware` and `penstock.Precision`,
of which this list is printed. What has no default is left to the compiler, to the board or to the file.

Where bits are asked for, a type may stand, too. It is written `s16.12`: signed, 16 bits, 12 of them fraction (`u` for unsigned),
rounded to nearest and saturated; `s16.12 TRN WRAP` names other modes of `ap_fixed`.

{settings}

## penstock.toml

    penstock compile --config penstock.toml

takes everything from a file that is not said on the command line: four tables, whose keys are the settings above. Options override the
file, one by one (`--no-row-scales` switches a flag off). Unknown keys and values of another type are refused, with the nearest name.

```toml
[files]                        # relative to the folder of penstock.toml
model = "model.pt"
output = "project"
calibration = "frames.npy"

[network]
head = "last"

[hardware]
board = "kv260"
lanes = 2

[precision]
weights = 8
overrides = {{ "l0.c" = "s18.12" }}
```

**Every project has its own**, with all settings as they were in effect; what was left open is a comment that shows what the compiler
chose. `penstock compile --config project/penstock.toml` makes the project again, in place or with `-o` elsewhere, byte for byte, of
the same files with the same versions. It names the files without their folders (a project holds no absolute path), with a SHA-256 of
each in the table `[sha256]`: they are looked for in the project, in the folder that holds it, and in the current one. A file that is
another is refused; one that is named on the command line counts, and a warning says that it is another. `report.json` has the same
under `provenance`, with versions and the command.

## Exit status

{exit_status}

Bad input never gives a traceback: it gives one line on standard error, `error: WHAT (WHERE); hint: WHAT TO DO`.
Where the reader of a pipe leaves early, a command ends with 1, and says nothing. Ctrl-C ends a command at any moment, with one line and
nothing half-written; `compress` goes on from the last epoch when it is called again.

## Tables

In a file or a pipe a row of a table is one line, unless `COLUMNS` says how wide a line may be. On a terminal that is too narrow,
headings are broken, and then each cell has a line of its own; nothing is cut. `NO_COLOR` is respected.

## JSON

With `--json`, a command prints one JSON value on standard output, and nothing else. Below, `name [a, b]` is a list of objects with
these keys, `name {{a, b}}` an object. Messages and progress go to standard error; the exit status is the same as without `--json`.

{schemas}
"""


def schema(command: str, text: str | None) -> str:
    """A part of the page."""
    return f"### penstock {command}\n\n```text\n{cleandoc(text or '')}\n```"


def settings() -> str:
    """A table for each class of settings."""
    titles = {
        "files": "Files: `[files]`", "network": "Network: `[network]`",
        "hardware": "Hardware: `[hardware]`, `penstock.Hardware`",
        "precision": "Number formats: `[precision]`, `penstock.Precision`",
    }  # fmt: skip
    parts = []
    for name, owner in TABLES.items():
        rows = [row(setting) for setting in settings_of(owner).values()]
        parts += [
            f"### {titles[name]}",
            "\n".join(["| option | key, field | default | |", "|---|---|---|---|", *rows]),
        ]
    return "\n\n".join(parts)


def row(setting: Setting) -> str:
    """A setting."""
    names = ", ".join(f"`{name}`" for name in setting.names)
    default = setting.default
    if default is None or setting.kind in REPEATED:
        default = ""
    elif setting.kind is Kind.FLAG:
        default = str(default).lower()
    return f"| {names} | `{setting.name}` | {default} | {setting.option.help} |"


def page() -> str:
    """The page as it must be."""
    commands = [f"| `{name}` | {summary} |" for name, (_, summary) in COMMANDS.items()]
    statuses = EXIT_STATUS.removeprefix("Exit status: ").rstrip(".").split("; ")
    rows = [f"| {status.replace(' ', ' | ', 1)} |" for status in statuses]
    return TEXT.format(
        commands="\n".join(["| command | |", "|---|---|", *commands]),
        exit_status="\n".join(["| status | |", "|---|---|", *rows]),
        completion="\n".join(f"{line:35} # {FILES[shell]}" for shell, line in LINES.items()),
        settings=settings(),
        schemas="\n\n".join(schema(command, text) for command, text in SCHEMAS.items()),
    )


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page())
