"""``penstock compile``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.choices import Files, Network
from penstock.cli.arguments import AsJson
from penstock.cli.options import with_options
from penstock.cli.output import print_json, printable
from penstock.cli.progress import told_progress
from penstock.config import CONFIG, TABLES, Config, Given, Source, read_config
from penstock.errors import PenstockError, warn
from penstock.option import settings_of
from penstock.settings import Hardware, Precision

if TYPE_CHECKING:
    from penstock.driver import Compiled

OF_INPUT = tuple(name for name in settings_of(Files) if name != "output")


@with_options(files=Files, network=Network, hardware=Hardware, precision=Precision)
def compile_command(
    *,
    given: Given,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Take what is not given here from a penstock.toml, such as that of a project.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace emitted files even if they were edited.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compile a checkpoint, an ONNX model or a program of torch.export into a Vitis HLS project.

    Then compare it with the float network.
    """
    from penstock.project import check_target

    base = Config(Path(CONFIG), {table: {} for table in TABLES})
    base = base if config is None else read_config(config)
    output = given["files"].pop("output", None)
    if not given["files"].get("model") and not base.given["files"].get("model"):
        raise PenstockError(
            "there is nothing to compile", "compile", "penstock compile MODEL -o DIR, or --config"
        )
    output = output or _output_of(base)
    check_target(output, overwrite)
    settings = {
        table: TABLES[table](**base.given[table] | given[table]) for table in TABLES
        if table != "files"
    }  # fmt: skip
    has_precision = base.given["precision"] or given["precision"]
    files = {name: path for name in OF_INPUT if (path := _file(name, base, given["files"]))}
    # What is no file is refused where it is read.
    sources = {name: Source.of(path) for name, path in files.items() if path.is_file()}
    _warn_of_others(sources, files, base)
    with told_progress() as tell:
        compiled = _compiled(
            files, settings["network"], settings["hardware"],
            settings["precision"] if has_precision else None, sources, tell,
        )  # fmt: skip
        tell("writing the project", 1, 1)
        compiled.write(output, overwrite)
    _print(compiled, output, as_json)


def _output_of(config: Config) -> Path:
    """Where the file says, or the project that it is in. Raises PenstockError."""
    from penstock.marker import MARKER

    home, output = config.path.parent, config.given["files"].get("output")
    if isinstance(output, Path):
        return home / output
    if config.path.name == CONFIG and (home / MARKER).is_file() and config.given["files"]:
        return home
    raise PenstockError("there is no folder to write the project to", "compile", "name one: -o DIR")


def _file(name: str, config: Config, given: dict[str, Path]) -> Path | None:
    return given[name] if name in given else config.file(name)


def _warn_of_others(sources: dict[str, Source], files: dict[str, Path], config: Config) -> None:
    """What was given on the command line counts, and need not be what the project was made of."""
    for name, source in sources.items():
        if config.sha256.get(name, source.sha256) != source.sha256:
            warn(f"{files[name]} is not the {name} of {config.path}: its sha256 differs")


def _compiled(
    files: dict[str, Path], network: Network, hardware: Hardware, precision: Precision | None,
    sources: dict[str, Source], tell: Any,
) -> Compiled:  # fmt: skip
    from penstock import HeadOptions, Validation, compile_checkpoint
    from penstock.arrays import read_array, read_arrays

    model = files["model"]
    calibration, lengths, state, validate = map(
        files.get, ("calibration", "calibration_lengths", "calibration_state", "validate")
    )
    return compile_checkpoint(
        model, None if calibration is None else read_array(calibration), hardware,
        precision, HeadOptions.of(network),
        batch_first=not network.time_first,
        name=printable(model.stem, "_"),  # goes into comments of the sources
        calibration_name=str(calibration or model),
        key=network.key, only=network.only,
        calibration_lengths=None if lengths is None else read_array(lengths),
        calibration_states=None if state is None else read_arrays(state),
        validation=None if validate is None
        else Validation.of(read_arrays(validate), str(validate)),
        strict=network.strict, regression=network.regression, sources=sources, tell=tell,
    )  # fmt: skip


def _print(compiled: Compiled, output: Path, as_json: bool) -> None:
    from penstock.cli.summary import compile_values, print_summary

    if as_json:
        print_json(compile_values(compiled.report, os.fspath(output)))
    else:
        print_summary(compiled.report, str(output))
