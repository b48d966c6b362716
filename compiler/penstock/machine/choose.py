"""What the compiler chooses where the user leaves it open."""

from __future__ import annotations

from penstock.ir import Graph
from penstock.machine.machine import Machine, describe
from penstock.machine.resources import estimate
from penstock.schedule import Schedule


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
