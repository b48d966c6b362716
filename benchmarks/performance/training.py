"""What a step of quantization-aware training takes, against plain float training.

    python benchmarks/performance/training.py [--batches 16 32] [--name training] [--print]

ESE's layer on random frames, 50 steps a sequence: forward, backward and Adam's step, on one thread.
Float training is penstock.nn.LSTM's of the same network in float32, peepholes included, which is
the reference, and torch.nn.LSTM's, which has no peepholes. Each run is a process of its own; the
variants take turns, and a row is the median of its runs. Memory is the greatest resident set; of
Python with torch and Penstock loaded it is given, too, and subtracted for the second ratio. The
rows go into results/NAME.json (training_before: of revision 478ccf0, before it was made faster);
``--print`` only prints the table that they make.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from children import Took, load, save, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

NAME = "training"
STEPS, RATE, SEED = 50, 1e-4, 1
UPDATES, ROUNDS = 4, 3
REFERENCE, PLAIN, LOADED = "penstock.nn.LSTM", "torch.nn.LSTM", "nothing trained"
LEARNED = "quantization-aware, ranges learned"
VARIANTS = (LOADED, PLAIN, REFERENCE, "quantization-aware", LEARNED)


def float_layer(variant: str) -> Any:
    """A float32 layer of ESE's shape."""
    import torch
    from ese_layer import CELLS, INPUTS, PROJECTION

    from penstock.nn import LSTM

    shape = {"proj_size": PROJECTION, "batch_first": True}
    if variant == REFERENCE:
        return LSTM(INPUTS, CELLS, peephole=True, **shape)
    return torch.nn.LSTM(INPUTS, CELLS, **shape)


def quantized(x: Any, learn_ranges: bool) -> Any:
    """ESE's layer in fixed point, calibrated on some of the frames."""
    from ese_layer import tensors

    from penstock.compress import calibrate
    from penstock.compress.qat import QuantizedNetwork
    from penstock.frontend.state_dict import from_state_dict

    model = from_state_dict(tensors())
    ranges = calibrate(model, x[:4, :10].double().numpy())
    return QuantizedNetwork(model, ranges, learn_ranges=learn_ranges)


def updates(variant: str, batch: int) -> list[float]:
    """CPU seconds of each update but the first, which also allocates."""
    import torch
    from ese_layer import INPUTS

    import penstock.compress.qat
    import penstock.nn  # noqa: F401

    if variant == LOADED:
        return [0.0]
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    x = torch.randn(batch, STEPS, INPUTS)
    if variant in (PLAIN, REFERENCE):
        network = float_layer(variant)
        forward = lambda: network(x)[0]  # noqa: E731
    else:
        network = quantized(x, variant == LEARNED)
        forward = lambda: network(x)  # noqa: E731
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    return [seconds_of(lambda: update(forward, optimizer)) for _ in range(UPDATES + 1)][1:]


def update(forward: Callable[[], Any], optimizer: Any) -> None:
    """One step of training; its graph is gone when it returns."""
    loss = forward().square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def seconds_of(function: Callable[[], None]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def measure(batches: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each variant and batch."""
    return [row for batch in batches for row in measured(batch)]


def measured(batch: int) -> list[dict[str, Any]]:
    """The rows of one batch."""
    runs: dict[str, list[Took]] = {variant: [] for variant in VARIANTS}
    for _ in range(ROUNDS):
        for variant, took in runs.items():
            command = [sys.executable, "-W", "ignore", __file__, "--child", variant]
            took.append(timed(*command, "--batches", str(batch)))
    seconds = {
        variant: statistics.median(float(run.output) for run in took)
        for variant, took in runs.items()
    }
    peak = {
        variant: statistics.median(run.peak_mb for run in took) for variant, took in runs.items()
    }
    return [
        {
            "batch": batch, "variant": variant,
            "cpu_s": round(seconds[variant], 3),
            "cpu_ratio": round(seconds[variant] / seconds[REFERENCE], 2),
            "cpu_ratio_torch": round(seconds[variant] / seconds[PLAIN], 2),
            "peak_mb": round(peak[variant]),
            "peak_ratio": round(peak[variant] / peak[REFERENCE], 2),
            "training_mb": round(peak[variant] - peak[LOADED]),
            "training_ratio": round(
                (peak[variant] - peak[LOADED]) / (peak[REFERENCE] - peak[LOADED]), 2
            ),
        }
        for variant in VARIANTS
    ]  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        f"| batch of {STEPS} steps | trained by | CPU, s an update | of {REFERENCE} "
        f"| of {PLAIN} | peak, MB | of {REFERENCE} | less what is loaded, MB | of {REFERENCE} |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['batch']} | {row['variant']} | {row['cpu_s']:.2f} | {row['cpu_ratio']:.2f} x "
        f"| {row['cpu_ratio_torch']:.2f} x | {row['peak_mb']:,} | {row['peak_ratio']:.2f} x "
        f"| {row['training_mb']:,} | {row['training_ratio']:.2f} x |"
        for row in rows
        if row["variant"] != LOADED
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="*", default=(16, 32))
    parser.add_argument("--name", default=NAME, help="of the file below results")
    parser.add_argument("--print", action="store_true", help="only what was measured before")
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(statistics.median(updates(arguments.child, *arguments.batches)))
        return
    if not arguments.print:
        save(arguments.name, measure(arguments.batches))
    print(table(load(arguments.name)["rows"]))


if __name__ == "__main__":
    main()
