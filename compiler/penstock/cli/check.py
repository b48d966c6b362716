"""``penstock csim`` and ``penstock check``: what C simulation says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.arrays import read_array
from penstock.cli.arguments import RAW_INPUT, EngineName, Folder
from penstock.cli.output import say
from penstock.cli.progress import told_progress
from penstock.errors import PenstockError
from penstock.project import reading
from penstock_runtime import Interpreter
from penstock_runtime.compare import check as compare
from penstock_runtime.csim import csim as simulate
from penstock_runtime.engines import AUTO, REFERENCE
from penstock_runtime.saturated import lines, warn_of


def csim_command(folder: Folder) -> None:
    """C simulation of a project's golden vectors: Vitis if it is on PATH, else g++."""
    with reading(folder):
        done = simulate(folder)
    say(done.output.strip())
    if not done.passed:
        raise typer.Exit(1)


def check_command(
    folder: Folder,
    steps: Annotated[int, typer.Option(min=1, help="Steps per call.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random inputs.")] = 1,
    source: Annotated[
        Path | None, typer.Option("-i", "--input", help=".npy of sequences to check as well.")
    ] = None,
    lengths: Annotated[
        Path | None, typer.Option(help=".npy of each sequence's number of steps.")
    ] = None,
    raw_input: Annotated[bool, typer.Option("--raw-input", help=RAW_INPUT)] = False,
    engine: EngineName = AUTO,
) -> None:
    """Compare the interpreter with C simulation, every value of every step."""
    if lengths is not None and source is None:
        raise PenstockError("--lengths was given without --input", "check", "give both, or neither")
    with reading(folder):
        interpreter, frames = Interpreter(folder, engine), None
        if source is not None:
            counts = read_array(lengths) if lengths is not None else None
            frames = interpreter.frames.read(read_array(source), counts, raw_input=raw_input)
        own = (frames.raw, frames.lengths) if frames is not None else None
        computed = interpreter.engine, interpreter.executable
        with told_progress() as tell:
            result = compare(interpreter.project, steps, seed, own, None, tell, computed)
    values = ", ".join(f"{count:,} {kind}" for kind, count in result.values.items())
    total = sum(result.values.values())
    for name in result.edited:
        say(f"note: {name} was edited after the compiler wrote it")
    say(f"{result.constants:,} constants and table entries compared")
    say(f"{total:,} values compared in {result.calls} calls: {values or 'none'}")
    if result.loops and result.passed:
        say(f"{result.loops} pipelined loops went round as often as the timeline says")
    if not result.passed:
        say(f"FAIL: first difference: {result.difference}")
        raise typer.Exit(1)
    if result.saturated:
        say(f"{result.saturated:,} values were out of range in our own calls, as is meant")
    if frames is not None:
        counted = [*frames.saturations, *result.saturations]
        for line in lines(counted):
            say(f"{source}: {line}")
        warn_of(counted, str(source))
    if interpreter.engine != REFERENCE:
        say(f"the {interpreter.engine} engine gives every value of these calls as the reference")
    _lint(folder)
    say("PASS: interpreter and C simulation agree to the last bit")


def _lint(folder: Path) -> None:
    """What ``penstock lint`` finds, in one line; a kernel that breaks a rule does not pass."""
    from penstock_runtime.lint import broken_rules, is_available

    if not is_available():
        say("lint: not run, for libclang is not installed: pip install 'penstock[lint]'")
        return
    with reading(folder):
        found = broken_rules(folder)
    if found:
        counts = ", ".join(f"{found.count(rule)} {rule}" for rule in dict.fromkeys(found))
        say(f"FAIL: bits agree, but rules of synthesis are broken: {counts} (see penstock lint)")
        raise typer.Exit(1)
    say("lint: no rule is broken")
