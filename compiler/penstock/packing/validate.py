"""The validator: from the packed bytes back to the weights, trusting nothing that made them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from penstock.formats import Bank, PhaseCode
from penstock.formats.rows import CHAIN_DISTANCE
from penstock.ir import Graph
from penstock.ir.matrix import Matrix
from penstock.packing.manifest import Manifest, unpack_phase
from penstock.packing.programs import prove_programs

BANKS = (4, 8, 16)


@dataclass(frozen=True)
class Proof:
    """What was proven of the packed weights. min_distance: words between uses of one address."""

    weights: int
    words: int
    hazard_distance: int
    min_distance: int | None


def validate(graph: Graph, manifest: Manifest, files: list[bytes], hazard_distance: int) -> Proof:
    """Prove that ``files`` hold exactly the weights of ``graph``, each once, free of hazards.

    Raises AssertionError or ValueError naming the phase if not: a fault of the compiler, or of who
    changed the files.
    """
    _validate_layouts(manifest)
    _validate_runs(manifest)
    weights = words = 0
    closest: list[int] = []
    covered: list[str] = []
    for index, phase in enumerate(manifest.phases):
        _validate_phase(graph, manifest, phase)
        entries = unpack_phase(manifest, files, index)
        phase.format.prove_entries(phase, entries)
        nonzeros, word = phase.format.decode(phase, entries)
        del entries  # as large as all that follows
        matrices = phase.format.matrices(phase, manifest.layouts, manifest.pes, nonzeros)
        for (matvec, operand), matrix in matrices.items():
            name = graph[matvec].inputs[2 * operand + 1]
            wanted = graph[name].tensor.constant
            is_equal = isinstance(wanted, Matrix) and matrix.equals(wanted)
            _demand(is_equal, phase.name, f"the words do not hold {name}")
            covered.append(name)
        least = phase.format.prove(phase, nonzeros, word, hazard_distance)
        if least is not None:
            closest.append(least)
        weights += len(nonzeros.pe)
        words += phase.words
    _validate_packets(manifest)
    if any(isinstance(phase.format, Bank) for phase in manifest.phases):
        prove_programs(manifest, files)
    read = [name for node in graph.of_kind("matvec") for name in node.inputs[1::2]]
    if sorted(covered) != sorted(read):
        raise AssertionError("a matrix is not packed, or packed more often than it is read")
    return Proof(weights, words, hazard_distance, min(closest, default=None))


def _demand(holds: bool, phase: str, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"phase {phase}: {otherwise}")


def _validate_layouts(manifest: Manifest) -> None:
    """Every element of every vector has one position, and no position two."""
    for name, layout in manifest.layouts.items():
        elements = sorted(element for element in layout.order if element != -1)
        if elements != list(range(len(elements))):
            raise AssertionError(f"layout {name} is not a permutation")


def _validate_runs(manifest: Manifest) -> None:
    """Every word of every phase stands in one run, and no run is of another phase."""
    for index, phase in enumerate(manifest.phases):
        runs = [manifest.runs[number] for number in manifest.runs_of(index)]
        ends = np.cumsum([run.words for run in runs]).tolist()
        firsts = [run.first for run in runs]
        _demand([*firsts, phase.words] == [0, *ends], phase.name, "its words are not in runs, once")
    if any(run.phase >= len(manifest.phases) for run in manifest.runs):
        raise AssertionError("a run is of no phase")


def _validate_packets(manifest: Manifest) -> None:
    """A run writes each packet CHAIN_DISTANCE cycles or more before any of its words gathers it.

    It writes them from its first cycle on, ``lead`` cycles before its first word; the words gather
    none sooner than the ``starts`` of the phase allow.
    """
    kernel = manifest.kernel
    for index, first, words, packets, to, lead, _ in kernel.runs.values():
        if index >= len(manifest.phases):
            raise AssertionError("a run of the kernel is of no phase")
        phase = manifest.phases[index]
        known = len(phase.starts) == len(phase.operands)
        _demand(known, phase.name, "its vectors have no starts, though packets are written")
        is_over = lead >= packets - 1 + CHAIN_DISTANCE  # written as a whole before the first word
        addresses = np.array(kernel.operand_bases[index]) + phase.first_columns()
        for operand in np.flatnonzero(addresses == to * kernel.elements_per_cycle):
            in_time = is_over or phase.starts[operand] + lead >= first
            is_idle = packets == 0 or words == 0
            _demand(is_idle or in_time, phase.name, "a run writes packets later than it reads them")


def _validate_phase(graph: Graph, manifest: Manifest, phase: PhaseCode) -> None:
    """The phase's code describes the products that the graph has, as the kernel computes them."""
    rows = manifest.layouts[phase.rows]
    form = phase.format
    if isinstance(form, Bank):
        is_whole = form.rows * form.banks == manifest.pes and form.rows % phase.siblings == 0
        _demand(is_whole and phase.banks == 0, phase.name, "impossible rows and banks")
    else:
        is_possible = phase.banks in BANKS and phase.siblings <= phase.banks
        _demand(is_possible, phase.name, "impossible banks")
    owners = form.owners(phase, manifest.pes)
    _demand(rows.positions == phase.rows_per_pe * owners, phase.name, "rows are misplaced")
    ascends = all(row < following for row, following in pairwise(phase.shared))
    is_there = set(phase.shared) <= set(range(rows.length))
    _demand(ascends and is_there, phase.name, "the shared rows are not rows, each once")
    same_format = phase.format.name == manifest.phases[0].format.name
    _demand(same_format, phase.name, "formats differ between phases")
    for matvec in phase.matvecs:
        node = graph[matvec]
        _demand(node.sweep == phase.sweep, phase.name, f"{matvec} is of another sweep")
        _demand(node.tensor.length == rows.length, phase.name, f"{matvec} has other rows")
        _demand(manifest.layout_of[matvec] == phase.rows, phase.name, f"{matvec} lies elsewhere")
    _validate_gathers(graph, manifest, phase)


def _validate_gathers(graph: Graph, manifest: Manifest, phase: PhaseCode) -> None:
    """Every product reads its own vectors, and each vector of the phase is one of the graph's."""
    _demand(len(phase.gathers) == len(phase.matvecs), phase.name, "some products gather nothing")
    vectors: dict[int, str] = {}
    for matvec, gathered in zip(phase.matvecs, phase.gathers, strict=True):
        sources = graph[matvec].inputs[::2]
        _demand(len(gathered) == len(sources), phase.name, f"{matvec} reads other vectors")
        for operand, x in zip(gathered, sources, strict=True):
            layout = manifest.layouts[manifest.layout_of[x]]
            own = (manifest.layout_of[x], layout.columns)
            is_own = 0 <= operand < len(phase.operands) and phase.operands[operand] == own
            is_own = is_own and vectors.setdefault(operand, x) == x
            _demand(is_own, phase.name, f"{matvec} reads other vectors")
            _demand(layout.length == graph[x].tensor.length, phase.name, f"{x} has other columns")
    each_once = len(vectors) == len(phase.operands) == len(set(vectors.values()))
    _demand(each_once, phase.name, "the vectors are not those of the products, each once")
