"""``penstock completion``."""

from __future__ import annotations

from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from penstock.cli.arguments import AsJson
from penstock.cli.output import COMPLETE, PROGRAM, print_json
from penstock.errors import PenstockError

LINES = {
    "bash": 'eval "$(penstock completion bash)"', "zsh": 'eval "$(penstock completion zsh)"',
    "fish": "penstock completion fish | source",
}  # fmt: skip
"""Shell -> what loads its completion."""
FILES = {
    "bash": "in ~/.bashrc", "zsh": "in ~/.zshrc, after compinit",
    "fish": "in ~/.config/fish/config.fish",
}  # fmt: skip


def completion_command(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL", help="bash, zsh or fish.", autocompletion=lambda: list(LINES)
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Print what completes commands, options and values in bash, zsh or fish.

    bash: eval "$(penstock completion bash)", in ~/.bashrc.

    zsh: eval "$(penstock completion zsh)", in ~/.zshrc, after compinit.

    fish: penstock completion fish | source, in ~/.config/fish/config.fish.
    """
    if shell not in LINES:
        raise PenstockError(
            f"there is no completion for {shell!r}", "completion",
            f"choose one of {', '.join(LINES)}",
        )  # fmt: skip
    script = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE, shell=shell)
    if as_json:
        print_json(completion_values(shell, script))
    else:
        print(script)


def completion_values(shell: str, script: str) -> dict[str, object]:
    """Plain values: schema (1), shell, script, line (that loads it in the shell's own file)."""
    return {"schema": 1, "shell": shell, "script": script, "line": LINES[shell]}
