"""Train, prune and quantize the three tasks; every result is a line of a JSON file.

    python benchmarks/compression/run.py --data DATA [--tasks phones ...] [--seeds 0 1 2]

A run that is there is not repeated, so an interrupted one goes on. DATA has a folder for each task;
``report.py`` makes tables and pictures of the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penstock import Compiled, Hardware, PenstockError, Precision
from penstock.calibration import Ranges
from penstock.compress import OneShot, Pruner, calibrate
from penstock.compress.dataset import IGNORED, Dataset
from penstock.compress.forward import forward_of
from penstock.compress.qat import QuantizedNetwork
from penstock.compress.training import Forward, Loop, Stage
from penstock.driver import compile_model
from penstock.frontend import from_module
from tasks import PES, PHONES, TASKS, Task, adapt_to

RESULTS = Path(__file__).resolve().parent / "results"
CALIBRATION_SEQUENCES = 256
PRUNED_RATE, QUANTIZED_RATE = 2 / 3, 1 / 3
"""Learning rates, as shares of the dense network's."""


@dataclass(frozen=True)
class Format:
    """Number formats of one run. Activations have as many bits as weights, 8 at the least."""

    density: float
    weights: int
    rows: bool = False
    learned: bool = False
    longer: bool = False

    @property
    def name(self) -> str:
        extra = ", scale a row" * self.rows + ", learned ranges" * self.learned
        extra += ", retrained longer" * self.longer
        return f"{self.density:.0%}, {self.weights} bits{extra}"

    @property
    def precision(self) -> Precision:
        bits = max(self.weights, 8)
        entries = {8: 256, 12: 1024}.get(bits, 2048)
        return Precision(weights=self.weights, biases=max(bits, 12), inputs=bits, gates=bits,
                         outputs=bits, logits=max(bits, 12), table_entries=entries,
                         row_scales=self.rows)  # fmt: skip


PATTERN = "pe_balanced"
LONGER = "longer"
INDEX_BITS = (None, 3, 4, 5, 6)
"""Tried for the fewest bytes; None: the compiler's choice for each matrix."""
STAGES = ["more", "patterns", "formats", LONGER, "pack"]
FORMATS = (
    *(Format(0.1, bits) for bits in (16, 12, 8, 6, 4)),
    Format(0.1, 4, rows=True),
    Format(0.1, 4, learned=True),
    Format(0.2, 4, rows=True),
    Format(0.2, 3, rows=True),
    Format(0.05, 4, rows=True),
    Format(0.03, 4, rows=True),
)
LONGER_FORMATS = (
    Format(0.2, 4, rows=True, longer=True),
    Format(0.2, 3, rows=True, longer=True),
    Format(0.18, 4, rows=True, longer=True),
    Format(0.17, 4, rows=True, longer=True),
    Format(0.15, 4, rows=True, longer=True),
)


@dataclass
class Runner:
    """All runs of one task and seed; networks and resumable training under ``scratch``."""

    task: Task
    seed: int
    data_folder: Path
    scratch: Path
    results: Path

    @cached_property
    def data(self) -> Dataset:
        return self.task.load(self.data_folder)

    @cached_property
    def done(self) -> dict[str, dict[str, Any]]:
        """Results so far, by name."""
        if not self.results.exists():
            return {}
        lines = map(json.loads, self.results.read_text().splitlines())
        return {line["run"]: line for line in lines}

    def record(self, run: str, **found: Any) -> None:
        """Keep a result, and say it."""
        line = {"run": run, "task": self.task.name, "seed": self.seed, **found}
        line |= {"date": str(date.today()), "machine": machine()}
        self.done[run] = line
        with self.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(self.task.name, self.seed, run, found, flush=True)

    def loop(self, run: str) -> Loop:
        folder = self.scratch / run.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return Loop(folder, self.task.batch, patience=100, seed=self.seed)

    def fit(self, run: str, module: torch.nn.Module, forward: Forward, epochs: int, rate: float,
            **options: Any) -> Loop:  # fmt: skip
        loop = self.loop(run)
        stage = Stage("fit", module, forward, epochs, rate, **options)
        loop.fit(stage, self.data.train, self.data.valid)
        return loop

    def score(self, loop: Loop, forward: Forward) -> dict[str, Any]:
        """Error on the test set, its standard error over sequences, and the task's own metrics."""
        split = self.data.test
        wrong, count = np.zeros(len(split)), np.zeros(len(split))
        answers: list[np.ndarray] = [np.zeros(0)] * len(split)
        loss = 0.0
        for chosen, logits, labels in loop.answers(forward, split):
            flat, wanted = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
            loss += torch.nn.functional.cross_entropy(
                flat, wanted, ignore_index=IGNORED, reduction="sum"
            ).item()
            counts = (labels != IGNORED).reshape(len(chosen), -1)
            misses = (logits.argmax(-1) != labels).reshape(len(chosen), -1) & counts
            wrong[chosen], count[chosen] = misses.sum(1), counts.sum(1)
            for row, index in enumerate(chosen):
                answers[index] = logits[row].float().numpy()
        error = wrong.sum() / count.sum()
        spread = np.sqrt(np.sum((wrong - error * count) ** 2)) / count.sum()
        metrics = self.task.metrics(split, answers)
        return {"error": float(error), "standard_error": float(spread),
                "loss": float(loss / count.sum()), **metrics}  # fmt: skip

    def dense(self) -> torch.nn.Module:
        """The baseline, trained or as it was saved."""
        torch.manual_seed(self.seed)
        module = self.task.make()
        loop = self.fit(
            "dense",
            module,
            forward_of(module, self.data.train),
            self.task.epochs.dense,
            self.task.rate,
        )
        if "dense" not in self.done:
            self.record("dense", **self.score(loop, forward_of(module, self.data.train)))
        return module

    @cached_property
    def teacher(self) -> Forward:
        """The answers of the dense network."""
        return forward_of(self.dense(), self.data.train)

    def more(self) -> None:
        """The baseline trained on at the rate of those that are pruned."""
        if "dense, trained on" not in self.done:
            module = self.dense()
            epochs, rate = self.task.epochs.more, self.task.rate * PRUNED_RATE
            loop = self.fit("more", module, forward_of(module, self.data.train), epochs, rate)
            self.record(
                "dense, trained on", **self.score(loop, forward_of(module, self.data.train))
            )

    def prune(self, pattern: str) -> None:
        """From dense down to the least density; each goes on from the one before."""
        module = self.dense()
        for density in self.task.levels:
            try:
                self.retrain(module, pattern, density, pattern, self.task.epochs.pruned,
                             self.task.rate * PRUNED_RATE)  # fmt: skip
            except PenstockError as error:
                print(self.task.name, self.seed, pattern, density, error, flush=True)
                return

    def prune_longer(self) -> None:
        """Each density from the dense network, retrained as that was trained; and that network too,
        so that what the teacher and the time are worth is seen."""
        for density in (1.0, *self.task.longer):
            self.retrain(self.dense(), LONGER, density, PATTERN, self.task.epochs.dense,
                         self.task.rate)  # fmt: skip

    def retrain(self, module: torch.nn.Module, name: str, density: float, pattern: str, epochs: int,
                rate: float) -> None:  # fmt: skip
        """Prune to ``density``, train on with the dense network as the teacher, save and score."""
        run = f"{name}/{density}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows left empty at 3 % are no surprise
            pruner = Pruner(module, self.task.patterns()[pattern], self.task.densities(density),
                            OneShot())  # fmt: skip
        forward = forward_of(module, self.data.train)
        adapt_to(module, density)
        loop = self.fit(run, module, forward, epochs, rate, after_step=pruner.step,
                        teacher=self.teacher)  # fmt: skip
        kept = sum(np.count_nonzero(matrix.kept()) for matrix in pruner.matrices)
        size = sum(matrix.mask.numel() for matrix in pruner.matrices)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner.finalize()
        torch.save(module.state_dict(), self.scratch / f"{name}-{density}.pt")
        if run not in self.done:
            found = self.score(loop, forward)
            self.record(run, pattern=pattern, density=kept / size, **found)

    def quantize(self, formats: Format) -> None:
        """Post-training quantization, then training in fixed point; what compiling it leaves."""
        run = f"quantized/{formats.name}"
        if run in self.done:
            return
        network, ranges, forward = self.in_fixed_point(formats)
        found: dict[str, Any] = {"post_training": self.score(self.loop(run), forward)}
        loop = self.fit_quantized(run, network, forward)
        found["trained"] = self.score(loop, forward)
        compiled = compile_network(network, ranges)
        self.record(run, format=asdict(formats), **found, **sizes(compiled))
        if self.seed == 0:
            compiled.write(self.scratch / formats.name.replace(", ", "-").replace(" ", "-"))

    def pack(self, formats: Format) -> None:
        """The same network with the index bits that take the fewest bytes.

        The compiler's own choice weighs bytes against cycles.
        """
        run, name = f"quantized/{formats.name}", f"smallest/{formats.name}"
        if name in self.done or run not in self.done:
            return
        network, ranges, forward = self.in_fixed_point(formats)
        self.fit_quantized(run, network, forward)  # trained already
        if (
            compile_network(network, ranges).report["totals"]["compression"]["ratio"]
            != (self.done[run]["ratio"])
        ):
            raise ValueError(f"{self.scratch} has not the network of {run}")
        found = [
            {"index_bits": bits, **sizes(compile_network(network, ranges, bits))}
            for bits in INDEX_BITS
        ]
        self.record(name, **max(found, key=lambda one: one["ratio"]))

    def in_fixed_point(
        self, formats: Format, pattern: str = PATTERN
    ) -> tuple[QuantizedNetwork, Ranges, Forward]:
        """A pruned network with these formats, untrained in them."""
        module = self.pruned(LONGER if formats.longer else pattern, formats.density)
        adapt_to(module, formats.density)
        embedding = getattr(module, "embedding", None)
        sample = self.data.train.part(np.arange(CALIBRATION_SEQUENCES))
        model = from_module(module, calibration=sample.x)

        def frames(x: torch.Tensor) -> torch.Tensor:
            return x if embedding is None else embedding(x).detach()

        ranges = calibrate(model, frames(torch.from_numpy(sample.x)).numpy(),
                           lengths=sample.lengths)  # fmt: skip
        network = QuantizedNetwork(model, ranges, formats.precision, learn_ranges=formats.learned)
        network.eval()

        def forward(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            x = frames(x)
            if network.training:
                x = module.disturbed(x)
            logits: torch.Tensor = network(x, lengths)
            return logits

        return network, ranges, forward

    def fit_quantized(self, run: str, network: QuantizedNetwork, forward: Forward) -> Loop:
        epochs, rate = self.task.epochs.quantized, self.task.rate * QUANTIZED_RATE
        return self.fit(run, network, forward, epochs, rate, groups=network.parameter_groups,
                        teacher=self.teacher)  # fmt: skip

    def pruned(self, pattern: str, density: float) -> torch.nn.Module:
        """A network that ``prune`` has saved."""
        module = self.task.make()
        path = self.scratch / f"{pattern}-{density}.pt"
        module.load_state_dict(torch.load(path, weights_only=True))
        return module.eval()


def compile_network(
    network: QuantizedNetwork, ranges: Ranges, index_bits: int | None = None
) -> Compiled:
    """As it was trained; index bits by the compiler's choice, if not given."""
    hardware = Hardware(pes=PES, index_bits=index_bits)
    model = network.to_model(quantized=True)
    return compile_model(model, ranges, hardware, network.trained_precision)


def sizes(compiled: Compiled) -> dict[str, Any]:
    """What it takes in bytes and cycles."""
    size = compiled.report["totals"]
    return {
        "density": size["density"], "ratio": size["compression"]["ratio"],
        "bytes": size["compression"]["compiled_bytes"],
        "bits_per_nonzero": size["bits_per_nonzero"],
        "cycles": compiled.report["timeline"]["cycles_per_step"],
    }  # fmt: skip


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"


def work(task: str, seed: int, stages: tuple[str, ...], data: Path, scratch: Path) -> None:
    """One task and seed, in a process of its own."""
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    folder = scratch / task / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    runner = Runner(TASKS[task], seed, data, folder, RESULTS / f"{task}-{seed}.jsonl")
    runner.dense()
    if "more" in stages:
        runner.more()
    for pattern in runner.task.patterns():
        if pattern in stages or "patterns" in stages:
            runner.prune(pattern)
    if "formats" in stages:
        for formats in FORMATS:
            runner.quantize(formats)
    if LONGER in stages and runner.task.longer:
        runner.prune_longer()
        for formats in LONGER_FORMATS:
            runner.quantize(formats)
    if "pack" in stages:
        for formats in (*FORMATS, *LONGER_FORMATS):
            runner.pack(formats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="fsdd/, rt_polarity/, ...")
    parser.add_argument("--scratch", type=Path, default=Path("build/compression"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    stages = [*STAGES, *PHONES.patterns()]
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=stages)
    parser.add_argument("--jobs", type=int, default=2, help="seeds side by side")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        runs = [
            pool.submit(work, task, seed, tuple(options.stages), options.data, options.scratch)
            for task in options.tasks
            for seed in options.seeds
        ]
        for run in runs:
            run.result()


if __name__ == "__main__":
    main()
