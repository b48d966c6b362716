"""``penstock doctor``."""

from __future__ import annotations

import typer

from penstock.cli.arguments import AsJson
from penstock.cli.environment import BASICS, Environment, examine
from penstock.cli.output import print_json, say, say_wrong
from penstock.version import __version__


def doctor_command(
    as_json: AsJson = False,
) -> None:
    """Look for what Penstock needs here, and say what each missing part costs.

    Exit status 0 if the basics work (compile, run and csim), else 1.
    """
    found = examine()
    if as_json:
        print_json(found.as_values())
    else:
        _print(found)
    if not found.is_ready:
        raise typer.Exit(1)


def _print(found: Environment) -> None:
    say(f"Penstock {__version__}")
    for item in found.items:
        say(f"{item.state:8} {item.name}{': ' if item.found else ''}{item.found}")
        if not item.is_ok:
            say(f"         costs: {item.costs}")
            say(f"         get it: {item.remedy}")
    broken = [command for command in BASICS if not found.works(command)]
    if broken:
        say_wrong(f"FAIL: {', '.join(broken)} can't work here; what they need is told above")
    else:
        say(f"PASS: {', '.join(BASICS)} work here")
