"""What a compiled case contains: so that a generator that no longer draws something is noticed."""

from __future__ import annotations

from penstock.fixed import Overflow, Rounding
from penstock.ir import Direction
from penstock.machine import Machine
from penstock.ops import REGISTRY
from penstock.settings import ASSIGNMENTS

SOURCES = ("input", "const", "state_read")
OPERATIONS = tuple(kind for kind in REGISTRY if kind not in SOURCES)


def features(machine: Machine) -> dict[str, bool]:
    """Claim -> whether it holds of the case."""
    kinds = {node.op.kind for node in machine.graph.nodes()}
    found = {f"operation {kind}": kind in kinds for kind in OPERATIONS}
    return found | _of_graph(machine) | _of_phases(machine) | _of_hardware(machine)


def _of_graph(machine: Machine) -> dict[str, bool]:
    graph, kept = machine.graph, machine.kept
    types = [node.tensor.type for node in graph.nodes()]
    converted = [node.op.to for node in graph.of_kind("requant")]
    directions = graph.sweeps
    matrices = [name for node in graph.of_kind("matvec") for name in node.inputs[1::2]]
    return {
        "sweeps: several": sum(sweep is not Direction.ONCE for sweep in directions) > 1,
        "sweeps: backward": Direction.BACKWARD in directions,
        "sweeps: once": any(machine.is_once(phase.sweep) for phase in machine.phases),
        "a state's old value is needed after its write": bool(kept.deferred),
        "states: several": len(kept.states) > 1,
        "frames buffered for a later sweep": bool(kept.frames),
        "a matrix shared by products": len(matrices) > len(set(matrices)),
        "a table shared by functions": len(graph.of_kind("lut")) > len(machine.tables) > 0,
        "types: more than 40 bits": any(dtype.width > 40 for dtype in types),
        "types: more fraction bits than bits": any(dtype.frac > dtype.width for dtype in types),
        "types: negative fraction bits": any(dtype.frac < 0 for dtype in types),
        "types: unsigned result of a rounding": any(not dtype.signed for dtype in converted),
        **{f"rounding {mode.value}": any(dtype.rounding is mode for dtype in converted)
           for mode in Rounding},
        **{f"overflow {mode.value}": any(dtype.overflow is mode for dtype in converted)
           for mode in Overflow},
    }  # fmt: skip


def _of_phases(machine: Machine) -> dict[str, bool]:
    phases, kept = machine.phases, machine.kept
    gathers = [phase.nodes.gathers for phase in machine.products]
    return {
        "phases: several in a sweep": len({phase.sweep for phase in phases}) < len(phases),
        "phases without a product": any(phase.product is None for phase in phases),
        "products side by side": any(len(phase.nodes.matvecs) > 1 for phase in phases),
        "products of one phase read different vectors": any(len(set(one)) > 1 for one in gathers),
        "a product of several vectors": any(len(own) > 1 for one in gathers for own in one),
        "values carried between phases": bool(kept.carries),
        "captures read element by element": bool(kept.captures),
        "results: several vectors": len(machine.results) > 1,
    }


def _of_hardware(machine: Machine) -> dict[str, bool]:
    hardware = machine.hardware
    found = {
        "several weight ports": machine.groups.groups > 1,
        "a PE with several slots": any(phase.unit.rows_per_pe > 1 for phase in machine.phases),
        "several elements per cycle": hardware.cell_units > 1,
        "AXI streams": machine.streams_io,
    }
    found |= {f"lanes {lanes}": hardware.lanes == lanes for lanes in (1, 2, 4, 8, 16)}
    found |= {f"port bits {bits}": hardware.beat_bits == bits for bits in (64, 128, 256, 512)}
    forms = {"overlapped": True, "in turn": False}
    storages = {"on chip": True, "streamed": False}
    found |= {
        f"{form}, weights {storage}": (hardware.overlaps, machine.on_chip) == (overlaps, on_chip)
        for form, overlaps in forms.items()
        for storage, on_chip in storages.items()
    }
    found["broadcast"] = hardware.is_broadcast
    found["queues of one activation"] = hardware.is_broadcast and hardware.activation_queue == 1
    found["bank"] = hardware.is_bank
    found["lanes take turns"] = hardware.interleave > 1
    found["a phase pauses"] = bool(machine.pausing)
    found["packets before the first word"] = any(run.lead > 2 for run in machine.every_run)
    found["words run beside a unit"] = any(own.beside for own in machine.runs.values())
    banks = hardware.accumulator_banks
    found |= {f"banks {count}": banks == count for count in (None, 4, 8, 16)}
    found |= {f"hazard distance {n}": hardware.hazard_distance == n for n in (2, 10)}
    return found | {f"assign {a}": hardware.assign == a for a in ASSIGNMENTS}
