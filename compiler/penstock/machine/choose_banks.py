"""Rows and banks where the user leaves them open, and where the weights of the bank dataflow stay.

A mask that is balanced for so many banks is so for half as many, too; what is best only trying can
tell, and a schedule in this dataflow only counts. The rule is that of ``choose``: of what fits with
room, the fastest sets the time; of all that take at most 5 % more, the fewest multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from penstock.errors import PenstockError
from penstock.formats.bank import UNBALANCED, Bank
from penstock.ir import Graph
from penstock.machine import reasons
from penstock.machine.candidates import WITHIN, Candidate
from penstock.machine.machine import Machine, describe
from penstock.machine.resources import Verdict
from penstock.schedule import Schedule, schedule
from penstock.settings import GATES, MOST_UNITS, Hardware

Plan = Callable[[Graph, Hardware, bool], Schedule]
"""``schedule``, or what gives the same and remembers it."""
BANKS = (1, 2, 4, 8, 16, 32, 64)
MOST_MULTIPLIERS, MOST_UNNAMED = 4096, 1024
"""That are tried for a device that is named, and where none is."""
WORTH_MORE = 0.02
"""Share of a step that twice as many elements per cycle must save."""
WASTE_TOLERATED = 0.1
"""Share of all entries that are empty, above which gather is proposed."""


def in_banks(
    graph: Graph, hardware: Hardware, balanced: int | None = None, plan: Plan = schedule
) -> tuple[Machine, list[str]]:
    """The machine with rows and banks as they are given, or chosen; and what to say of it.

    balanced: banks that the mask is made for, preferred among as many multipliers that are about
    as fast. plan: makes the schedules.
    Raises PenstockError for what can't be built, and if rows or banks are open and nothing fits.
    """
    if hardware.rows is not None and hardware.banks is not None:
        machine = _kept(graph, hardware, plan)
        return machine, [*reasons.in_passes(machine), *_notes(machine, balanced)]
    found = list(_tried(graph, hardware, balanced, plan))
    fitting = [one for one in found if one.verdict is Verdict.FITS]
    if not fitting:
        if not found:
            raise PenstockError(
                "no rows and banks suit the network", graph.name,
                "give --rows, a multiple of the gates of a cell, and --banks, a power of two",
            )  # fmt: skip
        raise reasons.nothing_fits(graph, found, hardware)
    fastest = min(one.cycles for one in fitting)
    near = [one for one in fitting if one.cycles <= (1 + WITHIN) * fastest]
    best = min(near, key=lambda one: (
        one.pes, one.machine.hardware.banks != balanced, one.cycles, one.machine.hardware.banks,
    ))  # fmt: skip
    told = [reasons.banks(best, hardware, found)]
    if balanced is not None and balanced == best.machine.hardware.banks:
        told.append(reasons.balanced_in_banks(balanced))
    told += reasons.in_passes(best.machine)
    return best.machine, [*told, *_notes(best.machine, balanced)]


def _tried(
    graph: Graph, hardware: Hardware, balanced: int | None, plan: Plan
) -> Iterator[Candidate]:
    """Candidates, the most multipliers first, until fewer would not be preferred any more."""
    most = MOST_MULTIPLIERS if hardware.names_device else MOST_UNNAMED
    count, fastest = most, None
    while count >= 1:
        found = list(_splits(graph, hardware, count, balanced, plan))
        yield from found
        fitting = [one.cycles for one in found if one.verdict is Verdict.FITS]
        if fastest is not None and fitting and min(fitting) > (1 + WITHIN) * fastest:
            return
        if fitting:
            fastest = min(fitting) if fastest is None else min(fastest, *fitting)
        count //= 2


def _splits(
    graph: Graph, hardware: Hardware, count: int, balanced: int | None, plan: Plan
) -> Iterator[Candidate]:
    """So many multipliers, in every way that the network allows."""
    every = BANKS if balanced is None else tuple(dict.fromkeys((balanced, *BANKS)))
    for banks in (hardware.banks,) if hardware.banks else every:
        rows = hardware.rows or count // banks
        if hardware.pes not in (None, rows * banks) or rows * banks != count:
            continue
        if rows % GATES and hardware.rows is None:
            continue
        try:
            yield Candidate(_kept(graph, replace(hardware, rows=rows, banks=banks), plan))
        except PenstockError:  # rows that are not whole cells, units that no bank takes
            continue


def _kept(graph: Graph, hardware: Hardware, plan: Plan) -> Machine:
    """With so many elements per cycle as are worth it, if they are left open.

    As many as the cells of a turn are enough for the cells; of a projection a turn gives more, and
    twice as many elements take them, and frames, in half the time.
    """
    made = _stored(graph, hardware, plan)
    if hardware.elements_per_cycle is not None:
        return made
    while (more := 2 * made.hardware.cell_units) <= min(made.hardware.shape[1], MOST_UNITS):
        try:
            wider = _stored(graph, replace(hardware, elements_per_cycle=more), plan)
        except PenstockError:  # rows that are no whole turns of so many
            break
        is_faster = Candidate(wider).cycles < (1 - WORTH_MORE) * Candidate(made).cycles
        if not is_faster or (Candidate(made).room and Candidate(wider).verdict is not Verdict.FITS):
            break
        made = wider
    return made


def _stored(graph: Graph, hardware: Hardware, plan: Plan) -> Machine:
    """With its weights on chip, if nothing else was asked for and they fit, or do not either way.

    A word feeds all multipliers, so few memories could stream it.
    """
    made = plan(graph, hardware, False)
    if hardware.weight_storage != "auto":
        return describe(graph, made, on_chip=hardware.weight_storage == "onchip")
    kept = describe(graph, made, on_chip=True)
    if hardware.interleave > 1 or Candidate(kept).room:
        return kept
    streamed = describe(graph, made)
    return streamed if Candidate(streamed).room else kept


def waste_of(machine: Machine) -> float:
    """Share of all entries that hold no non-zero."""
    empty = sum(product.waste[UNBALANCED] for product in machine.plan.products)
    words = sum(product.code.words for product in machine.plan.products)
    return empty / (words * machine.hardware.pes)


def _unfilled(machine: Machine) -> float:
    """Share of all entries that belong to rows which no matrix has: its last turn is not full."""
    empty, words = 0, 0
    for product in machine.plan.products:
        code, form = product.code, product.code.format
        assert isinstance(form, Bank)
        rows = len(form.lengths) * form.rows - product.nodes.rows * code.siblings
        empty += rows * form.banks * form.lengths[-1]
        words += code.words
    return empty / (words * machine.hardware.pes)


def _notes(machine: Machine, balanced: int | None) -> list[str]:
    rows, banks = machine.hardware.shape
    waste = waste_of(machine)
    if waste <= WASTE_TOLERATED:
        return []
    told = f"{100 * waste:.0f} % of all entries hold no weight, for"
    is_balanced = balanced is not None and balanced % banks == 0  # then for these, too
    if is_balanced or waste - _unfilled(machine) <= WASTE_TOLERATED:
        return [f"{told} some matrices do not fill {rows} rows at a time: see what fewer rows take"]
    return [
        f"{told} the mask is not balanced for {banks} banks: prune it for them (pattern "
        f"bank_balanced, banks {banks}), or see what --dataflow gather takes"
    ]
