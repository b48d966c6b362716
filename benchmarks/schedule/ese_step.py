"""ESE's 16,540 cycles a step, part by part: what the broadcast dataflow explains of them.

ESE's nine matrices are taken as its authors computed them (Han et al., FPGA 2017): one after
another, row r on PE r mod 32, pruned to the same number of weights on every PE, 4-bit relative
index. What is modelled is what ``penstock.formats`` does with such masks. Weights are random: the
authors published none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from masks import CELLS, INPUTS, PROJECTION
from penstock.bounds import DEEPEST_QUEUE
from penstock.compress import pe_balanced_mask
from penstock.formats import Entries, Layout, NonZeros, PhaseCode, Relative
from penstock.formats.relative import ESE_INDEX_BITS
from penstock.ir.matrix import Matrix
from penstock.schedule.assign import interleave
from penstock.settings import EIE_QUEUE_DEPTH
from penstock_runtime.bench.ese import PUBLISHED

PES, SEED, WEIGHT_BITS, POINTER_BITS = 32, 2017, 12, 16
MHZ = PUBLISHED["clock_mhz"]
STEP_CYCLES = round(PUBLISHED["step_us"] * MHZ)


@dataclass(frozen=True)
class Alike:
    """Matrices of one shape. densities: of each, per cent; us: published, of each one."""

    name: str
    rows: int
    columns: int
    densities: tuple[float, ...]
    us: float


MATRICES = (
    Alike("four of x", CELLS, INPUTS, (11.7, 11.7, 11.8, 11.5), 5.36),
    Alike("four of y", CELLS, PROJECTION, (11.3, 11.5, 11.2, 11.5), 10.31),
    Alike("projection", PROJECTION, CELLS, (10.0,), 10.01),
)
"""Densities and times are recalled from table 5 of the paper, not looked up again. They fit what
``bench.ese`` cites: the non-zeros are those of its GOP/s, see ``implied_nonzeros``."""


def implied_nonzeros() -> float:
    """What the published operations of a step say of the weights: 2 for each, of every sequence."""
    operations = PUBLISHED["gops"] * 1e3 * PUBLISHED["step_us"]
    return float(operations / (2 * PUBLISHED["sequences"]))


def coded(mask: np.ndarray, queue_depth: int) -> tuple[PhaseCode, NonZeros, Entries]:
    """One matrix alone, in ESE's order of rows, without a hazard distance: ESE names none."""
    rows, columns = mask.shape
    layouts = {
        "rows": Layout.from_assignment(interleave(rows, PES), PES),
        "x": Layout.plain(columns, 1),
    }
    code = PhaseCode(
        "p", 0, ("m",), "rows", layouts["rows"].positions // PES, (("x", columns),), ((0,),),
        WEIGHT_BITS, Relative(ESE_INDEX_BITS, queue_depth), banks=4, words=0,
    )  # fmt: skip
    matrices = {("m", 0): Matrix.of(mask.astype(np.int64))}
    nonzeros = code.format.place(code, layouts, PES, matrices)
    return code, nonzeros, code.format.encode(code, PES, nonzeros, 1)


def parts_of(mask: np.ndarray) -> dict[str, int]:
    """Cycles of one matrix by what they are for; each part is what the slowest PE takes more."""
    code, nonzeros, free = coded(mask, DEEPEST_QUEUE)
    waste = code.format.waste(code, free)
    own = np.bincount(nonzeros.pe, minlength=PES)
    padded = own + waste["padding"]
    bound = -(-len(nonzeros.pe) // PES)
    found = {
        "bound: non-zeros / 32 PEs": bound,
        "more on the heaviest PE": int(own.max()) - bound,
        f"padding of the {ESE_INDEX_BITS}-bit index": int(padded.max()) - int(own.max()),
        "columns of a PE without non-zeros": free.words - int(padded.max()),
    }
    _, _, queued = coded(mask, EIE_QUEUE_DEPTH)
    found[f"waiting, activation queues {EIE_QUEUE_DEPTH} deep"] = queued.words - free.words
    return found


def masks_of(alike: Alike, generator: np.random.Generator) -> list[np.ndarray]:
    """Balanced over the PEs, as load-balance-aware pruning leaves them."""
    return [
        pe_balanced_mask(generator.normal(size=(alike.rows, alike.columns)), density / 100, PES)
        for density in alike.densities
    ]


def explained() -> list[list[str]]:
    """The lines of the table, each with a cell for every kind of matrix and one for all."""
    generator = np.random.default_rng(SEED)
    parts: dict[str, list[int]] = {}
    counts = []
    for number, alike in enumerate(MATRICES):
        masks = masks_of(alike, generator)
        counts.append(sum(int(mask.sum()) for mask in masks))
        for mask in masks:
            for part, cycles in parts_of(mask).items():
                parts.setdefault(part, [0] * len(MATRICES))[number] += cycles
    modelled = [sum(own) for own in zip(*parts.values(), strict=True)]
    published = [round(alike.us * MHZ) * len(alike.densities) for alike in MATRICES]
    lines = [[part, *cycles, sum(cycles)] for part, cycles in parts.items()]
    lines.append(["**the model**", *modelled, sum(modelled)])
    lines.append(["ESE, by matrix", *published, sum(published)])
    beyond = [own - model for own, model in zip(published, modelled, strict=True)]
    lines.append(["**not explained by the model**", *beyond, sum(beyond)])
    rest = STEP_CYCLES - sum(published)
    lines.append(["beside the matrices: element-wise work that is not hidden", "", "", "", rest])
    lines.append(["**ESE, a step**", "", "", "", STEP_CYCLES])
    lines.insert(0, ["non-zeros", *counts, sum(counts)])
    return [[str(cell) if isinstance(cell, str) else f"{cell:,}" for cell in line]
            for line in lines]  # fmt: skip


def pointer_bits() -> tuple[float, float]:
    """Bits of a non-zero that tell columns apart: our ``last`` bits; pointers as ESE has them.

    That a pointer has ``POINTER_BITS`` bits is assumed.
    """
    generator = np.random.default_rng(SEED)
    nonzeros = entries = pointers = 0
    for alike in MATRICES:
        for mask in masks_of(alike, generator):
            _, held, found = coded(mask, EIE_QUEUE_DEPTH)
            nonzeros += len(held.pe)
            entries += found.words * PES
            pointers += PES * (alike.columns + 1)
    return entries / nonzeros, pointers * POINTER_BITS / nonzeros
