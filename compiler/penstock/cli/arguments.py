"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A project folder written by penstock compile.")
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine", metavar="NAME", help="What computes: auto, native or numpy; the same bits."
    ),
]
RAW_INPUT = "The input holds raw integers of the input type, not real numbers."
