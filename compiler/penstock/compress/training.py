"""A training loop for those who have none: early stop, resume, and no step on a broken loss."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penstock.compress.dataset import IGNORED, Split
from penstock.compress.saved import write_atomically
from penstock.errors import PenstockError

Forward = Callable[[Tensor, Tensor], Tensor]
"""(x, lengths) -> logits, (sequences, classes) or (sequences, steps, classes)."""


@dataclass
class Stage:
    """One stage of training: ``epochs`` over the data, at most ``patience`` of them in vain.

    forward: of ``module``; after_step: called after every update (a pruner's ``step``).
    earliest_stop: epochs before early stop may end it (a density schedule must run out first).
    """

    name: str
    module: nn.Module
    forward: Forward
    epochs: int
    rate: float
    after_step: Callable[[], None] = lambda: None
    extra_state: Any = None
    earliest_stop: int = 0


@dataclass
class Loop:
    """Trains a stage and measures. State goes to ``folder`` after every epoch, to be resumed."""

    folder: Path
    batch: int = 64
    patience: int = 8
    seed: int = 0
    clip: float = 5.0
    tell: Callable[[str], None] = lambda text: None
    history: list[dict[str, Any]] = field(default_factory=list)

    def fit(self, stage: Stage, train: Split, valid: Split) -> float:
        """Train to the best validation loss, which is returned; the module holds its weights.

        Raises PenstockError if a loss is not finite; the best weights so far stay in ``folder``.
        """
        optimizer = torch.optim.Adam(stage.module.parameters(), lr=stage.rate)
        best, best_epoch, first = math.inf, -1, 0
        best_weights = _copy(stage.module.state_dict())
        saved = self._load(stage.name)
        if saved is not None:
            stage.module.load_state_dict(saved["weights"])
            optimizer.load_state_dict(saved["optimizer"])
            if stage.extra_state is not None:
                stage.extra_state.load_state_dict(saved["extra"])
            best, best_epoch, first = saved["best"], saved["best_epoch"], saved["epoch"] + 1
            best_weights = saved["best_weights"]
        for epoch in range(first, stage.epochs):
            if epoch - max(best_epoch, stage.earliest_stop) > self.patience:
                break
            trained = self._epoch(stage, optimizer, train, epoch)
            loss, score = self.measure(stage.forward, valid)
            if epoch + 1 >= stage.earliest_stop and (
                loss < best or best_epoch < stage.earliest_stop - 1
            ):
                best, best_epoch = loss, epoch
                best_weights = _copy(stage.module.state_dict())
            self.history.append({"stage": stage.name, "epoch": epoch, "loss": loss, "score": score})
            self.tell(f"{stage.name} {epoch + 1}/{stage.epochs}: loss {trained:.4f}, "
                      f"validation {loss:.4f}, accuracy {score:.4f}")  # fmt: skip
            self._save(stage, {
                "weights": stage.module.state_dict(), "optimizer": optimizer.state_dict(),
                "extra": stage.extra_state.state_dict() if stage.extra_state is not None else None,
                "best": best, "best_epoch": best_epoch, "best_weights": best_weights,
                "epoch": epoch,
            })  # fmt: skip
        stage.module.load_state_dict(best_weights)
        return best

    def _epoch(
        self, stage: Stage, optimizer: torch.optim.Optimizer, train: Split, epoch: int
    ) -> float:
        """One pass in an order that depends on seed and epoch alone; the mean loss."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(train))
        torch.manual_seed(self.seed * 1_000_003 + epoch)
        stage.module.train()
        losses = []
        for start in range(0, len(order), self.batch):
            part = train.part(order[start : start + self.batch])
            loss = _loss(stage.forward, part)
            if not torch.isfinite(loss):
                raise PenstockError(
                    f"the loss became {loss.item()} in epoch {epoch + 1} of {stage.name}",
                    str(self.folder),
                    "lower the learning rate; what was trained before is kept there",
                )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(stage.module.parameters(), self.clip)
            optimizer.step()
            stage.after_step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def measure(self, forward: Forward, split: Split) -> tuple[float, float]:
        """(mean loss, accuracy) over the labels that count."""
        loss = correct = count = 0.0
        with torch.no_grad():
            for start in range(0, len(split), 4 * self.batch):
                part = split.part(np.arange(start, min(start + 4 * self.batch, len(split))))
                logits, labels = _flat(forward, part)
                counts = labels != IGNORED
                loss += nn.functional.cross_entropy(
                    logits, labels, ignore_index=IGNORED, reduction="sum"
                ).item()
                correct += (logits.argmax(1) == labels)[counts].sum().item()
                count += counts.sum().item()
        return loss / count, correct / count

    def _save(self, stage: Stage, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.folder / f"{stage.name}.pt", buffer.getvalue())

    def _load(self, name: str) -> dict[str, Any] | None:
        path = self.folder / f"{name}.pt"
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, weights_only=True)
        return state


def _flat(forward: Forward, part: Split) -> tuple[Tensor, Tensor]:
    logits = forward(torch.from_numpy(part.x), torch.from_numpy(part.lengths))
    labels = torch.from_numpy(part.y)
    if labels.ndim == 1 and logits.ndim == 3:
        logits = logits[:, 0]
    return logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)


def _loss(forward: Forward, part: Split) -> Tensor:
    logits, labels = _flat(forward, part)
    return nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}
