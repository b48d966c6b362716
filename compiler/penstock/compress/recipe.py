"""The whole recipe: train, prune, retrain, quantize, save a checkpoint that compiles as it is."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penstock.calibration import calibrate
from penstock.compress.dataset import Dataset
from penstock.compress.followed import Followed, follow
from penstock.compress.forward import forward_of
from penstock.compress.matrices import cell_of
from penstock.compress.network_text import tensors_of_network
from penstock.compress.patterns import check_density
from penstock.compress.progress import open_progress
from penstock.compress.pruner import MatrixSummary, Pruner
from penstock.compress.qat import QuantizedNetwork
from penstock.compress.saved import Formats, save_compressed
from penstock.compress.schedules import Cubic, OneShot, Schedule
from penstock.compress.training import LOSSES, Forward, Loop, Score, Stage, Update
from penstock.errors import PenstockError
from penstock.frontend.to_state_dict import names_of_layers, to_state_dict
from penstock.settings import Precision

CALIBRATION_SEQUENCES = 256
QUANTIZED_RATE = 1 / 3
"""The learning rate in fixed point, as a share of the dense network's."""
OVER_PES = ("pe_balanced", "column_balanced")
"""Patterns that are balanced over a number of PEs: only on so many do they pay."""
MUCH = 0.02
"""A fall of accuracy that is remarked upon."""
ADVICE = {
    "pruned": "a greater --density, or more --prune-epochs, may win it back",
    "quantized": "more --qat-epochs, --row-scales or --weight-bits may win it back",
}
ROWS_A_PE = 4
"""A Linear layer with fewer can't be balanced without loss."""


@dataclass(frozen=True)
class Recipe:
    """All choices of one run. epochs: dense, prune (the density ramp is half of it), qat.

    bank, banks: of bank_balanced, the columns of a bank, or as many banks as the hardware has.
    densities: of single matrices, by name or glob pattern; ``density`` is for all others.
    distill: the share of the loss, when pruned and quantized, that the dense network's answers are.
    loss: of a regression, mse or mae.
    """

    task: str = "classification"
    pattern: str = "pe_balanced"
    pes: int | None = 8
    bank: int | None = None
    banks: int | None = None
    density: float = 0.1
    densities: dict[str, float] = field(default_factory=dict)
    weight_bits: int = 12
    activation_bits: int = 16
    row_scales: bool = False
    learn_ranges: bool = False
    dense_epochs: int = 30
    prune_epochs: int = 30
    qat_epochs: int = 5
    rate: float = 2e-3
    batch: int = 64
    patience: int = 8
    distill: float = 0.5
    seed: int = 0
    loss: str = "mse"

    def check(self) -> None:
        """Refuse what can't be built before any training. Raises PenstockError."""
        if self.loss not in LOSSES:
            raise PenstockError(
                f"there is no loss {self.loss!r}", "recipe", f"choose {' or '.join(LOSSES)}"
            )
        for option, value in (("--bank", self.bank), ("--banks", self.banks)):
            if value is not None and self.pattern != "bank_balanced":
                raise PenstockError(
                    f"the pattern {self.pattern} has no banks", "recipe", f"leave {option} out"
                )
        check_density(self.density, "recipe")
        if not 0.0 <= self.distill <= 1.0:
            raise PenstockError(
                f"distill {self.distill:g} is outside [0, 1]", "recipe", "it is a share of the loss"
            )
        _ = self.precision

    @property
    def precision(self) -> Precision:
        """The number formats that the network is trained for."""
        bits = self.activation_bits
        return Precision(
            weights=self.weight_bits, inputs=bits, gates=bits, outputs=bits,
            row_scales=self.row_scales,
        )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came out: the score of each stage on ``split``, and the saved checkpoint.

    matrices: what the pruning left of each, before any number format.
    """

    split: str
    scores: dict[str, Score]
    density: float
    checkpoint: Path
    matrices: list[MatrixSummary] = field(repr=False)
    history: list[dict[str, Any]] = field(repr=False)

    def remarks(self) -> list[str]:
        """What became much worse on the way, and what to try."""
        found, names = [], list(self.scores)
        for before, after in pairwise(names):
            fall = self.scores[before].accuracy - self.scores[after].accuracy
            if fall > MUCH:
                advice = ADVICE["pruned" if after == "pruned" else "quantized"]
                found.append(f"{after}: {fall:.1%} below {before}; {advice}")
        return found


def run_recipe(
    factory: Callable[[], nn.Module],
    data: Dataset,
    recipe: Recipe,
    output: Path,
    log: Callable[[str], None] = lambda text: None,
    on_update: Callable[[Update], None] = lambda update: None,
) -> Outcome:
    """Compress the model that ``factory`` makes; the checkpoint goes to ``output``.

    The module's ``forward`` takes x (and lengths, if it has a second parameter) and gives logits.
    Stages that ended are kept in ``output``.progress and not run again: an interrupted run goes on
    where it was. Raises PenstockError.
    """
    recipe.check()
    torch.manual_seed(recipe.seed)
    module = factory()
    embedding = _embedding(module)
    data.check_inputs(None if embedding is None else embedding.num_embeddings)
    forward = forward_of(module, data.train)
    _rehearse(module, data, recipe)
    loop = Loop(_progress_folder(recipe, module, data, output), recipe.batch, recipe.patience,
                recipe.seed, log=log, on_update=on_update, task=recipe.task,
                regression_loss=recipe.loss)  # fmt: skip
    split_name, split = data.measured
    scores = {}

    loop.fit(
        Stage("dense", module, forward, recipe.dense_epochs, recipe.rate), data.train, data.valid
    )
    scores["dense"] = loop.measure(forward, split)
    teacher = forward_of(copy.deepcopy(module), data.train)
    matrices = prune(loop, module, forward, data, recipe, teacher)
    scores["pruned"] = loop.measure(forward, split)
    network, embed, followed = _quantize(module, data, recipe)

    def quantized(x: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = network(embed(x), lengths)
        return logits

    scores["quantized"] = loop.measure(quantized, split)
    if recipe.qat_epochs:
        stage = Stage(
            "qat", network, quantized, recipe.qat_epochs, recipe.rate * QUANTIZED_RATE,
            groups=network.parameter_groups, teacher=teacher, distill_weight=recipe.distill,
        )  # fmt: skip
        loop.fit(stage, data.train, data.valid)
        scores["trained quantized"] = loop.measure(quantized, split)
    _save(network, followed, recipe, output, module)
    sizes = np.array([row.shape[0] * row.shape[1] for row in matrices])
    density = float(np.average([row.density for row in matrices], weights=sizes))
    return Outcome(split_name, scores, density, output, matrices, loop.history)


def _rehearse(module: nn.Module, data: Dataset, recipe: Recipe) -> None:
    """Prune and quantize a copy, so that what is refused is refused before any training."""
    module = copy.deepcopy(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the weights aren't those that will be pruned
        _pruner(module, recipe, OneShot()).finalize()
        network, _, _ = _quantize(module, data, recipe)
    (output,) = network.graph.of_kind("output")
    data.check_outputs(output.tensor.length)


def _progress_folder(recipe: Recipe, module: nn.Module, data: Dataset, output: Path) -> Path:
    """Where stages are kept; refuses one of another recipe, module or data set."""
    folder = output.with_name(f"{output.name}.progress")
    return open_progress(folder, _digest(recipe, module, data))


def digest_of_run(factory: Callable[[], nn.Module], data: Dataset, recipe: Recipe) -> str:
    """Of all that ``run_recipe`` depends on, this version of torch included."""
    torch.manual_seed(recipe.seed)
    return f"{_digest(recipe, factory(), data)} {torch.__version__}"


def _digest(recipe: Recipe, module: nn.Module, data: Dataset) -> str:
    """Of all that training depends on: settings, initial weights, training and validation data."""
    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    for split in (data.train, data.valid):
        for array in (split.x, split.y, split.lengths):
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def prune(
    loop: Loop, module: nn.Module, forward: Forward, data: Dataset, recipe: Recipe, teacher: Forward
) -> list[MatrixSummary]:
    """Prune over the first half of the epochs, retrain over the rest; what is left."""
    updates = -(-len(data.train) // recipe.batch)
    ramp = max(recipe.prune_epochs // 2, 1)
    pruner = _pruner(module, recipe, Cubic(0, ramp * updates, max(updates // 4, 1)))
    stage = Stage(
        "pruned", module, forward, recipe.prune_epochs, recipe.rate, pruner.step, pruner, ramp,
        teacher=teacher, distill_weight=recipe.distill,
    )  # fmt: skip
    loop.fit(stage, data.train, data.valid)
    rows = pruner.summary()
    pruner.finalize()
    return rows


def _pruner(module: nn.Module, recipe: Recipe, schedule: Schedule) -> Pruner:
    return Pruner(
        module, recipe.pattern, _densities(module, recipe), schedule,
        pes=recipe.pes if recipe.pattern in OVER_PES else None,
        bank=recipe.bank, banks=recipe.banks,
    )  # fmt: skip


def _densities(module: nn.Module, recipe: Recipe) -> dict[str, float]:
    """One density for all matrices not named; a head of few rows a PE stays dense.

    Raises PenstockError for a cell of one step, whose matrices would stay dense.
    """
    pruned = {}
    for name, part in module.named_modules():
        if isinstance(part, nn.RNNCellBase):
            kind = type(part).__name__
            raise PenstockError(
                f"{name or 'the module'} is of {kind}, whose matrices can't be pruned",
                type(module).__name__, f"make it of torch.nn.{kind.removesuffix('Cell')}",
            )  # fmt: skip
        is_wide = isinstance(part, nn.Linear) and part.out_features >= ROWS_A_PE * (recipe.pes or 1)
        if cell_of(part) is not None or is_wide:
            pruned[f"{name}.*" if name else "*"] = recipe.density
    return pruned | recipe.densities


def _quantize(
    module: nn.Module, data: Dataset, recipe: Recipe
) -> tuple[QuantizedNetwork, Callable[[Tensor], Tensor], Followed]:
    """The network in fixed point, the embedding that stays on the host, and what was followed."""
    module.eval()
    embed = _embedding(module)

    def frames(x: Tensor) -> Tensor:
        return x if embed is None else embed(x).detach()

    sample = data.train.part(np.arange(min(len(data.train), CALIBRATION_SEQUENCES)))
    followed = follow(module, sample.x)
    ranges = calibrate(followed.model, frames(torch.from_numpy(sample.x)).numpy(),
                       lengths=sample.lengths)  # fmt: skip
    network = QuantizedNetwork(
        followed.model, ranges, recipe.precision, learn_ranges=recipe.learn_ranges
    )
    return network, frames, followed


def _embedding(module: nn.Module) -> nn.Embedding | None:
    return next((part for part in module.modules() if isinstance(part, nn.Embedding)), None)


def _save(
    network: QuantizedNetwork, followed: Followed, recipe: Recipe, output: Path, module: nn.Module
) -> None:
    """All tensors of the module by its own names, those of LSTM and head as they were trained.

    Where they don't say what forward computes, the network itself, with tensors of its own.
    """
    precision, trained = network.trained_precision, network.to_model(quantized=True)
    pes = recipe.pes if recipe.pattern in OVER_PES else None
    formats = Formats(
        network.ranges, precision, followed.head, pes, recipe.banks,
        None if followed.is_stack else trained, recipe.task == "regression",
    )  # fmt: skip
    tensors = {
        name: value.detach().cpu().float().numpy().copy()
        for name, value in module.state_dict().items()
    }
    if not followed.is_stack:
        save_compressed(tensors | tensors_of_network(trained), formats, output)
        return
    own = names_of_layers(tensors, str(output), [])
    found = {
        own.get(name, name): value
        for name, value in to_state_dict(trained, "", _head_name(module)).items()
    }  # a bias that the module has not is zero
    tensors |= {name: value for name, value in found.items() if name in tensors or value.any()}
    save_compressed(tensors, formats, output)


def _head_name(module: nn.Module) -> str:
    """Of the Linear layer; the module has one at most, or its tensors would not say all of it."""
    parts = module.named_modules()
    return next((name for name, part in parts if isinstance(part, nn.Linear)), "")
