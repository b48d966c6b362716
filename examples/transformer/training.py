"""The encoders that are compared: dense, trained on, pruned, and one without layers."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformer.encoder import Encoder, Size

from penstock.compress import Recipe
from penstock.compress.dataset import Dataset
from penstock.compress.recipe import prune
from penstock.compress.training import Loop, Stage


@dataclass(frozen=True)
class Trained:
    """bare: embeddings and classifier alone; longer: dense, and trained on for as many epochs as
    ``pruned`` was."""

    bare: Encoder
    dense: Encoder
    longer: Encoder
    pruned: Encoder


@dataclass(frozen=True)
class Trainer:
    """Trains on ``data`` as ``recipe`` says. folder: where each training has one of its own."""

    data: Dataset
    recipe: Recipe
    folder: Path
    log: Callable[[str], None]

    def trained(self, name: str, size: Size, words: int) -> Encoder:
        """From scratch to the last epoch, whose accuracy is best though its loss is not."""
        torch.manual_seed(self.recipe.seed)
        encoder, epochs = Encoder(words, size), self.recipe.dense_epochs
        stage = Stage(name, encoder, encoder, epochs, self.recipe.rate, warmup_epochs=epochs)
        self._loop(name).fit(stage, self.data.train, self.data.valid)
        return encoder

    def retrained(self, name: str, dense: Encoder, density: float) -> Encoder:
        """Pruned, with ``dense`` as its teacher, or at density 1 only trained on; validation
        chooses the epoch."""
        self.log(f"{name}: density {density:.0%}")
        encoder, recipe = copy.deepcopy(dense), replace(self.recipe, density=density)
        prune(self._loop(name), encoder, encoder, self.data, recipe, dense)
        return encoder

    def _loop(self, name: str) -> Loop:
        own, recipe = self.folder / name, self.recipe
        own.mkdir()
        return Loop(own, recipe.batch, recipe.patience, recipe.seed, log=self.log)


def train(
    words: int, size: Size, data: Dataset, recipe: Recipe, log: Callable[[str], None]
) -> Trained:
    """All encoders that are compared."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(data, recipe, Path(folder), log)
        dense = trainer.trained("dense", size, words)
        return Trained(
            trainer.trained("bare", replace(size, layers=0), words),
            dense,
            trainer.retrained("longer", dense, 1.0),
            trainer.retrained("pruned", dense, recipe.density),
        )
