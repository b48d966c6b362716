"""The bank dataflow on ESE's layer, and on small networks beside gather: cycles and resources.

    python benchmarks/banks.py [--write]

Weights are random (seeded). Of ESE's layer every row keeps 2 weights of [x; y] in each of 32 banks
(9.6 %), and 3 of the projection (9.4 %); or as many, but one in each of 64 and 96 banks, so that
turns work in passes. Sequences that take turns share the multipliers. The small networks are one of
128 cells with a projection, and that of the digits example, of 64 cells: every row keeps a weight
of [x; y] in each of 8 banks. Cycles are the timeline's, resources the estimate's. ``--write`` puts
the tables into docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import ese_layer
from fit import verdict
from story import RESULTS, replace_section

from penstock import Compiled, Hardware, compile_checkpoint

GATES, PROJECTION = (32, 2), (32, 3)
FINER_GATES, FINER_PROJECTION = (64, 1), (96, 1)
"""Banks, and the weights that a row keeps in each."""
SHAPES = ((32, 32), (64, 16), (64, 32), (128, 16), (128, 32))
FINER_SHAPES = ((32, 32), (64, 32), (128, 32))
TITLES = ("rows x banks", "multipliers", "cells a cycle", "words", "cycles", "us",
          "one step a call", "bits a non-zero", "DSP", "BRAM18", "LUT", "FF", "fits")  # fmt: skip
SMALL = {"inputs": 39, "cells": 128, "projection": 64}
TURNS = ((32, 32, 2), (32, 32, 4), (64, 32, 2), (64, 32, 4), (128, 32, 4))
TITLES_OF_TURNS = ("rows x banks", "sequences", "cells a cycle", "words", "cycles",
                   "cycles a sequence", "of the words", "us a sequence", "DSP", "BRAM18", "LUT",
                   "fits")  # fmt: skip
DIGITS = {"inputs": 8, "cells": 64, "classes": 10}
SMALL_TITLES = ("dataflow", "PEs", "sequences", "cell units", "words", "cycles", "us", "DSP",
                "BRAM18", "LUT", "fits")  # fmt: skip


def kept_in_banks(
    shape: tuple[int, int], banks: int, count: int, bank_of: np.ndarray
) -> np.ndarray:
    """Random weights, ``count`` of every row in each bank. bank_of: (columns)."""
    generator = np.random.default_rng(ese_layer.SEED)
    values = np.zeros(shape)
    for bank in range(banks):
        columns = np.flatnonzero(bank_of == bank)
        order = np.argsort(generator.random((shape[0], len(columns))), axis=1)[:, :count]
        rows = np.arange(shape[0])[:, None]
        values[rows, columns[order]] = generator.normal(0, 0.1, order.shape)
    return values


Kept = tuple[int, int]


def tensors(
    inputs: int, cells: int, projection: int, of_gates: Kept, of_projection: Kept
) -> dict:  # fmt: skip
    """A state dict with a bank-balanced mask; column j of a vector is of bank j mod ``banks``."""
    found = ese_layer.tensors(1, inputs, cells, projection)
    banks, kept = of_gates
    bank_of = np.concatenate([np.arange(inputs) % banks, np.arange(projection) % banks])
    both = kept_in_banks((4 * cells, inputs + projection), banks, kept, bank_of)
    found["lstm.weight_ih_l0"] = both[:, :inputs].astype(np.float32)
    found["lstm.weight_hh_l0"] = both[:, inputs:].astype(np.float32)
    banks, kept = of_projection
    hidden = kept_in_banks((projection, cells), banks, kept, np.arange(cells) % banks)
    found["lstm.weight_hr_l0"] = hidden.astype(np.float32)
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


def compiled(path: Path, **settings: object) -> Compiled:
    """For a board."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the error on synthetic frames
        return compile_checkpoint(path, None, Hardware(**settings))


def bits_of_a_nonzero(made: Compiled) -> float:
    """Of all that is stored of the words, in the files, by non-zero."""
    size = sum(made.manifest.file_bytes().values())
    return 8 * size / sum(product.nonzeros for product in made.machine.plan.products)


def large(path: Path, shapes: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, ...]]:
    """ESE's layer on a U55C."""
    for rows, banks in shapes:
        made = compiled(path, dataflow="bank", rows=rows, banks=banks, board="u55c")
        machine, used = made.machine, made.report["resources"]["totals"]
        words = sum(product.code.words for product in machine.plan.products)
        step, clock = machine.timeline.step, machine.hardware.clock_mhz
        yield (
            f"{rows} x {banks}", f"{rows * banks:,}", str(machine.hardware.cell_units), str(words),
            f"{step:,}", f"{step / clock:.2f}", f"{machine.timeline.call(1, 'carried'):,}",
            f"{bits_of_a_nonzero(made):.2f}",
            *(f"{used[name]['used']:,} of {used[name]['total']:,}"
              for name in ("dsp", "bram18", "lut", "ff")),
            verdict(made.report),
        )  # fmt: skip


def in_turns(path: Path) -> Iterator[tuple[str, ...]]:
    """ESE's layer on a U55C, several sequences in one pipeline."""
    for rows, banks, turns in TURNS:
        made = compiled(path, dataflow="bank", rows=rows, banks=banks, board="u55c", lanes=turns,
                        interleave=turns)  # fmt: skip
        machine, used = made.machine, made.report["resources"]["totals"]
        words = sum(product.code.words for product in machine.plan.products)
        step, clock = machine.timeline.step, machine.hardware.clock_mhz
        yield (
            f"{rows} x {banks}", str(turns), str(machine.hardware.cell_units), str(words),
            f"{step:,}", f"{step / turns:.1f}", f"{step / turns / words:.3f}",
            f"{step / turns / clock:.2f}",
            *(f"{used[name]['used']:,} of {used[name]['total']:,}"
              for name in ("dsp", "bram18", "lut")),
            verdict(made.report),
        )  # fmt: skip


def digits(inputs: int, cells: int, classes: int, banks: int) -> dict:
    """A state dict as that of the digits example, with a bank-balanced mask."""
    bank_of = np.concatenate([np.arange(inputs), np.arange(cells)]) % banks
    both = kept_in_banks((4 * cells, inputs + cells), banks, 1, bank_of)
    generator = np.random.default_rng(ese_layer.SEED)
    found = {
        "lstm.weight_ih_l0": both[:, :inputs], "lstm.weight_hh_l0": both[:, inputs:],
        "lstm.bias_ih_l0": generator.normal(0, 0.1, 4 * cells),
        "lstm.bias_hh_l0": np.zeros(4 * cells),
        "head.weight": generator.normal(0, 0.1, (classes, cells)), "head.bias": np.zeros(classes),
    }  # fmt: skip
    return {name: np.ascontiguousarray(v.astype(np.float32)) for name, v in found.items()}


GATHER = ({"dataflow": "gather", "pes": 16}, {"dataflow": "gather", "pes": 24},
          {"dataflow": "gather"})  # fmt: skip
OF_SMALL = (*GATHER, *(
    {"dataflow": "bank", "rows": rows, "banks": banks} for rows, banks in ((8, 4), (8, 8), (16, 8))
), {"dataflow": "bank"})  # fmt: skip
OF_DIGITS = (*GATHER, {"dataflow": "gather", "pes": 32}, *(
    {"dataflow": "bank", "rows": rows, "banks": banks} for rows, banks in ((8, 4), (16, 4))
), {"dataflow": "bank"},
    {"dataflow": "bank", "rows": 16, "banks": 4, "lanes": 4, "interleave": 4},
)  # fmt: skip


def small(path: Path, every: tuple[dict, ...]) -> Iterator[tuple[str, ...]]:
    """A small network on a PYNQ-Z2."""
    for settings in every:
        made = compiled(path, board="pynq-z2", **settings)
        machine, used = made.machine, made.report["resources"]["totals"]
        hardware = machine.hardware
        shape = f"{hardware.rows} x {hardware.banks}" if hardware.is_bank else str(hardware.pes)
        words = sum(product.code.words for product in machine.plan.products)
        step = machine.timeline.step
        yield (
            hardware.dataflow, shape, str(hardware.lanes), str(hardware.cell_units), f"{words:,}",
            f"{step:,}",
            f"{step / hardware.clock_mhz:.2f}",
            *(f"{used[name]['used']:,} of {used[name]['total']:,}"
              for name in ("dsp", "bram18", "lut")),
            verdict(made.report),
        )  # fmt: skip


def table(titles: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    """In Markdown; printed as it comes."""
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for cells in rows:
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "ese.safetensors"
        sizes = (ese_layer.INPUTS, ese_layer.CELLS, ese_layer.PROJECTION)
        save_file(tensors(*sizes, GATES, PROJECTION), path)
        lines = table(TITLES, large(path, SHAPES))
        lines += ["", "Sequences that take turns:", "", *table(TITLES_OF_TURNS, in_turns(path))]
        save_file(tensors(*sizes, FINER_GATES, FINER_PROJECTION), path)
        lines += ["", "Balanced for 64 banks of [x; y] and 96 of the projection, in passes:", ""]
        lines += table(TITLES, large(path, FINER_SHAPES))
        little = Path(scratch) / "small.safetensors"
        save_file(tensors(*SMALL.values(), (8, 1), (8, 2)), little)
        lines += ["", "The network of 128 cells on a PYNQ-Z2:", ""]
        lines += table(SMALL_TITLES, small(little, OF_SMALL))
        save_file(digits(**DIGITS, banks=8), little)
        lines += ["", "The digits network on a PYNQ-Z2:", ""]
        lines += table(SMALL_TITLES, small(little, OF_DIGITS))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines += [
        "",
        f"Printed by `make bench-banks` on {date.today()}, {machine}; seed {ese_layer.SEED}.",
    ]
    if options.write:
        replace_section(RESULTS, "banks", "\n".join(lines))


if __name__ == "__main__":
    main()
