"""``penstock completion``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from penstock.cli.arguments import AsJson
from penstock.cli.output import COMPLETE, PROGRAM, print_json


class Shell(StrEnum):
    """Those that complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


HOW = {
    Shell.BASH: 'eval "$(penstock completion bash)"    # in ~/.bashrc',
    Shell.ZSH: 'eval "$(penstock completion zsh)"     # in ~/.zshrc, after compinit',
    Shell.FISH: "penstock completion fish | source    # in ~/.config/fish/config.fish",
}


def completion_command(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
    as_json: AsJson = False,
) -> None:
    """Print what completes commands, options and values in bash, zsh or fish.

    In ~/.bashrc: eval "$(penstock completion bash)". In ~/.zshrc, after compinit: the same with
    zsh. In ~/.config/fish/config.fish: penstock completion fish | source.
    """
    script = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE, shell=shell.value)
    if as_json:
        print_json(completion_values(shell, script))
    else:
        print(script)


def completion_values(shell: Shell, script: str) -> dict[str, object]:
    """Plain values: schema (1), shell, script, line (that loads it in the shell's own file)."""
    line, _, _ = HOW[shell].partition("  ")
    return {"schema": 1, "shell": shell.value, "script": script, "line": line}
