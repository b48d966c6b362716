"""A schedule by estimate: each phase has the words that it is likely to take, and none is placed.

What hardware is compared by before it is chosen: made in a millisecond or two, where a schedule
takes some hundred.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

from penstock.formats import Entries, Gap, PhaseCode
from penstock.formats.gap import WIDEST_GAP
from penstock.formats.hazards import expected_bubbles
from penstock.formats.rows import CHAIN_DISTANCE
from penstock.ir import Direction, Graph
from penstock.schedule.arrange import Goal, Rows, expected, with_padding
from penstock.schedule.assign import interleave
from penstock.schedule.partition import Partition, PhaseNodes
from penstock.schedule.plan import (
    BANK_CHOICES,
    BUBBLES_TOLERATED,
    Product,
    Schedule,
    blank_code,
    layouts_of,
    phases_and_rows,
    weight_matrices,
    with_banks,
)
from penstock.settings import Hardware

MORE_WORDS = 1.02
"""What is added to the estimate, so that what fits by an outline fits as scheduled, too."""


@dataclass(frozen=True)
class Outline:
    """What of a network does not depend on the PEs.

    rows: of each order, what is asked of it; nonzeros: of each phase with products, those that
    read each of its operands; known: what was expected of some PEs, kept.
    """

    graph: Graph
    parts: Partition
    rows: dict[str, Rows]
    nonzeros: dict[str, tuple[int, ...]]
    known: dict[tuple[int, bool], dict[str, Goal]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, graph: Graph, hardware: Hardware) -> Outline:
        """The outline of a graph."""
        parts, rows = phases_and_rows(graph, hardware)
        nonzeros = {phase.name: _by_operand(graph, phase) for phase in _products(parts)}
        return cls(graph, parts, rows, nonzeros)

    @property
    def most_rows(self) -> int:
        """Rows of the phase with the most: the most PEs that have one each."""
        return max(phase.rows for phase in _products(self.parts))

    def is_once(self, phase: PhaseNodes) -> bool:
        """True for a phase that runs once, after the last step."""
        return self.graph.sweeps[phase.sweep] is Direction.ONCE

    def shares(self, hardware: Hardware) -> bool:
        """True if all PEs share some rows, by estimate."""
        return any(any(goal.shared) for goal in self._goals(hardware, True).values())

    def schedule(self, hardware: Hardware, share: bool = False) -> Schedule:
        """The schedule on some PEs by estimate, without entries.

        Rows go to the PEs as evenly as the heaviest of them and the slots allow, some to all PEs if
        they may be shared; gaps and hazards are what they are where non-zeros are drawn at random.
        """
        pes = hardware.pes
        layouts = layouts_of(
            self.graph, self.parts, hardware,
            {order: interleave(rows.count, pes) for order, rows in self.rows.items()},
        )  # fmt: skip
        heaviest, shared = self._by_phase(hardware, share)
        codes = []
        for phase in _products(self.parts):
            code = blank_code(self.graph, phase, layouts, self.parts.order_of, hardware)
            code = replace(code, shared=shared[phase.name])
            codes.append(_with_words(code, heaviest[phase.name], hardware))
        codes, bubbles = _banks(codes, heaviest, hardware)
        found = []
        for phase, code, more in zip(_products(self.parts), codes, bubbles, strict=True):
            own = self.nonzeros[phase.name]
            code = replace(code, words=ceil(code.words * (1 + more) * MORE_WORDS))
            if hardware.overlaps:
                code = replace(code, packet=hardware.copied_elements)
                code = replace(code, starts=_starts(code, own))
            found.append(Product(phase, code, Entries({}), sum(own), {}, -(-sum(own) // pes)))
        banks = max(code.banks for code in codes)
        return Schedule(
            hardware, banks, self.parts.phases, tuple(found), layouts, self.parts.order_of
        )

    def least_words(self, pes: int) -> dict[str, int]:
        """Phase -> words that no schedule on so many PEs can do without."""
        return {name: -(-sum(own) // pes) for name, own in self.nonzeros.items()}

    def _goals(self, hardware: Hardware, share: bool) -> dict[str, Goal]:
        """Of each order; nothing else of the hardware changes between candidates."""
        key = hardware.pes, share
        if key not in self.known:
            self.known[key] = {
                order: expected(rows, hardware, share) for order, rows in self.rows.items()
            }
        return self.known[key]

    def _by_phase(
        self, hardware: Hardware, share: bool
    ) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
        """Of each phase, non-zeros of the heaviest PE at the least, and the shared rows."""
        heaviest: dict[str, int] = {}
        shared: dict[str, tuple[int, ...]] = {}
        for order, goal in self._goals(hardware, share).items():
            phases = [p.name for p in _products(self.parts) if self.parts.order(p) == order]
            heaviest |= dict(zip(phases, goal.heaviest.tolist(), strict=True))
            shared |= dict(zip(phases, goal.shared, strict=True))
        return heaviest, shared


def _products(parts: Partition) -> list[PhaseNodes]:
    return [phase for phase in parts.phases if phase.matvecs]


def _by_operand(graph: Graph, phase: PhaseNodes) -> tuple[int, ...]:
    """Non-zeros of the phase that read each of its operands."""
    matrices = weight_matrices(graph, phase.matvecs)
    found = [0] * len(phase.operands)
    for name, gathered in zip(phase.matvecs, phase.gathers, strict=True):
        for index, operand in enumerate(gathered):
            found[operand] += matrices[name, index].count
    return tuple(found)


def _with_words(code: PhaseCode, nonzeros: int, hardware: Hardware) -> PhaseCode:
    """With gaps of the width that has the least price, see ``Gap.price``, and words without
    bubbles."""
    asked = hardware.index_bits
    choices = [Gap(bits) for bits in ((asked,) if asked else range(1, WIDEST_GAP + 1))]
    places = code.columns * code.slots
    words = [max(ceil(with_padding(nonzeros, places, gap.greatest)), 1) for gap in choices]
    prices = [
        count * count * (code.weight_bits + gap.index_bits)
        for gap, count in zip(choices, words, strict=True)
    ]
    best = prices.index(min(prices))
    return replace(code, format=choices[best], words=words[best])


def _banks(
    codes: list[PhaseCode], nonzeros: dict[str, int], hardware: Hardware
) -> tuple[list[PhaseCode], list[float]]:
    """With the fewest accumulator banks that keep bubbles rare, as ``plan`` has it; of each phase,
    bubbles by word."""
    asked = hardware.accumulator_banks
    words = sum(code.words for code in codes)
    for banks in (asked,) if asked else BANK_CHOICES:
        banked = [with_banks(code, banks, hardware) for code in codes]
        bubbles = [
            expected_bubbles(
                nonzeros[code.name] / (code.columns * code.slots), code.slots,
                code.ways, hardware.hazard_distance,
            )
            for code in banked
        ]  # fmt: skip
        more = sum(code.words * own for code, own in zip(codes, bubbles, strict=True))
        if more <= BUBBLES_TOLERATED * words:
            break
    return banked, bubbles


def _starts(code: PhaseCode, nonzeros: tuple[int, ...]) -> tuple[int, ...]:
    """As late as costs no word, as ``plan`` has it: of each operand the first packet is there for
    its first word, and the last for its last."""
    total, before, starts = max(sum(nonzeros), 1), 0, []
    for own, (_, columns) in zip(nonzeros, code.operands, strict=True):
        first, last = code.words * before // total, code.words * (before + own) // total
        packets = -(-columns // code.packet)
        starts.append(min(first, last - packets) - CHAIN_DISTANCE)
        before += own
    return tuple(min(starts[k:]) for k in range(len(starts)))
