"""What the compiler chooses where the user leaves it open."""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.ir import Graph
from penstock.machine.machine import Machine, describe
from penstock.machine.resources import estimate
from penstock.schedule import Schedule, schedule
from penstock.schedule.arrange import WORTH_A_TREE
from penstock.settings import Hardware


def choose(graph: Graph, hardware: Hardware) -> tuple[Machine, list[str]]:
    """The machine with shared rows if a step is shorter for it and it still fits, else without.

    The notes say what was chosen, and why. Raises PenstockError for what can't be built.
    """
    plan = schedule(graph, hardware, share=True)
    shared = choose_weights(graph, plan)
    if not shared.parts:
        return shared, []
    rows = _rows_in_words(shared)
    try:
        plain = choose_weights(graph, schedule(graph, hardware))
    except PenstockError:  # more PEs than rows
        return shared, [f"{rows}: no phase has a row for each of the {hardware.pes} PEs"]
    steps = f"{shared.timeline.step:,} cycles a step instead of {plain.timeline.step:,}"
    if shared.timeline.step > (1 - WORTH_A_TREE) * plain.timeline.step:
        return plain, []
    if fits(plain) and not fits(shared):
        return plain, [f"rows are not shared by all PEs: {steps}, but it would not fit the device"]
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
    return kept if is_faster and fits(kept) else streamed


def fits(machine: Machine) -> bool:
    """False if more of a resource is taken than should be planned for."""
    return all(fit.fits is not False for fit in estimate(machine).fits.values())
