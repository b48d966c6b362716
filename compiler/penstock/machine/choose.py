"""What the compiler chooses where the user leaves it open: PEs, units, overlap, weights on chip.

The rule: of what fits the device with room, that is within the planned shares of ``devices``, the
fastest sets the time; of all that take at most 5 % more, the fewest PEs, of these the fewest
elements per cycle, then no overlap, then streamed weights. Time is that of a long sequence, waits
for memory included. Where neither a board nor a part is named, there is no device to fill: then at
most 32 PEs.
"""

from __future__ import annotations

from dataclasses import replace

from penstock.errors import PenstockError
from penstock.ir import Graph
from penstock.machine import reasons
from penstock.machine.candidates import (
    WITHIN,
    Candidate,
    counts,
    explore,
    is_worth_sharing,
    of_count,
    preferred,
)
from penstock.machine.choose_banks import Plan, in_banks
from penstock.machine.machine import Machine, describe, io_bits
from penstock.machine.resources import Verdict
from penstock.schedule import Schedule, schedule
from penstock.schedule.outline import Outline
from penstock.schedule.plan import BANK_CHOICES
from penstock.settings import Balance, Hardware

WIDEST_PORT = 512
ESE_PES = 32
AUTO = "auto"
SHORT_STEP = 1000
MOST_UNNAMED = 32
"""PEs where no device was named."""


def choose(
    graph: Graph, hardware: Hardware, balanced_for: Balance | None = None, plan: Plan = schedule
) -> tuple[Machine, list[str]]:
    """The machine with all that was left open chosen; what was chosen, and why, in sentences.

    balanced_for: where none are given, such PEs are taken if they fit, such banks if no others are
    much faster. plan: makes the schedules. Raises PenstockError for what can't be built, and if PEs
    are left open and no number fits.
    """
    balanced_for = balanced_for or Balance()
    if hardware.dataflow == AUTO:
        return _best_dataflow(graph, hardware, balanced_for, plan)
    hardware, notes = wide_enough(graph, hardware)
    if hardware.is_bank:
        machine, more = in_banks(graph, hardware, balanced_for.banks, plan)
        return machine, [*notes, *more]
    if balanced_for.banks is not None:
        notes = [*notes, reasons.only_in_banks(balanced_for.banks)]
    if hardware.is_broadcast:
        machine, more = _broadcast(graph, hardware, balanced_for, plan)
        return machine, [*notes, *more]
    if hardware.pes is not None:
        machine, more = _on_given_pes(graph, hardware, plan)
        more = [*more, *reasons.odd_count(machine, hardware)]
        if hardware.overlap is None and machine.hardware.overlaps and _is_short(machine):
            without, _ = build(graph, replace(hardware, overlap=False), plan)
            more += reasons.overlap(machine, without)
        return machine, [*notes, *more]
    balanced = balanced_for.pes
    if balanced is not None:
        machine, more = _on_given_pes(graph, replace(hardware, pes=balanced), plan)
        if Candidate(machine).room > 0:
            return machine, [*notes, reasons.balanced(balanced), *more]
        notes = [*notes, f"{reasons.balanced(balanced)}, which do not fit"]
    outline = Outline.of(graph, hardware)
    most = outline.most_rows if hardware.names_device else min(outline.most_rows, MOST_UNNAMED)
    if not counts(hardware, most):  # more units than rows: refused where that is explained
        machine, more = build(graph, replace(hardware, pes=hardware.elements_per_cycle), plan)
        return machine, [*notes, *more]
    machine, more, best, found = _scheduled(outline, hardware, most, plan)
    why = reasons.why_no_more(outline, hardware, best, found, most)
    return machine, [*notes, reasons.what(best, hardware, why), *more]


def _best_dataflow(
    graph: Graph, hardware: Hardware, balanced_for: Balance, plan: Plan
) -> tuple[Machine, list[str]]:
    """Gather or bank: what fits before what may not, then the faster; of about equals, gather."""
    found: dict[str, tuple[Machine, list[str]]] = {}
    refused: dict[str, PenstockError] = {}
    for dataflow in ("gather", "bank"):
        try:
            found[dataflow] = choose(
                graph, replace(hardware, dataflow=dataflow), balanced_for, plan
            )
        except PenstockError as error:
            refused[dataflow] = error
    if not found:
        raise refused["gather"]
    both = {dataflow: Candidate(machine) for dataflow, (machine, _) in found.items()}
    best = max(both, key=lambda name: (both[name].room, -both[name].cycles, name == "gather"))
    if len(both) == 2 and both["gather"].room == both["bank"].room:
        is_worth_it = both["bank"].cycles < (1 - WITHIN) * both["gather"].cycles
        best = "bank" if is_worth_it else "gather"
    machine, notes = found[best]
    return machine, [reasons.dataflow(best, both, refused), *notes]


def _broadcast(
    graph: Graph, hardware: Hardware, balanced_for: Balance, plan: Plan
) -> tuple[Machine, list[str]]:
    """The machine of the broadcast dataflow, which is there to be compared: on ESE's PEs, or on as
    many as fit with room."""
    pes = hardware.pes or balanced_for.pes
    if pes is not None:
        return build(graph, replace(hardware, pes=pes), plan)
    tried = counts(hardware, min(Outline.of(graph, hardware).most_rows, ESE_PES))
    found: list[Candidate] = []
    for pes in reversed(tried or [hardware.cell_units]):
        machine, notes = build(graph, replace(hardware, pes=pes), plan)
        if Candidate(machine).verdict is Verdict.FITS:
            return machine, [reasons.broadcast(pes, ESE_PES, found), *notes]
        found.append(Candidate(machine))
    raise reasons.nothing_fits(graph, found, hardware)


def wide_enough(graph: Graph, hardware: Hardware) -> tuple[Hardware, list[str]]:
    """With ports that hold an element with all its lanes, if their width is the device's."""
    needed = io_bits(graph) * hardware.lanes_at_once
    if hardware.beat_bits >= needed or needed > WIDEST_PORT or hardware.port_bits is not None:
        return hardware, []
    note = f"memory ports have {needed} bits, wide enough for an element with all its lanes"
    return replace(hardware, port_bits=needed), [note]


def _scheduled(
    outline: Outline, hardware: Hardware, most: int, plan: Plan
) -> tuple[Machine, list[str], Candidate, list[Candidate]]:
    """The best candidate that fits once it is scheduled as well, what is to be said of it, the
    candidate by its outline, and all that it was chosen from.

    Raises PenstockError if none does.
    """
    found = explore(outline, hardware, most)
    while (best := preferred(found)) is not None:
        machine, notes = build(outline.graph, best.hardware, plan, needs_room=True)
        real = Candidate(machine)
        if real.verdict is Verdict.FITS or real.verdict is best.verdict:
            return machine, notes, best, found
        found = [one for one in found if not _as_large(one, best)]
        found.append(real)
        fewer = [count for count in counts(hardware, most) if count < best.pes]
        if fewer:  # some were left out, for they are slower than the best was thought to be
            found += explore(outline, hardware, fewer[-1])
    raise reasons.nothing_fits(outline.graph, found, hardware)


def _as_large(one: Candidate, other: Candidate) -> bool:
    """True if it has no fewer PEs, and weights at the same place."""
    return one.pes >= other.pes and one.machine.on_chip is other.machine.on_chip


def _is_short(machine: Machine) -> bool:
    """True for steps so short that overlap may cost more than it saves."""
    return machine.order.step_cycles <= SHORT_STEP


def _on_given_pes(graph: Graph, hardware: Hardware, plan: Plan) -> tuple[Machine, list[str]]:
    """As by default, or, where that does not fit with room, with what else is open chosen."""
    machine, notes = build(graph, hardware, plan)
    is_open = hardware.elements_per_cycle is None or hardware.overlap is None
    if is_open and Candidate(machine).verdict is not Verdict.FITS:
        found = list(of_count(Outline.of(graph, hardware), hardware))
        best = preferred(found)
        if best is not None:
            instead, more = build(graph, best.hardware, plan)
            if Candidate(instead).room > Candidate(machine).room:
                return instead, [reasons.what(best, hardware, reasons.too_large(machine)), *more]
    return machine, notes


def build(
    graph: Graph, hardware: Hardware, plan: Plan = schedule, needs_room: bool = False
) -> tuple[Machine, list[str]]:
    """The machine of settings that leave only the weights' place open, and what to say of it.

    With fewer accumulator banks than keep bubbles rare, if only then it fits. needs_room: rows are
    not shared where it can't be told any more whether that fits. Raises PenstockError for what
    can't be built.
    """
    machine, notes = _with_rows(graph, hardware, plan, needs_room)
    room, banks = Candidate(machine).room, machine.plan.banks
    if hardware.accumulator_banks is None and Candidate(machine).verdict is not Verdict.FITS:
        for fewer in (count for count in reversed(BANK_CHOICES) if count < banks):
            with_fewer = replace(hardware, accumulator_banks=fewer)
            other, more = _with_rows(graph, with_fewer, plan, needs_room)
            if Candidate(other).room > room:
                told = f"{fewer} accumulator banks a PE: {banks} would not fit with room"
                machine, notes, room = other, [*more, told], Candidate(other).room
    return machine, notes


def _with_rows(
    graph: Graph, hardware: Hardware, plan: Plan, needs_room: bool
) -> tuple[Machine, list[str]]:
    """With shared rows if a step is shorter for it, and it fits where it does without."""
    shared = choose_weights(graph, plan(graph, hardware, True))
    if not shared.parts:
        return shared, []
    rows = _rows_in_words(shared)
    try:
        plain = choose_weights(graph, plan(graph, hardware, False))
    except PenstockError:  # more PEs than rows
        return shared, [f"{rows}: no phase has a row for each of the {hardware.pes} PEs"]
    steps = f"{shared.timeline.step:,} cycles a step instead of {plain.timeline.step:,}"
    if not is_worth_sharing(Candidate(shared), Candidate(plain)):
        return plain, []
    room = Candidate(shared).room
    if room < Candidate(plain).room and (needs_room or room == 0):
        with_room = " with room" if needs_room else ""
        return plain, [f"rows are not shared by all PEs: {steps}, but it would not fit{with_room}"]
    return shared, [f"{rows}: {steps}"]


def _rows_in_words(machine: Machine) -> str:
    """``2 of 2 rows of head.dense are spread over all PEs``."""
    codes = [product.code for product in machine.plan.products if product.code.shared]
    each = [
        f"{len(code.shared)} of {machine.plan.layouts[code.rows].length} rows of {code.name}"
        for code in codes
    ]
    return f"{', '.join(each)} are spread over all PEs, which sum them in parts"


def choose_weights(graph: Graph, plan: Schedule) -> Machine:
    """The machine with its weights where the settings want them, or where a step is shorter."""
    wanted = plan.hardware.weight_storage
    if wanted != "auto":
        return describe(graph, plan, on_chip=wanted == "onchip")
    streamed = describe(graph, plan)
    if streamed.timeline.step == streamed.order.step_cycles:
        return streamed
    kept = describe(graph, plan, on_chip=True)
    is_faster = kept.timeline.step < streamed.timeline.step
    return kept if is_faster and Candidate(kept).room >= Candidate(streamed).room else streamed
