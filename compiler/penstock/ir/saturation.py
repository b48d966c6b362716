"""Values that lay outside their type and were brought into range: what counts, and how many.

An engine says of every tensor that can lose values this way how many it lost (``Result``). Which
tensors those are follows from the proven intervals: whatever provably fits is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import (
    Fixed,
    FloatArray,
    IntArray,
    Overflow,
    Rounding,
    remainder_of,
    rounds_up,
)
from penstock.ir.graph import Direction, Graph, Node


class Kind(StrEnum):
    """What was out of range."""

    INPUT = "input frame"  # floats beyond the input's type
    STATE = "given state"  # floats beyond the state's type
    VALUE = "value"  # of a tensor of the network
    TABLE = "table input"  # where sigma and tanh are flat: no fault by itself


@dataclass(frozen=True)
class Saturation:
    """What a tensor lost: ``count`` of ``of`` values, in lanes and steps that count.

    Wrapping counts as saturating does. first_step: the least number of a step of the sequence where
    it happened; a value that a sequence has once belongs to its last step, a given state to step 0;
    None where nothing happened.
    """

    name: str
    kind: Kind
    count: int
    of: int
    first_step: int | None = None

    @property
    def share(self) -> float:
        """count / of."""
        return self.count / self.of if self.of else 0.0

    def __str__(self) -> str:
        what = {Kind.VALUE: "", Kind.TABLE: " (table input)"}.get(self.kind, f" ({self.kind})")
        since = "" if self.first_step is None else f", first at step {self.first_step}"
        return f"{self.name}{what}: {self.count:,} of {self.of:,} values{since}"

    def later(self, steps: int) -> Saturation:
        """The same, of a run that began ``steps`` steps later."""
        if self.first_step is None:
            return self
        return replace(self, first_step=self.first_step + steps)


def merged(*runs: Iterable[Saturation]) -> tuple[Saturation, ...]:
    """The counts of several runs, added up tensor by tensor, in order of appearance."""
    found: dict[tuple[str, Kind], Saturation] = {}
    for one in (one for run in runs for one in run):
        old = found.get((one.name, one.kind))
        found[one.name, one.kind] = one if old is None else _sum(old, one)
    return tuple(found.values())


def _sum(a: Saturation, b: Saturation) -> Saturation:
    steps = [one.first_step for one in (a, b) if one.first_step is not None]
    return replace(a, count=a.count + b.count, of=a.of + b.of, first_step=min(steps, default=None))


@cache
def range_within(to: Fixed, frac: int) -> tuple[int, int]:
    """The least and the greatest raw value of ``frac`` fraction bits that ``to`` rounds into range.

    Rounding is monotone, so all between them are in range, and all others are not.
    """
    lowest, highest, drop_bits = lowest_of(to), to.raw_max, frac - to.frac
    if drop_bits <= 0:
        return -(-lowest >> -drop_bits), highest >> -drop_bits
    half = 1 << (drop_bits - 1)
    edges = (2 * half - 1, half, half - 1, 0)  # no mode decides anywhere else
    up = next(r for r in edges if not rounds_up(to.rounding, highest, r, half))
    down = next(
        (r for r in (1, half, half + 1) if rounds_up(to.rounding, lowest - 1, r, half)), 2 * half
    )
    return ((lowest - 1) << drop_bits) + down, (highest << drop_bits) + up


def outside(raw: IntArray, lo: int, hi: int) -> NDArray[np.bool_]:
    """Which raw values lie outside lo..hi."""
    is_outside: NDArray[np.bool_] = (raw < lo) | (raw > hi)
    return is_outside


def lowest_of(to: Fixed) -> int:
    """The least raw integer that the overflow mode leaves as it is."""
    is_symmetric = to.overflow is Overflow.SAT_SYM and to.signed and to.width > 1
    return -to.raw_max if is_symmetric else to.raw_min


def reals_outside(to: Fixed, values: FloatArray) -> NDArray[np.bool_]:
    """Which finite real ``values`` do not round to a value of ``to``."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(values.astype(np.float64), to.frac)
    scaled = np.clip(scaled, -(2.0**62), 2.0**62)
    floor = np.floor(scaled)
    raw = floor.astype(np.int64)
    raw = raw + rounds_up(to.rounding, raw, remainder_of(scaled, floor), 0.5)
    outside: NDArray[np.bool_] = (raw < lowest_of(to)) | (raw > to.raw_max)
    return outside


PLAIN_WIDTH = 32
"""Up to so many bits, the limits of a type and their halves are exact in float64."""


def plainly_quantized(to: Fixed, values: FloatArray) -> IntArray | None:
    """``to.quantize(values)`` if all are finite and none is out of range, else None.

    In a few passes, for the usual type: rounded half up, saturated.
    """
    is_usual = to.rounding is Rounding.RND and to.overflow is Overflow.SAT
    if not is_usual or to.width > PLAIN_WIDTH:
        return None
    real = values.astype(np.float64)
    least, greatest = real.min(), real.max()  # NaN if one is
    if not (least >= (to.raw_min - 0.5) * to.step and greatest < (to.raw_max + 0.5) * to.step):
        return None
    scaled = real * 2.0**to.frac
    floor = np.floor(scaled)
    raw: IntArray = floor.astype(np.int64)
    raw += scaled - floor >= 0.5
    return raw


@dataclass(frozen=True)
class Saturable:
    """A node that can lose values. lo, hi: between them, all raw values of its operand fit."""

    node: Node
    kind: Kind
    lo: int
    hi: int


def saturable(graph: Graph) -> dict[str, Saturable]:
    """The nodes whose operand can lie outside the type of the result, in the graph's order."""
    found = {}
    for node in graph.nodes():
        sources = [source.tensor for source in graph.inputs(node)]
        limits = None if node.tensor.constant is not None else node.op.fitting(*sources)
        if limits is not None and (sources[0].lo < limits[0] or sources[0].hi > limits[1]):
            found[node.name] = Saturable(node, kind_of(graph, node), *limits)
    return found


def kind_of(graph: Graph, node: Node) -> Kind:
    """TABLE if all that read it are tables, and it saturates: what wraps there is wrong."""
    users = graph.users(node.name)
    is_input = bool(users) and all(user.op.tables != slice(0, 0) for user in users)
    saturates = node.tensor.type.overflow in (Overflow.SAT, Overflow.SAT_SYM)
    return Kind.TABLE if is_input and saturates else Kind.VALUE


def counted(name: str, kind: Kind, outside: NDArray[np.bool_], lengths: IntArray) -> Saturation:
    """Of values (lanes, steps, n), those marked ``outside`` within the lanes' ``lengths``."""
    steps = np.arange(outside.shape[1])
    found = outside & (steps < lengths[:, None])[:, :, None]
    of = int(lengths.sum()) * outside.shape[2]
    at = np.flatnonzero(found.any(axis=(0, 2)))
    return Saturation(name, kind, int(found.sum()), of, int(at[0]) if len(at) else None)


def tallied(
    nodes: Mapping[str, Saturable],
    sweeps: Sequence[Direction],
    lengths: IntArray,
    found: Mapping[str, tuple[int, int | None]],
) -> tuple[Saturation, ...]:
    """What sequences of ``lengths`` lost, of each node. found: name -> how many, the first step."""
    each, once = int(lengths.sum()), int(np.count_nonzero(lengths))

    def values(node: Node) -> int:
        return node.tensor.length * (once if sweeps[node.sweep] is Direction.ONCE else each)

    return tuple(
        Saturation(name, one.kind, found[name][0], values(one.node), found[name][1])
        for name, one in nodes.items()
    )


class Counter:
    """Counts for one run. nodes: those of ``saturable``; sweeps: of the graph, by index."""

    def __init__(self, nodes: dict[str, Saturable], sweeps: list[Direction]) -> None:
        self.nodes, self._sweeps = nodes, sweeps
        self._counts = dict.fromkeys(nodes, 0)
        self._first: dict[str, int] = {}

    def add(self, name: str, lost: NDArray[np.bool_], steps: IntArray) -> None:
        """lost: (lanes, n), of the lanes that count; steps: (lanes), the step of each."""
        count = int(np.count_nonzero(lost))
        if count:
            self._counts[name] += count
            first = int(steps[lost.any(axis=1)].min())
            self._first[name] = min(first, self._first.get(name, first))

    def result(self, lengths: IntArray) -> tuple[Saturation, ...]:
        """Of every node, also those that lost nothing."""
        found = {name: (self._counts[name], self._first.get(name)) for name in self.nodes}
        return tallied(self.nodes, self._sweeps, lengths, found)
