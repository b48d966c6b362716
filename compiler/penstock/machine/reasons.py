"""Why the compiler chose what it chose, and why nothing was left to choose, in sentences."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

from penstock.devices import BOARDS
from penstock.errors import PenstockError
from penstock.formats import Bank
from penstock.ir import Graph
from penstock.machine.candidates import (
    COUNTS,
    WITHIN,
    Candidate,
    candidate,
    counts,
    of_count,
)
from penstock.machine.machine import Machine
from penstock.machine.resources import NAMES, MemoryCost, Verdict
from penstock.schedule.outline import Outline
from penstock.settings import Hardware

NEAR = 0.125
"""By how much more PEs are suggested instead of an odd number."""
WORTH_TELLING = 0.01
"""PEs times cycles that a suggestion must save."""
SHORTER = 0.05
"""What a step without overlap must save to be told."""


def what(chosen: Candidate, asked: Hardware, why: str) -> str:
    """``for pynq-z2, the compiler chose 24 PEs, 4 elements per cycle, ...: why``."""
    hardware = chosen.hardware
    parts = [
        _pes(hardware.pes) if asked.pes is None else "",
        _units(hardware.cell_units) if asked.elements_per_cycle is None else "",
        f"{'' if hardware.overlap else 'no '}overlap" if asked.overlap is None else "",
        f"weights {'on chip' if chosen.machine.on_chip else 'streamed'}"
        if asked.weight_storage == "auto" else "",
    ]  # fmt: skip
    told = ", ".join(part for part in parts if part)
    return f"for {_device(asked)}, the compiler chose {told}: {why}"


def why_no_more(
    outline: Outline, asked: Hardware, chosen: Candidate, found: list[Candidate], most: int
) -> str:
    """What is in the way of more PEs. most: PEs that may be chosen."""
    if chosen.verdict is Verdict.UNSURE:
        return f"nothing surely fits with room; {_shortage(chosen)}"
    more = [count for count in counts(asked, outline.most_rows) if count > chosen.hardware.pes]
    if not more:
        return f"no phase has more than {outline.most_rows} rows"
    if more[0] > most:
        return f"more than {most} only for a device that is named (--board, --part, or --pes)"
    of_next = [one for one in found if one.hardware.pes == more[0]]
    of_next = of_next or list(of_count(outline, replace(asked, pes=more[0])))
    fitting = [one.cycles for one in found if one.verdict is Verdict.FITS]
    if any(one.verdict is Verdict.FITS for one in of_next):
        saved = 1 - min(fitting) / chosen.cycles
        more_save = (
            f"would save {_percent(saved, 1)} of the time at most" if saved > 0 else "save no time"
        )
        return f"more PEs {more_save}, and must save {_percent(WITHIN, 0)}"
    nearest = min(of_next, key=attrgetter("most_share"))
    return f"{_pes(more[0])} would not fit with room; {_shortage(nearest)}"


def broadcast(pes: int, usual: int, larger: list[Candidate]) -> str:
    """Why so many PEs; larger: what does not fit."""
    why = f"ESE has {usual}"
    if larger:
        why = f"{_pes(larger[-1].pes)} would not fit with room; {_shortage(larger[-1])}"
    return f"for the broadcast dataflow, the compiler chose {_pes(pes)}: {why}"


def dataflow(
    best: str, both: dict[str, Candidate], refused: dict[str, PenstockError]
) -> str:  # fmt: skip
    """Why this dataflow and not the other."""
    told = {name: _costs(one) for name, one in both.items()}
    told |= {name: f"{name} is refused: {error.what}" for name, error in refused.items()}
    other = "gather" if best == "bank" else "bank"
    return f"the compiler chose the dataflow {best}: {told[best]}; {told[other]}"


def _costs(found: Candidate) -> str:
    verdict = {Verdict.FITS: "fits", Verdict.UNSURE: "may fit"}.get(found.verdict, "does not fit")
    dataflow = found.machine.hardware.dataflow
    dsp = found.resources.fits["dsp"].used
    return f"{dataflow} takes {found.step:,} cycles a step on {dsp:,} multipliers and {verdict}"


def banks(chosen: Candidate, asked: Hardware, found: list[Candidate]) -> str:
    """``for u55c, the compiler chose 64 rows of 16 banks, weights on chip: why``."""
    hardware = chosen.machine.hardware
    more = [one for one in found if one.pes > chosen.pes]
    fitting = [one.cycles for one in more if one.verdict is Verdict.FITS]
    if fitting:
        saved = 1 - min(fitting) / chosen.cycles
        saves = (
            f"would save {_percent(saved, 1)} of the time at most" if saved > 0 else "save no time"
        )
        why = f"more {saves}, and must save {_percent(WITHIN, 0)}"
    elif more:
        nearest = min(more, key=attrgetter("most_share"))
        shape = nearest.machine.hardware
        why = f"{shape.rows} rows of {shape.banks} banks would not fit with room; "
        why += _shortage(nearest)
    else:
        why = "no more are tried"
    place = "on chip" if chosen.machine.on_chip else "streamed"
    return (
        f"for {_device(asked)}, the compiler chose {hardware.rows} rows of {hardware.banks} banks, "
        f"{_units(hardware.cell_units)}, weights {place}: {why}"
    )


def too_large(machine: Machine) -> str:
    """Why what is chosen by default was not."""
    units, overlap = machine.hardware.cell_units, "with" if machine.hardware.overlaps else "without"
    shortage = _shortage(Candidate(machine))
    return f"{_units(units)} {overlap} overlap would not fit with room; {shortage}"


def balanced(count: int) -> str:
    """Where the number of PEs comes from."""
    return f"the masks are balanced for {_pes(count)}"


def balanced_in_banks(count: int) -> str:
    """Where the number of banks comes from."""
    return f"the masks are balanced for {count} bank{'s' * (count > 1)}"


def in_passes(machine: Machine) -> list[str]:
    """Of which phases the words of a turn do not follow one another, and why."""
    if not any(program.slots for program in machine.programs.values()):
        return []
    banks, found = machine.hardware.shape[1], []
    for product in machine.plan.products:
        form = product.code.format
        assert isinstance(form, Bank)
        if form.classes > 1 and not machine.is_once(product.nodes.sweep):
            found.append(f"{product.nodes.name} the mask is balanced for {form.classes * banks}")
    return [f"turns work in passes, and so wait less: of {', of '.join(found)} banks"]


def only_in_banks(count: int) -> str:
    """Why a mask's banks are of no use to the other dataflows."""
    return f"{balanced_in_banks(count)}, of which only --dataflow bank makes use"


def odd_count(machine: Machine, asked: Hardware) -> list[str]:
    """Whether a rounder number of PEs would be faster, and use its PEs better, by outline."""
    outline = Outline.of(machine.graph, asked) if asked.pes not in COUNTS else None
    if outline is None:
        return []
    own = candidate(outline, machine.hardware, machine.on_chip)
    below = max(count for count in COUNTS if count < asked.pes)
    above = min(count for count in COUNTS if count > asked.pes)
    rounder = [
        candidate(outline, replace(asked, pes=count), machine.on_chip)
        for count in (below, above)
        if count <= min(outline.most_rows, (1 + NEAR) * asked.pes)
        and count % (asked.elements_per_cycle or 1) == 0
    ]
    better = [
        one for one in rounder
        if one.step < own.step and one.work < (1 - WORTH_TELLING) * own.work
        and one.room >= own.room
    ]  # fmt: skip
    if not better:
        return []
    best = min(better, key=attrgetter("step"))
    return [
        f"{_pes(best.hardware.pes)} would be faster than {asked.pes}: by estimate {best.step:,} "
        f"cycles a step instead of {own.step:,}, with {_shape(best)} instead of {_shape(own)}"
    ]


def overlap(machine: Machine, without: Machine) -> list[str]:
    """Whether a step would be shorter without overlap: what runs beside the cell unit begins and
    ends more often."""
    step, plain = machine.timeline.step, without.timeline.step
    if plain > (1 - SHORTER) * step:
        return []
    return [f"--no-overlap would be faster: {plain:,} cycles a step instead of {step:,}"]


def _shape(found: Candidate) -> str:
    """``2 groups of 16 and 8 elements per cycle``."""
    groups = found.machine.groups
    of = f"group{'s' * (groups.groups > 1)} of {groups.group_pes}"
    return f"{groups.groups} {of} and {_units(found.hardware.cell_units)}"


def nothing_fits(graph: Graph, found: list[Candidate], asked: Hardware) -> PenstockError:
    """The error: what is short with the least hardware, and which board is large enough."""
    short = [one for one in found if one.verdict is not Verdict.FITS]
    least = min(short, key=attrgetter("plainness"))
    name, fit = least.worst
    _, largest = max((_taken(cost, name), cost.memory.kind) for cost in least.resources.memories)
    mostly = f", most of all for {largest}" if name in ("bram18", "uram") else ""
    board = _board_that_holds(graph, asked)
    smaller = "fewer cells or lanes" + ", a smaller --max-steps" * (largest == "frames")
    return PenstockError(
        f"the network does not fit {_device(asked)}: with {_pes(least.hardware.pes)} it takes "
        f"{fit.used:,} {NAMES[name]}{mostly}, and {fit.limit:,} of {fit.total:,} should be "
        "planned for",
        graph.name,
        (f"--board {board} is large enough; or " if board else "no board in the device table is "
         "large enough: ") + smaller,
    )  # fmt: skip


def _taken(cost: MemoryCost, name: str) -> int:
    return {"bram18": cost.bram18, "uram": cost.uram}.get(name, 0)


def _board_that_holds(graph: Graph, asked: Hardware) -> str | None:
    """The smallest board on which some number of PEs fits."""
    others = [board for board in BOARDS if board.name != asked.board]
    for board in sorted(others, key=lambda board: Hardware(board=board.name).device.die.lut):
        hardware = replace(
            asked, board=board.name, part=board.part, clock_mhz=board.clock_mhz,
            port_bits=max(Hardware(board=board.name).beat_bits, asked.beat_bits),
            part_resources=None,
        )  # fmt: skip
        outline = Outline.of(graph, hardware)
        few = counts(hardware, outline.most_rows)[:1]
        if any(
            one.verdict is Verdict.FITS
            for pes in few
            for one in of_count(outline, replace(hardware, pes=pes))
        ):
            return board.name
    return None


def _shortage(found: Candidate) -> str:
    """``by estimate up to 41,000 LUT, and 37,240 are planned for``."""
    if found.resources.bandwidth.are_too_many:
        ports = found.resources.bandwidth
        return f"{len(ports.ports)} memory ports of {ports.port_limit}"
    name, fit = found.worst
    if fit.verdict is Verdict.DOES_NOT_FIT:
        return f"{fit.used:,} {NAMES[name]} of {fit.limit:,} to be planned for"
    return f"up to {fit.most:,} {NAMES[name]} of {fit.limit:,} to be planned for"


def _device(asked: Hardware) -> str:
    return asked.board or asked.device.name


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f} %"


def _units(count: int) -> str:
    return f"{count} element" + "s" * (count > 1) + " per cycle"


def _pes(count: int) -> str:
    return f"{count} PE" + "s" * (count > 1)
