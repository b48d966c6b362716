"""Handwritten digits, end to end: train, prune, quantize, compile for 8 PEs, prove bit-true.

The 1,797 scans of 8 x 8 pixels that come with scikit-learn; a row of pixels is a time step.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import penstock
from penstock import Compiled, Hardware, HeadOptions, PenstockError
from penstock.compress import pe_balanced_mask
from penstock.fixed import FloatArray, IntArray
from penstock_runtime import Interpreter, Project, load_project
from penstock_runtime.compare import CheckResult, check

PES = 8
GATES = 4
CELLS, CLASSES, PIXELS = 64, 10, 8
TEST_IMAGES, SPLIT_SEED = 450, 0
EPOCHS, QUICK_EPOCHS = 90, 12
# Chosen on images held out of the training set; the test set took no part.
LEARNING_RATE, BATCH, PIXEL_NOISE, LONGEST_GRADIENT = 0.01, 32, 0.1, 1.0
PRUNED_AFTER = 0.5
CHECK_STEPS = 8


class Images(NamedTuple):
    """frames: (images, 8 rows, 8 pixels) from 0 to 1; labels: (images)."""

    frames: FloatArray
    labels: IntArray


class Digits(nn.Module):
    """An LSTM over the rows of an image, and a Linear layer on its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(PIXELS, CELLS, batch_first=True)
        self.head = nn.Linear(CELLS, CLASSES)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(images, steps, pixels) -> (images, classes) logits."""
        return self.head(self.lstm(frames)[0][:, -1])

    def matrices(self) -> list[tuple[nn.Parameter, int]]:
        """Every weight matrix, and how many blocks of rows it stacks: four gates, or one."""
        lstm = self.lstm
        return [(lstm.weight_ih_l0, GATES), (lstm.weight_hh_l0, GATES), (self.head.weight, 1)]


@dataclass
class Pruner:
    """Load-balanced magnitude pruning (Han et al., FPGA 2017), gradual as in Zhu and Gupta 2017."""

    network: Digits
    density: float
    masks: list[torch.Tensor] = field(default_factory=list)

    def tighten(self, progress: float) -> None:
        """New masks at ``progress`` (0 to 1) of the retraining; final from PRUNED_AFTER on."""
        left = max(0.0, 1.0 - progress / PRUNED_AFTER)
        density = self.density + (1.0 - self.density) * left**3
        self.masks = [balanced_mask(*matrix, density) for matrix in self.network.matrices()]

    @torch.no_grad()
    def apply(self) -> None:
        """Zero what is pruned."""
        for (weight, _), mask in zip(self.network.matrices(), self.masks, strict=True):
            weight *= mask

    @torch.no_grad()
    def keep_from_zero(self) -> None:
        """Move kept weights that 12 bits would round to zero to one or two steps: a balanced PE
        reads their entries in any case."""
        for (weight, _), mask in zip(self.network.matrices(), self.masks, strict=True):
            least = weight.abs().max() / 1024
            small = mask & (weight.abs() < least)
            weight[small] = torch.where(weight[small] < 0, -least, least)


def balanced_mask(weight: torch.Tensor, blocks: int, density: float) -> torch.Tensor:
    """The masks of all gates, stacked as the gates are; row r of a gate is on PE r mod 8."""
    gates = np.split(weight.detach().numpy(), blocks)
    masks = [pe_balanced_mask(gate, density, PES) for gate in gates]
    return torch.from_numpy(np.concatenate(masks))


def load_images() -> tuple[Images, Images]:
    """A training and a test set, always the same, each class in proportion."""
    digits = load_digits()
    frames, labels = (digits.images / digits.images.max()).astype(np.float32), digits.target
    train_x, test_x, train_y, test_y = train_test_split(
        frames, labels, test_size=TEST_IMAGES, stratify=labels, random_state=SPLIT_SEED
    )
    return Images(train_x, train_y), Images(test_x, test_y)


def train(network: Digits, images: Images, epochs: int, pruner: Pruner | None = None) -> None:
    """Adam on slightly noisy images, its rate falling from LEARNING_RATE to zero on a cosine."""
    frames, labels = torch.from_numpy(images.frames), torch.from_numpy(images.labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(1, epochs + 1):
        if pruner is not None:
            pruner.tighten(epoch / epochs)
        total = 0.0
        for batch in torch.randperm(len(frames)).split(BATCH):
            noisy = frames[batch] + PIXEL_NOISE * torch.randn_like(frames[batch])
            loss = nn.functional.cross_entropy(network(noisy), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
            optimizer.step()
            if pruner is not None:
                pruner.apply()
            total += loss.item() * len(batch)
        falling.step()
        if epoch % 30 == 0 or epoch == epochs:
            say(f"  epoch {epoch} of {epochs}: loss {total / len(frames):.4f}")


def prune(network: Digits, images: Images, epochs: int, density: float) -> None:
    """Retrain, pruning ever more of every matrix until ``density`` is left, then recovering."""
    pruner = Pruner(network, density)
    train(network, images, epochs, pruner)
    pruner.keep_from_zero()


@torch.no_grad()
def float_answers(network: Digits, images: Images) -> IntArray:
    """The float network's answers: (images)."""
    return network(torch.from_numpy(images.frames)).argmax(dim=1).numpy()


def compile_for_hardware(network: Digits, train_set: Images, folder: Path) -> Compiled:
    """Save checkpoint and calibration frames in ``folder``, and compile into its ``project``."""
    torch.save(network.state_dict(), folder / "digits.pt")
    np.save(folder / "calibration.npy", train_set.frames)
    compiled = penstock.compile(
        network,
        calibration=train_set.frames,
        hardware=Hardware(pes=PES),
        head=HeadOptions(at="last", activation="argmax"),
    )
    compiled.write(folder / "project")
    return compiled


@dataclass(frozen=True)
class Size:
    """Bytes: of all float parameters, and of what takes their place in hardware."""

    floats: int
    weights: int
    parameters: int
    tables: int

    @classmethod
    def of(cls, network: Digits, project: Project) -> Size:
        """Weights and parameters as their files lie on disk, padding included; tables by bits."""
        files = {path.name: path.stat().st_size for path in project.folder.glob("weights/*.bin")}
        parameters = files.pop("parameters.bin")
        names = {name for node in project.graph.of_kind("lut") for name in node.inputs[1:]}
        tables = [project.graph[name].tensor for name in names]
        bits = sum(table.length * table.type.width for table in tables)
        floats = 4 * sum(parameter.numel() for parameter in network.parameters())
        return cls(floats, sum(files.values()), parameters, -(-bits // 8))


@dataclass(frozen=True)
class Outcome:
    """All that the table shows. labels, and the answers of three networks: (test images)."""

    labels: IntArray
    dense: IntArray
    pruned: IntArray
    bit_true: IntArray
    compiled: Compiled
    size: Size
    checked: CheckResult
    seconds: float


def run(folder: Path, density: float, epochs: int, seed: int) -> Outcome:
    """The whole example; the project is ``folder``/project. Raises PenstockError."""
    start = time.perf_counter()
    train_set, test_set = load_images()
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "test_frames.npy", test_set.frames)
    np.save(folder / "test_labels.npy", test_set.labels)
    torch.set_num_threads(1)  # the sums of a threaded run depend on the number of cores
    torch.manual_seed(seed)
    network = Digits()
    say(f"training on {len(train_set.labels):,} images")
    train(network, train_set, epochs)
    dense = float_answers(network, test_set)
    say(f"pruning to {density:.0%} density and retraining")
    prune(network, train_set, epochs, density)
    pruned = float_answers(network, test_set)
    say(f"compiling for {PES} PEs")
    compiled = compile_for_hardware(network, train_set, folder)
    project = load_project(folder / "project")
    say(f"running {len(test_set.labels)} test images bit-true")
    bit_true = Interpreter(project).run(test_set.frames).raw[:, 0, 0]
    say("checking against C simulation")
    checked = check(project, CHECK_STEPS)
    return Outcome(test_set.labels, dense, pruned, bit_true, compiled,
                   Size.of(network, project), checked, time.perf_counter() - start)  # fmt: skip


def say(what: str) -> None:
    """One line of progress, at once."""
    print(what, flush=True)


def results(outcome: Outcome) -> Table:
    """The table that the README shows."""
    labels, count = outcome.labels, len(outcome.labels)
    same = np.count_nonzero(outcome.bit_true == outcome.pruned)
    compared = sum(outcome.checked.values.values())
    verdict = "equal" if outcome.checked.passed else "DIFFERENT"
    table = Table(f"digits on {PES} PEs", "result")
    table.columns[1].justify = "right"
    table.add_row(f"accuracy, dense float (n = {count})", accuracy(outcome.dense, labels))
    table.add_row(f"accuracy, pruned float (n = {count})", accuracy(outcome.pruned, labels))
    table.add_row(f"accuracy, bit-true (n = {count})", accuracy(outcome.bit_true, labels))
    table.add_row("same answer, bit-true and pruned float", f"{same} of {count}", end_section=True)
    for what, value in hardware_rows(outcome.compiled, outcome.size):
        table.add_row(what, value)
    table.add_section()
    table.add_row("values, interpreter against C simulation", f"{compared:,} {verdict}")
    table.add_row("seconds", f"{outcome.seconds:.0f}")
    return table


def accuracy(answers: IntArray, labels: IntArray) -> str:
    """Per cent right, and the standard error of a proportion."""
    right = float(np.mean(answers == labels))
    return f"{right:.1%} +- {math.sqrt(right * (1 - right) / len(labels)):.1%}"


def hardware_rows(compiled: Compiled, size: Size) -> list[tuple[str, str]]:
    """Density, bytes and cycles."""
    plan, order = compiled.plan, compiled.machine.order
    weights = CELLS * (PIXELS + CELLS) * GATES + CLASSES * CELLS
    nonzeros = sum(product.nonzeros for product in plan.products)
    stored = size.weights + size.parameters
    return [
        ("non-zero weights", f"{nonzeros:,} of {weights:,} ({nonzeros / weights:.1%})"),
        ("fp32 parameters, bytes", f"{size.floats:,}"),
        ("packed weights + parameters, bytes", f"{size.weights:,} + {size.parameters:,}"),
        ("sigma and tanh tables, bytes", f"{size.tables:,}"),
        ("compression, everything counted", f"{size.floats / (stored + size.tables):.1f} x"),
        ("compression without the tables", f"{size.floats / stored:.1f} x"),
        (
            "words of gate weights a step (bound)",
            f"{plan.products[0].code.words:,} ({order.bound_cycles:,})",
        ),
        (
            "cycles per step by the timeline (bound)",
            f"{order.step_cycles:,} ({order.bound_cycles:,})",
        ),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 1 if interpreter and C simulation differ; 2 for a user's fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/digits"), metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="train for a few epochs only")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    parser.add_argument("--density", type=float, default=0.15, help="share of weights to keep")
    options = parser.parse_args(arguments)
    if not 0.0 < options.density <= 1.0:
        parser.error(f"a density of {options.density} is outside (0, 1]")
    epochs = QUICK_EPOCHS if options.quick else EPOCHS
    try:
        outcome = run(options.output, options.density, epochs, options.seed)
    except (PenstockError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Console(highlight=False, soft_wrap=True).print(results(outcome))
    if not outcome.checked.passed:
        print(f"FAIL: first difference: {outcome.checked.difference}")
    return 0 if outcome.checked.passed else 1


if __name__ == "__main__":
    sys.exit(main())
