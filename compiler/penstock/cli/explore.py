"""``penstock explore``."""

from __future__ import annotations

import functools
import inspect
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.choices import Frames, Reading
from penstock.cli.arguments import AsJson
from penstock.cli.options import with_options
from penstock.cli.output import Interrupted, printable, say
from penstock.cli.progress import told_progress
from penstock.errors import PenstockError
from penstock.exploration.axes import DENSITY, Field, known_fields, values_of
from penstock.option import words_of

if TYPE_CHECKING:
    from penstock.exploration import Exploration, Trainings

MOST_ROWS = 30
"""Of the table on the terminal, unless all are asked for."""
MOST_REASONS = 8


def with_axes(command: Callable[..., Any]) -> Callable[..., Any]:
    """``command`` with an option for each setting, in place of ``axes``: one value, or several."""
    signature = inspect.signature(command, eval_str=True)
    known = {**known_fields(), DENSITY.name: DENSITY}
    options = [_option(field) for field in known.values()]
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += options if parameter.name == "axes" else [parameter]

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        texts = {name: given.pop(f"axis_{name}") for name in known}
        given["axes"] = {
            name: values_of(known[name], text) for name, text in texts.items() if text is not None
        }
        return command(**given)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def _option(field: Field) -> inspect.Parameter:
    """Of a setting; its values are text until it is known which they are."""
    shown = "" if field.default in (None, False) else f" Default: {field.shown(field.default)}."
    return inspect.Parameter(
        f"axis_{field.name}", inspect.Parameter.KEYWORD_ONLY, default=None,
        annotation=Annotated[
            str | None,
            typer.Option(
                field.option, metavar="VALUES" if field.takes_lists else "TEXT",
                help=field.help + shown,
            ),
        ],
    )  # fmt: skip


@with_axes
@with_options(frames=Frames, reading=Reading)
def explore_command(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="What penstock compile takes; or, with --data, a FACTORY as for compress.",
        ),
    ],
    axes: dict[str, Any],
    target_us: Annotated[
        float | None, typer.Option(help="Microseconds that a step may take.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(metavar="BOARD", help="Build for this board, and take only what surely fits."),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(help="RMS error of the outputs over their RMS: 0.01 is 1 %."),
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(help="Accuracy (0.01 is a point), R2 or squared error that may be lost."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.html", help="Write a page with charts."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep results in this SQLite file, and find them again."),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", help="Processes; 0: as many as processors.")
    ] = 0,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of dask.distributed: its workers compute."),
    ] = None,
    given: dict[str, dict[str, Any]],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DATA.npz", help="Train for each density and width, on this data."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Of the training, as options of compress; may be repeated."
        ),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where trained checkpoints go.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Print all of the front.")] = False,
    as_json: AsJson = False,
) -> None:
    """Price many settings as compile would, and print those that no other betters.

    An option for a setting takes one value or several: --pes 8,16,32 or --weight-bits 8..12, with a
    step 100..300/50; auto is the compiler's choice. Without any, some PEs and weight bits are
    tried. Exit status 1: no point meets the constraints.
    """
    from penstock.exploration import explore

    _check_output(output)
    frames, reading = Frames(**given["frames"]), Reading(**given["reading"])
    with told_progress("points") as bar:
        try:
            found = explore(
                _trainings(file, data, recipe or [], models) if data is not None else Path(file),
                axes, **_arrays(frames), **_network(reading), target_us=target_us, fit=fit,
                max_error=max_error, max_loss=max_loss, jobs=jobs or None, scheduler=scheduler,
                store=store, progress=bar,
            )  # fmt: skip
        except KeyboardInterrupt:
            bar.close()
            kept = f"what was done is kept in {store}" if store else "without --store nothing is"
            raise Interrupted(kept) from None
    found = replace(found, given=(*words_of(frames), *words_of(reading)))
    if output is not None:
        found.write(output)
    if as_json:
        from penstock.exploration.values import as_values

        print(json.dumps(as_values(found), indent=1))
    else:
        _print(found, everything, output)
    if not found.front:
        raise typer.Exit(1)


def _arrays(frames: Frames) -> dict[str, Any]:
    """The arrays that are asked for, as ``penstock.explore`` takes them."""
    from penstock import Validation
    from penstock.arrays import read_array, read_arrays

    states, validate = frames.calibration_state, frames.validate
    return {
        "calibration": read_array(frames.calibration) if frames.calibration else None,
        "calibration_lengths": read_array(frames.calibration_lengths)
        if frames.calibration_lengths else None,
        "calibration_states": read_arrays(states) if states else None,
        "validation": Validation.of(read_arrays(validate), str(validate)) if validate else None,
    }  # fmt: skip


def _network(reading: Reading) -> dict[str, Any]:
    """How the network is to be read, as ``penstock.explore`` takes it."""
    from penstock import HeadOptions

    options = None
    if reading.head is not None or reading.head_activation is not None:
        options = HeadOptions(reading.head, reading.head_activation or "none")
    return {
        "head": options, "key": reading.key, "only": reading.only,
        "batch_first": not reading.time_first, "regression": reading.regression,
    }  # fmt: skip


def say_error(line: str) -> None:
    """One line on standard error."""
    typer.echo(printable(line, "?"), err=True)


def _check_output(output: Path | None) -> None:
    """Before anything is computed."""
    if output is None:
        return
    if output.suffix.lower() not in (".html", ".htm"):
        raise PenstockError(
            "the page is an .html file", str(output), f"name it {output.stem or 'page'}.html"
        )
    if not output.absolute().parent.is_dir():
        raise PenstockError(
            "there is no such folder", str(output.parent), "make it, or name another"
        )


def _print(found: Exploration, everything: bool, output: Path | None) -> None:
    from penstock.cli.tables import print_table
    from penstock.exploration.texts import columns, missed, row, settings_of

    rows = found.front if everything else found.front[:MOST_ROWS]
    if rows:
        print_table(
            f"{found.name}: {len(found.front):,} of {len(found.points):,} points are on the front",
            columns(found), [row(found, one) for one in rows], words=0,
        )  # fmt: skip
    if len(rows) < len(found.front):
        say(f"{len(found.front) - len(rows):,} more of them: --all, --json or -o FILE.html")
    counts = [f"{count:,} {state}" for state, count in found.counts.items() if count]
    say(f"points: {', '.join(counts)}")
    for state, reason, count in found.reasons[:MOST_REASONS]:
        say(f"  {count:,} {state}: {reason.removeprefix(f'{state}: ')}")
    others = sum(count for _, _, count in found.reasons[MOST_REASONS:])
    if others:
        say(f"  {others:,} for other reasons: see --json")
    if output is not None:
        say(f"page: {output}")
    if rows:
        words = ["penstock", "compile", found.model(rows[0]), "-o", "DIR", *found.options(rows[0])]
        say(f"next, for point {rows[0].point.number}: {shlex.join(words)}")
    elif found.nearest is not None:
        one = found.nearest
        say_error(
            f"no point meets the constraints; the nearest is {one.point.number} "
            f"({settings_of(found, one)}): {missed(found)}"
        )
    else:
        say_error("no point can be built: see above")


def _trainings(factory: str, data: Path, words: list[str], models: Path | None) -> Trainings:
    """How to train: a factory and options as ``penstock compress`` has them."""
    from penstock.cli.factory import load_factory

    if models is None:
        raise PenstockError(
            "trained checkpoints need a place", "--data", "name a folder: --models DIR"
        )
    make = load_factory(factory)
    try:
        from penstock.compress.dataset import load_dataset
        from penstock.compress.recipe import Recipe
        from penstock.exploration.trainings import Trainings, recipe_of
    except ModuleNotFoundError as missing:
        if missing.name != "torch":
            raise
        raise PenstockError(
            "a training needs PyTorch", "--data", "pip install 'penstock[torch]'"
        ) from missing
    recipe: Recipe = recipe_of(words)
    return Trainings(make, load_dataset(data, recipe.task), recipe, models, factory)
