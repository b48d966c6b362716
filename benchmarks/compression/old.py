"""Error against density and pattern on real speech: ESE's figure 6 in small.

    python benchmarks/compression.py --data DATA [--write]

Spoken digits (Free Spoken Digit Dataset, official split: 2,700 to train, of which 270 choose the
epoch; 300 to test). Log-mel frames, LSTM(96) and a dense Linear head on the last frame. For every
seed one dense baseline is trained, then pruned and retrained in every pattern and density.
Printed: test error, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from penstock import PenstockError
from penstock.compress.dataset import make_dataset
from penstock.compress.recipe import Recipe, forward_of, prune
from penstock.compress.training import Loop, Stage

ROOT = Path(__file__).resolve().parent.parent
SEEDS = (0, 1, 2)
DENSITIES = (0.3, 0.1, 0.05, 0.03)
PATTERNS = {
    "unstructured": {},
    "pe_balanced": {"pes": 8},
    "column_balanced": {"pes": 8},
    "bank_balanced": {"bank": 32},
}
MELS, CELLS, FRAME, HOP, FFT = 32, 96, 200, 80, 256
VALID_EVERY = 10
TEST = 300


class Recognizer(torch.nn.Module):
    """LSTM and a Linear head on each recording's last frame."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(MELS, CELLS, batch_first=True)
        self.head = torch.nn.Linear(CELLS, 10)

    def forward(self, x, lengths):
        y, _ = self.lstm(x)
        return self.head(y[torch.arange(len(x)), lengths - 1])


def mel_filters(rate: int) -> np.ndarray:
    """(MELS, FFT / 2 + 1) triangular filters from 60 Hz to 3,800 Hz."""
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([60, 3800]) / 700)), MELS + 2)
                          / 2595) - 1)  # fmt: skip
    hertz = np.arange(FFT // 2 + 1) * rate / FFT
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))


def features(audio: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """(frames, MELS) log energies, normalized over the recording."""
    audio = np.pad(audio.astype(np.float64), (0, max(FRAME - len(audio), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(audio, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hamming(FRAME), FFT)) ** 2
    mel = np.log(power @ filters.T + 1.0)
    return (mel - mel.mean()) / (mel.std() + 1e-6)


def spoken_digits(folder: Path):
    """The data set of the recipe; every tenth training recording chooses the epoch."""
    with np.load(folder / "fsdd/fsdd.npz") as file:
        audio, offset, label, is_test = (
            file[name] for name in ("audio", "offset", "label", "is_test")
        )
        filters = mel_filters(int(file["sample_rate"]))
    found = [features(audio[a:b], filters) for a, b in pairwise(offset)]
    lengths = np.array([len(frames) for frames in found])
    x = np.zeros((len(found), lengths.max(), MELS), dtype=np.float32)
    for row, frames in zip(x, found, strict=True):
        row[: len(frames)] = frames
    is_valid = ~is_test & (np.cumsum(~is_test) % VALID_EVERY == 0)
    arrays = {}
    for name, chosen in (("train", ~is_test & ~is_valid), ("valid", is_valid), ("test", is_test)):
        arrays[f"x_{name}"], arrays[f"y_{name}"] = x[chosen], label[chosen].astype(np.int64)
        arrays[f"lengths_{name}"] = lengths[chosen]
    return make_dataset(arrays, "classification", str(folder))


def tell(text: str) -> None:
    print(text, flush=True)


def errors_of_seed(folder: Path, seed: int, dense_epochs: int, prune_epochs: int):
    """{(pattern, density): test error}; the dense baseline is ("dense", 1.0)."""
    torch.set_num_threads(1)
    data = spoken_digits(folder)
    recipe = Recipe(seed=seed, prune_epochs=prune_epochs, batch=64, patience=10)
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        loop = Loop(Path(scratch), recipe.batch, recipe.patience, seed)
        torch.manual_seed(seed)
        dense = Recognizer()
        stage = Stage("dense", dense, forward_of(dense), dense_epochs, recipe.rate)
        loop.fit(stage, data.train, data.valid)
        found["dense", 1.0] = 1 - loop.measure(forward_of(dense), data.test)[1]
        tell(f"seed {seed}: dense {found['dense', 1.0]:.1%}")
        for pattern, options in PATTERNS.items():
            for density in DENSITIES:
                pruned = copy.deepcopy(dense)
                progress = Path(scratch) / f"{pattern}-{density}"
                progress.mkdir()
                loop = Loop(progress, recipe.batch, recipe.patience, seed)
                mine = replace(recipe, pattern=pattern, density=density, **options)
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # rows left empty at 3 % are no surprise
                        prune(loop, pruned, forward_of(pruned), data, mine)
                except PenstockError as error:  # the pattern has no such density here
                    tell(f"seed {seed}: {error}")
                    continue
                found[pattern, density] = 1 - loop.measure(forward_of(pruned), data.test)[1]
                tell(f"seed {seed}: {pattern} {density:.0%} {found[pattern, density]:.1%}")
    return found


def table(runs) -> str:
    """Markdown: a row a density, a column a pattern."""

    def cell(key):
        if key not in runs[0]:
            return "-"
        errors = 100 * np.array([run[key] for run in runs])
        return f"{errors.mean():.1f} +- {errors.std(ddof=1) if len(errors) > 1 else 0:.1f}"

    lines = ["| density | " + " | ".join(PATTERNS) + " |", "|---|" + "---|" * len(PATTERNS)]
    lines.append("| 100 % (dense) | " + " | ".join([cell(("dense", 1.0))] * len(PATTERNS)) + " |")
    for density in DENSITIES:
        cells = [cell((pattern, density)) for pattern in PATTERNS]
        lines.append(f"| {density:.0%} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder with fsdd/fsdd.npz")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--dense-epochs", type=int, default=40)
    parser.add_argument("--prune-epochs", type=int, default=24)
    parser.add_argument("--jobs", type=int, default=2, help="seeds at once")
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        epochs = options.dense_epochs, options.prune_epochs
        found = [
            pool.submit(errors_of_seed, options.data, seed, *epochs)
            for seed in range(options.seeds)
        ]
        runs = [run.result() for run in found]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    text = (
        f"{table(runs)}\n\nTest error in %, mean +- standard deviation over {len(runs)} seeds; one "
        f"recording of {TEST} is {100 / TEST:.2f} points. Printed by "
        f"`python benchmarks/compression.py` on {date.today()}, {machine}; {options.dense_epochs} "
        f"dense epochs at most, {options.prune_epochs} of pruning and retraining."
    )
    print(text)
    if options.write:
        page = ROOT / "docs/results.md"
        before, mark, rest = page.read_text().partition("<!-- compression -->\n")
        after = rest.partition("<!-- end compression -->")[2]
        page.write_text(f"{before}{mark}{text}\n<!-- end compression -->{after}")


if __name__ == "__main__":
    main()
