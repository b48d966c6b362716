"""What an inspection finds, as plain values: ``penstock inspect --json`` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.compress.recognize import NonZeros, common_banks
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.ir import Graph
from penstock.ir.matrix import Matrix

SCHEMA = 1


@dataclass(frozen=True)
class MatrixRow:
    """A weight matrix, and the patterns of ``penstock.compress`` that its non-zeros have.

    pe_balanced, column_balanced: for so many PEs, row r on PE r mod PEs; bank_balanced: banks of
    so many columns. row_balanced: every row has as many non-zeros.
    """

    name: str
    rows: int
    columns: int
    nonzeros: int
    density: float
    row_balanced: bool
    pe_balanced: list[int]
    column_balanced: list[int]
    bank_balanced: list[int]
    imbalance: float

    @classmethod
    def of(cls, name: str, found: NonZeros, pes: int) -> MatrixRow:
        """The row of a matrix. pes: those whose imbalance is told."""
        return cls(
            name, *found.shape, found.count, found.density, found.is_row_balanced,
            found.pe_balanced, found.column_balanced, found.bank_balanced, found.imbalance(pes),
        )  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """What the compiler says of what it can't compile, where, and what to try."""

    what: str
    where: str
    hint: str

    @classmethod
    def of(cls, error: PenstockError) -> Refusal:
        """The parts of an error."""
        return cls(error.what, error.where, error.hint)

    def line(self) -> str:
        """As ``penstock compile`` says it."""
        return PenstockError(self.what, self.where, self.hint).line()


@dataclass(frozen=True)
class Way:
    """Options by which a state dict is read in another way, and what is said then, if it is."""

    options: list[str]
    refusal: Refusal | None


@dataclass(frozen=True)
class Outcome:
    """What a compile gives."""

    pes: int
    lanes: int
    part: str
    clock_mhz: float
    cycles_per_step: int
    microseconds_per_step: float
    fit: dict[str, str]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Outcome:
        """Of report.json."""
        hardware, timeline = report["hardware"], report["timeline"]
        return cls(
            hardware["pes"], hardware["lanes"], hardware["part"], hardware["clock_mhz"],
            timeline["cycles_per_step"], timeline["microseconds_per_step"],
            {name: fit["verdict"] for name, fit in report["resources"]["totals"].items()},
        )  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """All that is told of a file or a folder:

    schema (1), file; form (state dict, compressed checkpoint, ONNX model, program of torch.export
    or project); inputs, outputs (null where the network is not known), states {name: elements};
    layers as in report.json: name, kind, direction, sources, inputs, outputs, weights, and what a
    layer of its kind has;
    matrices [name, rows, columns, nonzeros, density (a fraction), row_balanced (every row has as
    many), pe_balanced and column_balanced [for so many PEs, row r on PE r mod PEs], bank_balanced
    [sizes of banks], imbalance (the heaviest PE's non-zeros over the mean, row r on PE r mod PEs,
    on the PEs that it is compiled for)];
    banks [numbers of banks, column j of a vector in bank j mod banks, for which every row is
    balanced over all matrices of its sum: for --dataflow bank];
    tensors [name, shape] of a state dict whose network was refused;
    compiles, refusal (null, or what, where, hint: the compiler's own words); of a refused state
    dict, ways [options, refusal]: where its head could run, and recurrent modules alone (the first
    32);
    outcome (null, or what the compile gives: pes, lanes, part, clock_mhz, cycles_per_step,
    microseconds_per_step, fit {resource: fits, unsure or does not fit}); of a file it is
    compiled in memory, on the hardware of the command and synthetic frames;
    notes (what is assumed or worth knowing), command (what to run next; null where the user must
    choose)
    """

    file: str
    form: str
    compiles: bool
    inputs: int | None = None
    outputs: int | None = None
    states: dict[str, int] = field(default_factory=dict)
    layers: list[dict[str, Any]] = field(default_factory=list)
    matrices: list[MatrixRow] = field(default_factory=list)
    banks: list[int] = field(default_factory=list)
    tensors: list[dict[str, Any]] = field(default_factory=list)
    refusal: Refusal | None = None
    ways: list[Way] = field(default_factory=list)
    outcome: Outcome | None = None
    notes: list[str] = field(default_factory=list)
    command: str | None = None
    schema: int = SCHEMA


def nonzeros_of(weights: Mapping[str, FloatArray | Matrix]) -> dict[str, NonZeros]:
    """Matrix by name -> where it is not zero."""
    return {name: NonZeros.of(values) for name, values in weights.items()}


def banks_of(graph: Graph, weights: Mapping[str, FloatArray | Matrix]) -> list[int]:
    """The numbers of banks for which a network is balanced. weights: of the graph's constants."""
    sums = []
    for node in graph.of_kind("matvec"):
        names = [operand for operand in node.inputs if operand in weights]
        sums.append([NonZeros.of(weights[name]) for name in names])
    return common_banks(sums)
