"""``penstock compress``: for people without a training loop."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from penstock.cli.arguments import AsJson
from penstock.cli.factory import load_factory, with_weights
from penstock.cli.output import print_json, say
from penstock.cli.progress import Bar, told_progress
from penstock.cli.tables import print_table
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.compress.groups import InBanks
    from penstock.compress.pruner import MatrixSummary
    from penstock.compress.recipe import Outcome
    from penstock.compress.sensitivity import Sensitivity
    from penstock.compress.training import Update

SCHEMA = 1

Factory = Annotated[
    str, typer.Argument(metavar="FACTORY", help="file.py:function or package.module:function.")
]
DataFile = Annotated[
    Path, typer.Argument(metavar="DATA", help=".npz with x_train, y_train, x_valid, y_valid.")
]
Task = Annotated[str, typer.Option(help="classification, labelling, language-model or regression.")]
Weights = Annotated[
    Path | None, typer.Option(help="Checkpoint to start from, for the factory's module.")
]
PatternName = Annotated[
    str, typer.Option(help="unstructured, pe_balanced, bank_balanced or column_balanced.")
]
Pes = Annotated[int, typer.Option(help="Processing elements to balance over.")]
Bank = Annotated[int | None, typer.Option(help="Columns per bank, for bank_balanced.")]
Banks = Annotated[
    int | None,
    typer.Option(help="Banks of the hardware, of --dataflow bank, for bank_balanced."),
]
Batch = Annotated[int, typer.Option(min=1, help="Sequences per batch.")]


def compress_command(
    factory: Factory,
    data: DataFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The .safetensors checkpoint to write.")
    ],
    task: Task = "classification",
    weights: Weights = None,
    pattern: PatternName = "pe_balanced",
    pes: Pes = 8,
    bank: Bank = None,
    banks: Banks = None,
    density: Annotated[float, typer.Option(help="Share of weights kept, over all matrices.")] = 0.1,
    densities: Annotated[
        Path | None,
        typer.Option(help="Per-matrix densities, as saved by penstock sensitivity."),
    ] = None,
    weight_bits: Annotated[int, typer.Option(help="Bits of a weight, 2 to 16.")] = 12,
    activation_bits: Annotated[
        int, typer.Option(help="Bits of inputs, gates and y, 8 to 16.")
    ] = 16,
    row_scales: Annotated[
        bool,
        typer.Option("--row-scales", help="Give every row of a matrix its own power-of-two scale."),
    ] = False,
    learn_ranges: Annotated[
        bool, typer.Option("--learn-ranges", help="Also train the binary points.")
    ] = False,
    dense_epochs: Annotated[int, typer.Option(min=0, help="Epochs before pruning.")] = 30,
    prune_epochs: Annotated[
        int, typer.Option(min=1, help="Epochs of pruning and retraining.")
    ] = 30,
    qat_epochs: Annotated[int, typer.Option(min=0, help="Epochs of fixed-point training.")] = 5,
    rate: Annotated[float, typer.Option(help="Initial learning rate; decays to zero.")] = 2e-3,
    batch: Batch = 64,
    patience: Annotated[
        int, typer.Option(min=1, help="Stop after so many epochs without progress.")
    ] = 8,
    distill: Annotated[
        float, typer.Option(help="Share of the loss that comes from the dense network's outputs.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    loss: Annotated[str, typer.Option(help="Of a regression: mse or mae.")] = "mse",
    as_json: AsJson = False,
) -> None:
    """Train, prune, retrain and quantize a model; save a checkpoint that compiles as it is."""
    if output.suffix != ".safetensors":
        raise PenstockError(
            "a compressed checkpoint must be a .safetensors file", str(output), "rename it"
        )
    make = with_weights(load_factory(factory), weights)
    try:
        from penstock.compress.dataset import load_dataset
        from penstock.compress.recipe import Recipe, run_recipe
        from penstock.compress.training import loss_text, score_name, score_text
    except ModuleNotFoundError as missing:
        raise _without_torch("penstock compress", missing) from missing
    recipe = Recipe(
        task=task, pattern=pattern, pes=pes, bank=bank, banks=banks, density=density,
        densities=read_densities(densities) if densities else {}, weight_bits=weight_bits,
        activation_bits=activation_bits, row_scales=row_scales, learn_ranges=learn_ranges,
        dense_epochs=dense_epochs, prune_epochs=prune_epochs, qat_epochs=qat_epochs, rate=rate,
        batch=batch, patience=patience, distill=distill, seed=seed, loss=loss,
    )  # fmt: skip
    try:
        with told_progress("batches") as tell:
            outcome = run_recipe(
                make,
                load_dataset(data, task),
                recipe,
                output,
                (lambda line: None) if as_json else say,
                partial(_tell, tell),
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "run the same command again to resume from the last complete epoch"
        ) from None
    then = shlex.join(["penstock", "compile", str(output), "-o", "DIR"])
    then += " --dataflow bank" * (banks is not None)
    if as_json:
        print_json(compress_values(task, outcome, then))
        return
    print_table(
        f"on the {outcome.split} set", ("model", "loss", score_name(task)),
        [
            (name, loss_text(task, found), score_text(task, accuracy))
            for name, (found, accuracy) in outcome.scores.items()
        ],
    )  # fmt: skip
    for line in in_banks(outcome.matrices):
        say(line)
    for remark in outcome.remarks():
        say(f"note: {remark}")
    say(f"{output}: density {outcome.density:.1%}; now: {then}")


def in_banks(rows: list[MatrixSummary]) -> Iterator[str]:
    """What matrices that share banks keep in each of them; nothing of other patterns."""
    shared: dict[tuple[str, ...], list[tuple[MatrixSummary, InBanks]]] = {}
    for row in rows:
        if row.in_banks is not None:
            shared.setdefault(row.in_banks.matrices, []).append((row, row.in_banks))
    names = Counter(name for group in shared for name in group)
    for group, own in shared.items():
        title = " and ".join(group)
        if max(names[name] for name in group) > 1:  # other gates share them in another way
            gates = dict.fromkeys(row.matrix.partition(", gate ")[2] for row, _ in own)
            title += f", gate{'s' * (len(gates) > 1)} {', '.join(gates)}"
        least = min(found.min_per_bank for _, found in own)
        most = max(found.max_per_bank for _, found in own)
        told = f"{least} to {most}" if least < most else f"{most}"
        sizes = [row.shape[0] * row.shape[1] for row, _ in own]
        kept = sum(row.density * size for (row, _), size in zip(own, sizes, strict=True))
        weights = "weight" if most == 1 else "weights"
        yield f"{title}: {told} {weights} of a row in each bank, density {kept / sum(sizes):.1%}"


def compress_values(task: str, outcome: Outcome, then: str) -> dict[str, Any]:
    """Plain values: schema (1), output (the checkpoint), task, split (of the data, that was
    measured on: valid or test), scores [model (dense, pruned, quantized, trained quantized), loss,
    score (accuracy, or R2 of a regression)] (null: not a finite number), density (of all matrices),
    banks [sentences, of a network that is pruned for banks: what they keep of the matrices that
    share them], remarks [sentences], command (what to run next).
    """
    return {
        "schema": SCHEMA, "output": str(outcome.checkpoint), "task": task, "split": outcome.split,
        "scores": [
            {"model": name, "loss": _finite(loss), "score": _finite(score)}
            for name, (loss, score) in outcome.scores.items()
        ],
        "density": outcome.density, "banks": list(in_banks(outcome.matrices)),
        "remarks": outcome.remarks(), "command": then,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _tell(tell: Bar, update: Update) -> None:
    """Move the bar on: a stage's batches are counted epoch by epoch."""
    tell(
        f"{update.stage} {update.epoch + 1}/{update.epochs}", update.number, update.of,
        f"loss {update.loss:.4f}",
    )  # fmt: skip


def _without_torch(what: str, missing: ModuleNotFoundError) -> Exception:
    if missing.name != "torch":
        return missing
    return PenstockError(f"{what} needs PyTorch", "training", "pip install 'penstock[torch]'")


class _Densities(msgspec.Struct):
    """The part of sensitivity's file that ``compress`` reads."""

    densities: dict[
        Annotated[str, msgspec.Meta(max_length=1000)], Annotated[float, msgspec.Meta(gt=0, le=1)]
    ]


def read_densities(path: Path) -> dict[str, float]:
    """``densities`` of a file that ``penstock sensitivity`` wrote. Raises PenstockError."""
    hint = "give the .json file of penstock sensitivity --density"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Densities).densities
    except OSError as error:
        raise PenstockError(
            f"the densities can't be read: {error.strerror}", str(path), "check the path"
        ) from error
    except msgspec.ValidationError as error:
        raise PenstockError(f"the file holds no densities: {error}", str(path), hint) from error
    except (RecursionError, ValueError) as error:
        raise PenstockError("the file holds no densities", str(path), hint) from error


def sensitivity_command(
    factory: Factory,
    data: DataFile,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write all measurements to this .json file."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot: .png, .svg or .pdf.")] = None,
    task: Task = "classification",
    weights: Weights = None,
    pattern: PatternName = "pe_balanced",
    pes: Pes = 8,
    bank: Bank = None,
    banks: Banks = None,
    densities: Annotated[
        str, typer.Option(help="Densities to measure, separated by commas.")
    ] = "0.5,0.3,0.2,0.1,0.05",
    bits: Annotated[
        str, typer.Option(help="Weight widths in bits to measure, separated by commas.")
    ] = "8,6,4,3,2",
    density: Annotated[
        float | None, typer.Option(help="Also choose each matrix's density, for this one over all.")
    ] = None,
    batch: Batch = 64,
    as_json: AsJson = False,
) -> None:
    """Measure validation accuracy with one matrix at a time pruned or quantized."""
    make = with_weights(load_factory(factory), weights)
    wanted, widths = _numbers(densities, float, "--densities"), _numbers(bits, int, "--bits")
    try:
        from penstock.compress.dataset import load_dataset
        from penstock.compress.forward import forward_of
        from penstock.compress.plot import check_plot, plot_sensitivity
        from penstock.compress.saved import write_atomically
        from penstock.compress.sensitivity import measure_sensitivity
        from penstock.compress.training import Loop, score_name
    except ModuleNotFoundError as missing:
        raise _without_torch("penstock sensitivity", missing) from missing
    if plot is not None:
        check_plot(plot)
    split, module = load_dataset(data, task).valid, make().eval()
    forward, loop = forward_of(module, split), Loop(Path(), batch, task=task)
    takes_banks = pattern == "bank_balanced"
    with told_progress() as tell:
        found = measure_sensitivity(
            module, lambda: loop.measure(forward, split), densities=wanted, bits=widths,
            pattern=pattern, pes=None if takes_banks else pes, bank=bank, banks=banks,
            on_matrix=lambda matrix: tell(f"measuring {matrix}", 0, 1),
        )  # fmt: skip
    chosen = found.densities(density) if density else {}
    values = sensitivity_values(found, score_name(task), chosen)
    if as_json:
        print_json(values)
    else:
        _print(found, task, wanted, widths, chosen)
    if plot is not None:
        plot_sensitivity(found, plot, task)
    if output is not None:
        write_atomically(output, json.dumps(values, indent=1).encode())


def sensitivity_values(found: Sensitivity, score: str, chosen: dict[str, float]) -> dict[str, Any]:
    """Plain values, as -o writes them: schema (1); trained {loss, accuracy} of the network as it
    was, on the validation set; sizes {matrix: weights}; rows [matrix, kind (density or bits), value
    (of that kind), loss, accuracy] with this matrix alone pruned or quantized; score (what accuracy
    is: accuracy or R2); densities {matrix: chosen} for --density, else empty; unfit {matrix: why
    the pattern does not fit it}.
    """
    return {
        "schema": SCHEMA, **found.to_json(), "score": score, "densities": chosen,
        "unfit": found.unfit,
    }  # fmt: skip


def _print(
    found: Sensitivity, task: str, densities: list[float], widths: list[int],
    chosen: dict[str, float],
) -> None:  # fmt: skip
    from penstock.compress.training import score_name, score_text

    show = partial(score_text, task)
    title = (
        f"{score_name(task)} on the validation set, of {show(found.trained.accuracy)} as trained"
    )
    heads = {value: f"{value:.0%}" for value in densities}
    _print_curves(found, "density", heads, chosen, f"{title}: one matrix pruned", show)
    heads = {width: f"{width} bits" for width in widths}
    _print_curves(found, "bits", heads, {}, f"{title}: one matrix quantized", show)
    for name, reason in found.unfit.items():
        say(f"note: where there is a dash, {name} stays dense: {reason}")


def _print_curves(
    found: Sensitivity, kind: str, heads: dict[float, str], chosen: dict[str, float], title: str,
    show: Callable[[float, int], str],
) -> None:  # fmt: skip
    """A row for each matrix; ``-`` where the pattern does not fit it."""
    last, rows = ["chosen"] if chosen else [], []
    for name, size in found.sizes.items():
        scores = dict(found.curve(name, kind))
        cells = [show(scores[value].accuracy, 1) if value in scores else "-" for value in heads]
        rows.append((name, f"{size:,}", *cells, *([f"{chosen[name]:.1%}"] if chosen else [])))
    print_table(title, ("matrix", "weights", *heads.values(), *last), rows)


def _numbers(text: str, kind: type, option: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise PenstockError(
            f"{text!r} is not a list of numbers", option, "such as 8,4,2"
        ) from error
