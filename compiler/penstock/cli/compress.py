"""``penstock compress``: for people without a training loop."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from penstock.errors import PenstockError

out = Console(highlight=False, soft_wrap=True)


def compress_command(
    factory: Annotated[
        str, typer.Argument(metavar="FACTORY", help="file.py:function or package.module:function.")
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help=".npz with x_train, y_train, x_valid, y_valid.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors checkpoint.")],
    task: Annotated[
        str, typer.Option(help="classification, labelling or language-model.")
    ] = "classification",
    pattern: Annotated[
        str, typer.Option(help="unstructured, pe_balanced, bank_balanced or column_balanced.")
    ] = "pe_balanced",
    pes: Annotated[int, typer.Option(help="Processing elements to balance over.")] = 8,
    bank: Annotated[int | None, typer.Option(help="Columns of a bank, for bank_balanced.")] = None,
    density: Annotated[float, typer.Option(help="Weights that stay, over all.")] = 0.1,
    weight_bits: Annotated[int, typer.Option(help="Bits of a weight, 2 to 16.")] = 12,
    activation_bits: Annotated[int, typer.Option(help="Bits of inputs, gates and y.")] = 16,
    dense_epochs: Annotated[int, typer.Option(help="Epochs before pruning.")] = 30,
    prune_epochs: Annotated[int, typer.Option(help="Epochs of pruning and retraining.")] = 30,
    qat_epochs: Annotated[int, typer.Option(help="Epochs of training in fixed point.")] = 5,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 2e-3,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a batch.")] = 64,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without progress, then stop.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn.")] = 0,
    head: Annotated[str, typer.Option(help="A classifier's head runs at: last or final.")] = "last",
) -> None:
    """Train, prune, retrain and quantize a model; save a checkpoint that compiles as it is."""
    if output.suffix != ".safetensors":
        raise PenstockError(
            "a compressed checkpoint is a .safetensors file", str(output), "name it so"
        )
    make = load_factory(factory)
    try:
        from penstock.compress.dataset import load_dataset
        from penstock.compress.recipe import Recipe, run_recipe
    except ModuleNotFoundError as missing:
        if missing.name != "torch":
            raise
        hint = "pip install 'penstock[torch]'"
        raise PenstockError("penstock compress needs PyTorch", "training", hint) from missing
    recipe = Recipe(
        task, pattern, pes, bank, density, weight_bits, activation_bits, dense_epochs,
        prune_epochs, qat_epochs, rate, batch, patience, seed, head,
    )  # fmt: skip
    outcome = run_recipe(make, load_dataset(data, task), recipe, output, out.print)
    table = Table("model", "loss", "accuracy", title=f"on the {outcome.split} set")
    for name, (loss, accuracy) in outcome.scores.items():
        table.add_row(name, f"{loss:.4f}", f"{accuracy:.2%}")
    out.print(table)
    out.print(f"{output}: density {outcome.density:.1%}; now: penstock compile {output} -o DIR")


def load_factory(text: str) -> Callable[[], Any]:
    """The function that ``file.py:function`` or ``package.module:function`` names.

    Raises PenstockError if there is none.
    """
    source, colon, name = text.rpartition(":")
    if not colon or not source or not name:
        raise PenstockError(
            f"{text!r} names no factory", "FACTORY", "give file.py:function or module:function"
        )
    try:
        module = _load_file(Path(source)) if source.endswith(".py") else _load_module(source)
    except PenstockError:
        raise
    except Exception as error:  # it is the user's program that runs here
        raise PenstockError(
            f"{source} can't be loaded: {type(error).__name__}: {error}", "FACTORY", "run it alone"
        ) from error
    made = getattr(module, name, None)
    if not callable(made):
        raise PenstockError(f"{source} has no function {name}", "FACTORY", "check its name")
    found: Callable[[], Any] = made
    return found


def _load_module(name: str) -> Any:
    sys.path.insert(0, "")
    return importlib.import_module(name)


def _load_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise PenstockError("there is no such file", str(path), "check the path")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
