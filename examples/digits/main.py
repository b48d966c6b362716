"""Handwritten digits, end to end: train, prune, quantize, compile for 8 PEs, prove bit-true.

The 1,797 scans of 8 x 8 pixels that come with scikit-learn; a row of pixels is a time step.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from story import (
    ROOT,
    Story,
    check_rows,
    exit_status,
    hardware_rows,
    parse,
    proportion,
    say,
)

import penstock
from penstock import Compiled, Hardware, HeadOptions
from penstock.compress import Cubic, Pruner
from penstock.fixed import FloatArray, IntArray
from penstock_runtime import Interpreter
from penstock_runtime.compare import CheckResult

PES = 8
CELLS, CLASSES, PIXELS = 64, 10, 8
TEST_IMAGES, SPLIT_SEED = 450, 0
EPOCHS, QUICK_EPOCHS = 90, 12
# Chosen on images held out of the training set; the test set took no part.
LEARNING_RATE, BATCH, PIXEL_NOISE, LONGEST_GRADIENT = 0.01, 32, 0.1, 1.0
PRUNED_AFTER = 0.5
CHECKED = 6


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
        total = 0.0
        for batch in torch.randperm(len(frames)).split(BATCH):
            noisy = frames[batch] + PIXEL_NOISE * torch.randn_like(frames[batch])
            loss = nn.functional.cross_entropy(network(noisy), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
            optimizer.step()
            if pruner is not None:
                pruner.step()
            total += loss.item() * len(batch)
        falling.step()
        if epoch % 30 == 0 or epoch == epochs:
            say(f"  epoch {epoch} of {epochs}: loss {total / len(frames):.4f}")


def prune(network: Digits, images: Images, epochs: int, density: float) -> None:
    """Retrain, pruning ever more of every matrix until ``density`` is left, then recovering.

    Load-balanced as in ESE (Han et al., FPGA 2017): of each gate, every PE keeps as many weights.
    """
    updates = -(-len(images.labels) // BATCH)  # of an epoch
    end = max(1, int(PRUNED_AFTER * epochs * updates))
    pruner = Pruner(network, "pe_balanced", density, Cubic(0, end, every=updates), pes=PES)
    train(network, images, epochs, pruner)
    pruner.finalize()


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
class Outcome:
    """What ``run`` leaves. labels, and the answers of three networks: (test images)."""

    story: Story
    labels: IntArray
    dense: IntArray
    pruned: IntArray
    bit_true: IntArray
    checked: CheckResult


def run(folder: Path, density: float, epochs: int, seed: int, story: Story) -> Outcome:
    """The whole example; the project is ``folder``/project. Raises PenstockError."""
    start = cpu_seconds()
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
    interpreter = Interpreter(folder / "project")
    say(f"running {len(test_set.labels)} test images bit-true")
    bit_true = interpreter.run(test_set.frames).raw[:, 0, 0]

    labels, count = test_set.labels, len(test_set.labels)
    answers = {"dense float": dense, "pruned float": pruned, "bit-true": bit_true}
    for name, given in answers.items():
        right = proportion(float(np.mean(given == labels)), count)
        story.add(f"accuracy, {name} (n = {count})", right)
    same = np.count_nonzero(bit_true == pruned)
    story.add("same answer, bit-true and pruned float", f"{same} of {count}")
    hardware_rows(story, compiled)
    table_rows(story, compiled)
    say("checking against C simulation")
    sample = test_set.frames[:CHECKED]
    checked = check_rows(story, interpreter, sample, np.full(CHECKED, sample.shape[1]))
    story.add("CPU seconds", f"{cpu_seconds() - start:.0f}")
    story.finish(compiled.report)
    return Outcome(story, labels, dense, pruned, bit_true, checked)


def cpu_seconds() -> float:
    """Of this program and of the C++ compiler that it ran: whatever else the machine does."""
    return sum(os.times()[:4])


def table_rows(story: Story, compiled: Compiled) -> None:
    """What the tables of sigma and tanh, as large for a network of any size, weigh in this one."""
    size = compiled.report["totals"]["compression"]
    tables = size["compiled"]["tables"]
    story.add("of the compiled bytes, tables of sigma and tanh", f"{tables:,}")
    without = size["dense_bytes"] / (size["compiled_bytes"] - tables)
    story.add("compression without the tables", f"{without:.1f} x")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 1 if interpreter and C simulation differ; 2 for a user's fault."""
    parser = argparse.ArgumentParser("python examples/digits/main.py", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "build/digits", metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="train for a few epochs only")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    parser.add_argument("--density", type=float, default=0.15, help="share of weights to keep")
    options = parse(parser, arguments)
    if not 0.0 < options.density <= 1.0:
        parser.error(f"a density of {options.density} is outside (0, 1]")
    epochs = QUICK_EPOCHS if options.quick else EPOCHS
    story = Story("digits", f"digits on {PES} PEs", options.command, is_kept=options.write)
    return exit_status(
        lambda: run(options.output, options.density, epochs, options.seed, story).checked.passed
    )


if __name__ == "__main__":
    sys.exit(main())
