"""``penstock csim`` and ``penstock check``: what C simulation says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.arrays import read_array
from penstock.cli.arguments import RAW_INPUT, AsJson, EngineName, Folder
from penstock.cli.output import print_json, say, say_wrong
from penstock.cli.progress import told_progress
from penstock.errors import PenstockError
from penstock.project import reading
from penstock_runtime import Interpreter
from penstock_runtime.compare import CheckResult
from penstock_runtime.compare import check as compare
from penstock_runtime.csim import CsimRun
from penstock_runtime.csim import csim as simulate
from penstock_runtime.engines import AUTO, REFERENCE
from penstock_runtime.saturated import lines, warn_of

SCHEMA = 1
Rules = dict[str, int] | None
"""Rules that a kernel breaks, and how often; None where lint can't run."""


def csim_command(folder: Folder, as_json: AsJson = False) -> None:
    """C simulation of a project's golden vectors: Vitis if it is on PATH, else g++."""
    with reading(folder), told_progress() as tell:
        tell("C simulation", 0, 1)
        done = simulate(folder)
    if as_json:
        print_json(csim_values(folder, done))
    else:
        (say if done.passed else say_wrong)(done.output.strip())
    if not done.passed:
        raise typer.Exit(1)


def csim_values(folder: Path, done: CsimRun) -> dict[str, Any]:
    """Plain values: schema (1), project (the folder), passed, output (of the test bench or of
    Vitis, as it was printed)."""
    return {
        "schema": SCHEMA, "project": os.fspath(folder), "passed": done.passed,
        "output": done.output,
    }  # fmt: skip


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
    as_json: AsJson = False,
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
        with told_progress("calls") as tell:
            result = compare(interpreter.project, steps, seed, own, None, tell, computed)
            tell("lint", 0, 1)
            broken = _broken_rules(folder) if result.passed else {}
    if frames is not None:
        warn_of([*frames.saturations, *result.saturations], str(source))
    if as_json:
        print_json(check_values(folder, result, interpreter.engine, broken))
    else:
        _print(result, interpreter.engine, broken)
        if result.passed and frames is not None:
            for line in lines([*frames.saturations, *result.saturations]):
                say(f"{source}: {line}")
        if result.passed and not broken:
            say("PASS: interpreter and C simulation agree to the last bit")
    if not result.passed or broken:
        raise typer.Exit(1)


def check_values(folder: Path, result: CheckResult, engine: str, broken: Rules) -> dict[str, Any]:
    """Plain values: schema (1), project (the folder), passed; constants (compared), calls, values
    {kind: how many were compared}, loops (pipelined, counted), difference (the first, in words, or
    null), edited [files]; engine (that was held against the reference); saturated (values of our
    own calls, as is meant), saturations [name, kind, count, of, first_step] of the user's; lint
    {rule: how often it is broken} (null: libclang is not installed).
    """
    return {
        "schema": SCHEMA, "project": os.fspath(folder),
        "passed": result.passed and not broken,
        "constants": result.constants, "calls": result.calls, "values": result.values,
        "loops": result.loops,
        "difference": None if result.difference is None else str(result.difference),
        "edited": list(result.edited), "engine": engine, "saturated": result.saturated,
        "saturations": [vars(one) for one in result.saturations], "lint": broken,
    }  # fmt: skip


def _print(result: CheckResult, engine: str, broken: Rules) -> None:
    values = ", ".join(f"{count:,} {kind}" for kind, count in result.values.items())
    total = sum(result.values.values())
    for name in result.edited:
        say(f"note: {name} was edited after the compiler wrote it")
    say(f"{result.constants:,} constants and table entries compared")
    say(f"{total:,} values compared in {result.calls} calls: {values or 'none'}")
    if result.loops and result.passed:
        say(f"{result.loops} pipelined loops went round as often as the timeline says")
    if not result.passed:
        say_wrong(f"FAIL: first difference: {result.difference}")
        return
    if result.saturated:
        say(f"{result.saturated:,} values were out of range in our own calls, as is meant")
    if engine != REFERENCE:
        say(f"the {engine} engine gives every value of these calls as the reference")
    if broken is None:
        say("lint: not run, for libclang is not installed: pip install 'penstock[lint]'")
    elif broken:
        counts = ", ".join(f"{count} {rule}" for rule, count in broken.items())
        say_wrong(
            f"FAIL: bits agree, but rules of synthesis are broken: {counts} (see penstock lint)"
        )
    else:
        say("lint: no rule is broken")


def _broken_rules(folder: Path) -> Rules:
    """What ``penstock lint`` finds; a kernel that breaks a rule does not pass."""
    from penstock_runtime.lint import broken_rules, is_available

    if not is_available():
        return None
    found = broken_rules(folder)
    return {rule: found.count(rule) for rule in dict.fromkeys(found)}
