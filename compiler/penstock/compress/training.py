"""A training loop for those who have none: early stop, resume, and no step on a broken loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from penstock.compress.dataset import IGNORED, Split
from penstock.compress.progress import load_stage, save_stage
from penstock.errors import PenstockError
from penstock.fixed import IntArray

Forward = Callable[[Tensor, Tensor], Tensor]
"""(x, lengths) -> logits, (sequences, classes) or (sequences, steps, classes); classes may be 1."""

LOSSES = {"mse": functional.mse_loss, "mae": functional.l1_loss}
"""Of a regression."""
TEMPERATURE = 2.0
"""Of a teacher's answers: how much what it thinks of wrong ones counts."""
MEASURED_FRAMES = 16_384
"""Frames that are answered at once where nothing is trained: this bounds the memory."""
WINDOW = 16
"""Batches whose sequences are sorted by length together, so that little is padded."""


@dataclass
class Stage:
    """One stage of training: ``epochs`` over the data, at most ``patience`` of them in vain.

    forward: of ``module``; rate: falls to zero on a half cosine over all epochs. after_step: called
    after every update (a pruner's ``step``); extra_state: what else is saved and resumed.
    warmup_epochs: before the first weights that may be kept as the best (a density schedule must
    run out).
    groups: rate -> parameter groups for the optimizer; all parameters alike, if not given.
    teacher: a trained network whose answers make up ``distill_weight`` of the loss (Hinton et al.
    2015).
    """

    name: str
    module: nn.Module
    forward: Forward
    epochs: int
    rate: float
    after_step: Callable[[], None] = lambda: None
    extra_state: Any = None
    warmup_epochs: int = 0
    groups: Callable[[float], Any] | None = None
    teacher: Forward | None = None
    distill_weight: float = 0.5
    regression_loss: str = "mse"

    def loss(self, part: Split) -> Tensor:
        """Mean cross entropy of the labels that count; with a teacher, and of its answers.

        Of a regression, its own loss, of the targets and of the teacher's answers.
        """
        logits, labels = _flat(self.forward, part)
        if labels.is_floating_point():
            return self._regression(logits, labels, part)
        loss = functional.cross_entropy(logits, labels, ignore_index=IGNORED)
        if self.teacher is None or not self.distill_weight:
            return loss
        with torch.no_grad():
            answers, _ = _flat(self.teacher, part)
        counts = labels != IGNORED
        mine, theirs = (
            functional.log_softmax(values[counts] / TEMPERATURE, dim=1)
            for values in (logits, answers.to(logits.dtype))
        )
        apart = functional.kl_div(mine, theirs, reduction="batchmean", log_target=True)
        return (1 - self.distill_weight) * loss + self.distill_weight * TEMPERATURE**2 * apart

    def _regression(self, values: Tensor, targets: Tensor, part: Split) -> Tensor:
        counts, apart = ~targets.isnan(), LOSSES[self.regression_loss]
        loss = apart(values[counts], targets[counts].to(values.dtype))
        if self.teacher is None or not self.distill_weight:
            return loss
        with torch.no_grad():
            answers, _ = _flat(self.teacher, part)
        follows = apart(values[counts], answers[counts].to(values.dtype))
        return (1 - self.distill_weight) * loss + self.distill_weight * follows


class Update(NamedTuple):
    """One update of the weights: the ``number``-th of ``of`` in an epoch of a stage."""

    stage: str
    epoch: int
    epochs: int
    number: int
    of: int
    loss: float


class Score(NamedTuple):
    """Over the labels that count: mean cross entropy in nats, and the share that was right.

    Of a regression: the mean loss, and the share of the targets' variance that is explained (R2).
    """

    loss: float
    accuracy: float


@dataclass
class Loop:
    """Trains a stage and measures. State goes to ``folder`` after every epoch, to be resumed."""

    folder: Path
    batch: int = 64
    patience: int = 8
    seed: int = 0
    clip: float = 5.0
    log: Callable[[str], None] = lambda text: None
    on_update: Callable[[Update], None] = lambda update: None
    history: list[dict[str, Any]] = field(default_factory=list)
    task: str = "classification"
    regression_loss: str = "mse"

    def fit(self, stage: Stage, train: Split, valid: Split) -> float:
        """Train to the best validation loss, which is returned; the module holds its weights, and
        is in evaluation mode.

        Raises PenstockError if a loss is not finite; the best weights so far stay in ``folder``.
        """
        stage.regression_loss = self.regression_loss
        parameters = stage.groups(stage.rate) if stage.groups else stage.module.parameters()
        optimizer = torch.optim.Adam(parameters, lr=stage.rate)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        best, best_epoch, first = math.inf, stage.warmup_epochs, 0
        best_weights = _copy(stage.module.state_dict())
        saved = load_stage(self.folder, stage.name)
        if saved is not None:
            stage.module.load_state_dict(saved["weights"])
            optimizer.load_state_dict(saved["optimizer"])
            if stage.extra_state is not None:
                stage.extra_state.load_state_dict(saved["extra"])
            best, best_epoch, first = saved["best"], saved["best_epoch"], saved["epoch"] + 1
            best_weights = saved["best_weights"]
        for epoch in range(first, stage.epochs):
            if epoch - best_epoch > self.patience:
                break
            if saved is not None and epoch == first:
                self.log(f"{stage.name}: going on after epoch {first} of {stage.epochs}")
            trained = self._epoch(stage, optimizer, train, epoch)
            stage.module.eval()
            loss, accuracy = self.measure(stage.forward, valid)
            is_last_chance = best == math.inf and epoch == stage.epochs - 1
            if (epoch + 1 >= stage.warmup_epochs and loss < best) or is_last_chance:
                best, best_epoch = loss, epoch
                best_weights = _copy(stage.module.state_dict())
            self.history.append(
                {"stage": stage.name, "epoch": epoch, "loss": loss, "score": accuracy}
            )
            self.log(f"{stage.name} {epoch + 1}/{stage.epochs}: loss {trained:.4f}, validation "
                     f"{loss_text(self.task, loss)}, {score_name(self.task)} {accuracy:.4f}"
                     )  # fmt: skip
            save_stage(self.folder, stage.name, {
                "weights": stage.module.state_dict(), "optimizer": optimizer.state_dict(),
                "extra": stage.extra_state.state_dict() if stage.extra_state is not None else None,
                "best": best, "best_epoch": best_epoch, "best_weights": best_weights,
                "epoch": epoch,
            })  # fmt: skip
        stage.module.load_state_dict(best_weights)
        stage.module.eval()
        return best

    def _epoch(
        self, stage: Stage, optimizer: torch.optim.Optimizer, train: Split, epoch: int
    ) -> float:
        """One pass in an order that depends on seed and epoch alone; the mean loss."""
        batches = _shuffled(train.lengths, self.batch, self.seed, epoch)
        torch.manual_seed(self.seed * 1_000_003 + epoch)
        stage.module.train()
        losses = []
        for number, chosen in enumerate(batches):
            progress = (epoch + number / len(batches)) / stage.epochs
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * (1 + math.cos(math.pi * progress)) / 2
            loss = stage.loss(train.part(chosen))
            if not torch.isfinite(loss):
                raise PenstockError(
                    f"the loss became {loss.item()} in epoch {epoch + 1} of {stage.name}",
                    str(self.folder),
                    "lower the learning rate; earlier progress is kept there",
                )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(stage.module.parameters(), self.clip)
            optimizer.step()
            stage.after_step()
            losses.append(loss.item())
            del loss  # with its graph: else both stand side by side while the next one is built
            self.on_update(
                Update(stage.name, epoch, stage.epochs, number + 1, len(batches), losses[-1])
            )
        return float(np.mean(losses))

    def measure(self, forward: Forward, split: Split) -> Score:
        """Loss and accuracy on ``split``."""
        if split.y.dtype.kind == "f":
            return self._measure_regression(forward, split)
        loss = correct = count = 0.0
        for _, logits, labels in self.answers(forward, split):
            flat, wanted = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
            counts = wanted != IGNORED
            loss += functional.cross_entropy(
                flat, wanted, ignore_index=IGNORED, reduction="sum"
            ).item()
            correct += (flat.argmax(1) == wanted)[counts].sum().item()
            count += counts.sum().item()
        return Score(loss / count, correct / count)

    def _measure_regression(self, forward: Forward, split: Split) -> Score:
        values, targets = [], []
        for _, given, wanted in self.answers(forward, split):
            counts = ~wanted.isnan()
            values.append(given[counts].double())
            targets.append(wanted[counts].double())
        y, t = torch.cat(values), torch.cat(targets)
        loss = LOSSES[self.regression_loss](y, t).item()
        variance = max(float(((t - t.mean()) ** 2).sum()), 1e-30)
        return Score(loss, 1.0 - float(((y - t) ** 2).sum()) / variance)

    def answers(self, forward: Forward, split: Split) -> Iterator[tuple[IntArray, Tensor, Tensor]]:
        """(which sequences, their logits, their labels), sequences of like length together."""
        for chosen in _alike(split.lengths, MEASURED_FRAMES):
            with torch.no_grad():
                yield chosen, *_run(forward, split.part(chosen))


def _alike(lengths: IntArray, frames: int) -> Iterator[IntArray]:
    """All sequences once, the shortest first, so many that padded they are ``frames`` at most, or
    one."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        padded = lengths[order[start:]] * np.arange(1, len(order) - start + 1)
        end = start + max(int(np.searchsorted(padded, frames, side="right")), 1)
        yield order[start:end]
        start = end


def _shuffled(lengths: IntArray, batch: int, seed: int, epoch: int) -> list[IntArray]:
    """All sequences once, in batches of like length, in an order of the seed and the epoch."""
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    batches: list[IntArray] = []
    for start in range(0, len(order), WINDOW * batch):
        window = order[start : start + WINDOW * batch]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[at : at + batch] for at in range(0, len(window), batch)]
    return [batches[index] for index in generator.permutation(len(batches))]


def _run(forward: Forward, part: Split) -> tuple[Tensor, Tensor]:
    """Logits and labels, (sequences, classes) and (sequences), or with a dimension of steps.

    A single logit is that of the second of two classes; the first one's is 0.
    """
    logits = forward(torch.from_numpy(part.x), torch.from_numpy(part.lengths))
    labels = torch.from_numpy(part.y)
    if labels.is_floating_point():
        return logits.reshape(labels.shape) if labels.ndim == 2 else logits, labels
    if logits.shape[-1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
    if labels.ndim == 1 and logits.ndim == 3:
        logits = logits[:, 0]
    return logits, labels


def _flat(forward: Forward, part: Split) -> tuple[Tensor, Tensor]:
    logits, labels = _run(forward, part)
    if labels.is_floating_point():
        return logits, labels
    return logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)


def loss_text(task: str, loss: float) -> str:
    """A loss with its unit; a language model's also as perplexity."""
    match task:
        case "regression":
            return f"{loss:.4f}"
        case "language-model":
            return f"{loss:.4f} nats, perplexity {math.exp(min(loss, 700.0)):.2f}"
        case _:
            return f"{loss:.4f} nats"


def score_name(task: str) -> str:
    """What the second number of a score is called."""
    return "R2" if task == "regression" else "accuracy"


def score_text(task: str, score: float, digits: int = 2) -> str:
    """An accuracy in percent, with so many digits; R2 as the number that it is."""
    return f"{score:.{digits + 2}f}" if task == "regression" else f"{score:.{digits}%}"


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}
