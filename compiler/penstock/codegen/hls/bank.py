"""The bank dataflow in C++: regions of the activation memory, and the program of each sweep."""

from __future__ import annotations

from typing import Any

from penstock.codegen.hls.group_arrays import GroupArray, group_arrays, spans_of
from penstock.codegen.hls.names import Names, one_line
from penstock.codegen.hls.steps import StateCode, load_code, storage_code, write_code
from penstock.codegen.hls.tables import numbers
from penstock.codegen.hls.units import UnitCode, declaration, own_part
from penstock.ir import Direction
from penstock.machine import Machine
from penstock.machine.depths import PASS_DISTANCE
from penstock.machine.phases import Load
from penstock.machine.program import Program
from penstock.machine.units import Need

FIELDS = {
    "phase": "whose word is multiplied, from 1 on; 0: none",
    "begins": "1: a turn begins with it",
    "ends": "whether a turn ends with it: 1 + its number among those that a unit takes at once",
    "slot": "where the sums of its turn are",
    "acting": "whose unit takes sums",
    "part": "which of the turn's",
    "move": "what comes in or takes effect",
    "index": "of which elements, CELL_UNITS each",
    "word_sequence": "of which sequence its activations are",
    "sequence": "of which sequence the elements are",
    "at": "which word that is, of all",
}
"""Fields of a cycle as the kernel calls them, and what they say."""
LENGTHS = "const unsigned lengths[INTERLEAVE][LANES]"
NO_TURNS = {"takes_turns": False, "own": "", "at_own": "", "lane_of_call": "lane"}


def _turns(machine: Machine) -> dict[str, Any]:
    """How arrays that hold a part for each sequence are declared and used."""
    if machine.hardware.interleave == 1:
        return NO_TURNS
    return {"takes_turns": True, "own": own_part(machine), "at_own": "[sequence]",
            "lane_of_call": "sequence * LANES + lane"}  # fmt: skip


def no_bank() -> dict[str, Any]:
    """What templates are told where there is none of it."""
    return {"is_bank": False, "regions": [], "programs": [], "has_images": False, "slots": 0,
            **NO_TURNS}  # fmt: skip


def slots_of(machine: Machine) -> int:
    """Turns whose sums are kept; 0: a turn's words follow one another."""
    return max(program.slots for program in machine.programs.values())


def has_addresses(machine: Machine) -> bool:
    """True if a program says of each word where it is; else they come in their order."""
    return machine.hardware.interleave > 1 or slots_of(machine) > 0


def bank_code(
    machine: Machine, names: Names, units: dict[str, UnitCode], states: list[StateCode]
) -> dict[str, Any]:
    """What templates are told of regions and programs."""
    regions = region_codes(machine)
    programs = [
        _program(machine, names, program, units, states, regions)
        for program in machine.programs.values()
    ]
    parts = [cycle.part for program in machine.programs.values() for cycle in program.cycles]
    return {
        "is_bank": True, "regions": regions, "programs": programs, **_turns(machine),
        "has_blocks": len(machine.groups.row_blocks(*machine.hardware.shape)) > 1,
        "most_parts": 1 + max(parts, default=0), "has_images": bool(machine.kept.doubled),
        "held": max(program.held for program in machine.programs.values()),
        "slots": slots_of(machine), "has_addresses": has_addresses(machine),
    }  # fmt: skip


def program_texts(machine: Machine) -> dict[str, str]:
    """path -> text of every table of every program."""
    return {
        f"kernel/tables/{_file(sweep, field)}": numbers(list(values))
        for sweep, program in machine.programs.items()
        for field, values in columns_of(program).items() if any(values)
    }  # fmt: skip


def columns_of(program: Program) -> dict[str, tuple[int, ...]]:
    """Field, as the kernel calls it -> its value in every cycle."""
    return dict(zip(FIELDS, zip(*program.cycles, strict=True), strict=True))


def region_codes(machine: Machine) -> list[dict[str, Any]]:
    """Each region: its arrays, rows of multipliers in each, and how deep they are."""
    hardware, activations = machine.hardware, machine.kept.activations
    blocks = machine.groups.row_blocks(*hardware.shape)
    found = []
    memories = machine.memories_of("activations")
    for number, (segments, memory) in enumerate(zip(activations.regions, memories, strict=True)):
        images = "[2]" * (machine.kept.images_of(number) - 1)
        arrays = group_arrays(f"vector_{number}", blocks)
        if len(arrays) == 1:
            arrays = [GroupArray(f"vector_{number}", 0, hardware.shape[0], "ROWS")]
        shape = f"[BANKS]{own_part(machine)}{images}[REGION_{number}_DEPTH]"
        found.append({
            "number": number, "constant": f"REGION_{number}_DEPTH",
            "depth": memory.depth // (hardware.interleave * machine.kept.images_of(number)),
            "shape": shape, "parameters": [
                *(f"activations_t {array.name}[{array.groups}]{shape}" for array in arrays),
                *["unsigned sequence"] * (hardware.interleave > 1),
                *["bool image"] * bool(images),
                "written_t written" if images or hardware.interleave > 1 else
                "const written_t &written",
            ],
            "has_images": machine.kept.images_of(number) > 1,
            "arrays": arrays, "storage": storage_code(memory),
            "about": ", ".join(map(one_line, segments)),
        })  # fmt: skip
    return found


def _program(
    machine: Machine, names: Names, program: Program, units: dict[str, UnitCode],
    states: list[StateCode], regions: list[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    sweep, own = program.sweep, f"SWEEP_{program.sweep}"
    columns = {name: own for name, own in columns_of(program).items() if any(own)}
    tables = [
        {"name": f"{own}_{field.upper()}", "local": field, "about": FIELDS[field],
         "file": _file(sweep, field),
         "type": "unsigned char" if max(values) < 1 << 8 else "unsigned"}
        for field, values in columns.items()
    ]  # fmt: skip
    parameters = _parameters(machine, names, program, units, regions)
    numbered = {phase.name: n for n, phase in enumerate(machine.products, 1)}
    products = [phase for phase in program.phases if phase.product is not None]
    reads = {
        phase.name: machine.kept.activations.region_of(_segment(machine, phase.nodes.operands[0],
                                                                sweep))
        for phase in products
    }  # fmt: skip
    read = [region for region in regions if region["number"] in reads.values()]
    loads = [
        {**load_code(machine, names, move), "number": n, "written": _into(machine, move.to_segment),
         "is_later": move.to_segment in program.by_moves[n - 1].later,
         "step": "next_step" if move.is_ahead else "step"}
        for n, move in enumerate(program.moves, 1) if isinstance(move, Load)
    ]  # fmt: skip
    is_backward = machine.graph.sweeps[sweep] is Direction.BACKWARD
    commits = [
        {"state": next(s for s in states if s.constant == names.state(move.name)), "number": n,
         "written": _into(machine, move.segment),
         "base": names.segment(move.segment) if move.segment else None}
        for n, move in enumerate(program.moves, 1) if not isinstance(move, Load)
    ]  # fmt: skip
    run = machine.stored_words
    return {
        "index": sweep, "constant": f"{own}_CYCLES", "cycles": len(program.cycles),
        "words": program.words, "function": f"run_sweep_{sweep}",
        "label": f"CYCLES_OF_SWEEP_{sweep}",
        "direction": str(machine.graph.sweeps[sweep]), "is_once": machine.is_once(sweep),
        "tables": tables,
        "absent": [field for field in _fields(machine, program) if field not in columns],
        "needs_length": any(Need.LENGTH in phase.unit.uses for phase in program.phases),
        "parameters": list(parameters), "arguments": list(parameters.values()),
        "at": min((run[phase.name, 0] for phase in products), default=0),
        "interval": max((phase.interval for phase in program.phases), default=1),
        "promises": promises(machine, names, program),
        "loop": names.loop("cycles", f"sweep {sweep}"),
        "needs_valid": needs_lanes(machine, program), "has_images": has_images(machine, program),
        "needs_last": any(Need.LAST in phase.unit.uses for phase in program.phases),
        "written": [region for region in regions if region["number"] in _written(machine, program)],
        "regions": [
            {**region, "condition": " || ".join(
                f"turn.phase == {numbered[name]}" for name, number in reads.items()
                if number == region["number"])}
            for region in read
        ],
        "bases": [
            {"number": numbered[phase.name], "base": phase.operand_bases[0]}
            for phase in products if phase.operand_bases[0] and not any(
                one.is_scattered for one in machine.products)
        ],
        "rows": f"rows_of_sweep_{sweep}",
        "blocks": spans_of(machine.hardware.shape[0], *(region["arrays"] for region in read)),
        "units": [
            {**vars(units[phase.name]), "number": n} for n, phase in enumerate(program.phases, 1)
        ],
        "loads": loads, "commits": commits,
        "ahead": [
            {**load, "step": "steps - 1" if is_backward else "0", "is_later": False,
             "write": write_code(machine, move.to_segment) if move.to_segment else None}
            for load, move in zip(loads, program.moves, strict=False)
            if isinstance(move, Load) and move.is_ahead
        ],
        "needs_next": any(load["array"] or load["to_array"] for load in loads if load["is_ahead"]),
    }  # fmt: skip


def _fields(machine: Machine, program: Program) -> list[str]:
    """What the sweep's function uses of a cycle, beside what is never 0 throughout."""
    takes_turns, has_words = machine.hardware.interleave > 1, program.words > 0
    return [
        "index", *["part"] * has_words, *["sequence"] * takes_turns,
        *["word_sequence"] * (takes_turns and has_words),
        *["slot"] * (program.slots > 0 and has_words),
        *["at"] * (has_addresses(machine) and has_words),
    ]  # fmt: skip


def _parameters(
    machine: Machine, names: Names, program: Program, units: dict[str, UnitCode],
    regions: list[dict[str, Any]],
) -> dict[str, str]:  # fmt: skip
    """Declaration -> argument of all that a sweep's function works with; what it works out itself
    is marked by its own name.
    """
    found: dict[str, str] = {}
    if any(isinstance(move, Load) and move.source is None for move in program.moves):
        found["frame_stream &frames"] = "frames"
    if program.words:
        kept = "const word_t stored[GROUPS][STORED_WORDS]"
        found[kept if machine.on_chip else "word_stream words[GROUPS]"] = (
            "stored" if machine.on_chip else "words"
        )
    for region in regions:
        if region["number"] in _written(machine, program) | _read(machine, program):
            for array in region["arrays"]:
                found[f"activations_t {array.name}[{array.groups}]{region['shape']}"] = array.name
    for array in program.arrays:
        found[declaration(machine, names, array)] = names.array(array)
    needs = {use for phase in program.phases for use in phase.unit.uses}
    if needs & {Need.VALID, Need.LAST, Need.LENGTH} or needs_lanes(machine, program):
        is_plain = machine.hardware.interleave == 1
        found["const unsigned length[LANES]" if is_plain else LENGTHS] = (
            "length" if is_plain else "lengths"
        )
    if Need.RESULTS in needs or any(
        isinstance(move, Load) and move.to_results for move in program.moves
    ):
        found["result_stream &results"] = "results"
    if not machine.is_once(program.sweep):
        found["unsigned steps"] = "steps"
    if has_images(machine, program):
        found["bool image"] = "image"
    return found


def has_images(machine: Machine, program: Program) -> bool:
    """True if a region that a sweep's program works with has two images."""
    regions = _written(machine, program) | _read(machine, program)
    return any(machine.kept.images_of(region) > 1 for region in regions)


def needs_lanes(machine: Machine, program: Program) -> bool:
    """True if something is done only in lanes that have the step."""
    uses = {use for phase in program.phases for use in phase.unit.uses}
    moves = any(not isinstance(move, Load) or move.to_results for move in program.moves)
    return Need.VALID in uses or moves


def promises(machine: Machine, names: Names, program: Program) -> list[dict[str, Any]]:
    """Of each array that is written and read, cycles from a write to the first read of it."""
    found = []
    for region in region_codes(machine):
        distance = program.distances.get(region["number"])
        if distance is not None and region["number"] in _read(machine, program):
            found += [{"array": array.name, "distance": distance} for array in region["arrays"]]
    if program.slots and program.words:
        found.append({"array": "so_far", "distance": PASS_DISTANCE})
    for array, distance in program.array_distances.items():
        found.append({"array": names.array(array), "distance": distance})
    return found


def _file(sweep: int, field: str) -> str:
    return f"sweep_{sweep}_{field}.inc"


def _into(machine: Machine, segment: str | None) -> str | None:
    if segment is None:
        return None
    return f"into_{machine.kept.activations.region_of(segment)}"


def _segment(machine: Machine, source: str, sweep: int) -> str:
    segment = machine.kept.segment(sweep, source)
    assert segment is not None
    return segment


def _written(machine: Machine, program: Program) -> set[int]:
    """The regions that a sweep's program writes."""
    segments = {segment for phase in program.phases for segment in phase.unit.segments}
    for move in program.moves:
        own = move.to_segment if isinstance(move, Load) else move.segment
        segments |= {own} if own else set()
    return {machine.kept.activations.region_of(segment) for segment in segments}


def _read(machine: Machine, program: Program) -> set[int]:
    """The regions that its words gather from."""
    return {
        machine.kept.activations.region_of(_segment(machine, source, program.sweep))
        for phase in program.phases for source in phase.nodes.operands
    }  # fmt: skip
