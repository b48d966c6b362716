"""What a step issues, in C++: runs of words, drained sums, units, loads, and their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.codegen.hls.group_arrays import arrays_code, group_arrays, sums_arrays
from penstock.codegen.hls.names import Names, one_line, plain_cpp
from penstock.codegen.hls.units import UnitCode
from penstock.formats.rows import CHAIN_DISTANCE
from penstock.machine import Machine
from penstock.machine.loops import turns_of
from penstock.machine.memories import Access, Memory
from penstock.machine.order import Issue, Work
from penstock.machine.phases import Load, Phase
from penstock.machine.runs import Run
from penstock.machine.states import State


def storage_code(memory: Memory) -> dict[str, Any] | None:
    """How BIND_STORAGE says it; None leaves it to the tool. UltraRAM is read in two cycles."""
    if memory.impl == "auto":
        return None
    is_shared = memory.access is Access.TWO_READ_OR_WRITE
    return {"type": "ram_t2p" if is_shared else "ram_s2p", "impl": memory.impl,
            "latency": 2 if is_shared or memory.impl == "uram" else 1}  # fmt: skip


def has_packets(machine: Machine) -> bool:
    """True if neighbouring elements go to the activation memory together."""
    return machine.hardware.overlaps or machine.hardware.is_bank


def packets_code(machine: Machine, names: Names, segment: str) -> str:
    """Where the packets of a segment go: an array of them, or its place in the memory itself."""
    return names.segment(segment) if machine.hardware.is_bank else names.packets(segment)


def write_code(machine: Machine, segment: str) -> str:
    """The beginning of a call that writes into the region of a segment."""
    number = machine.kept.activations.region_of(segment)
    blocks = machine.groups.row_blocks(*machine.hardware.shape)
    arrays = ", ".join(array.name for array in group_arrays(f"vector_{number}", blocks))
    sequence = ", sequence" * (machine.hardware.interleave > 1)
    image = ", image" * (machine.kept.images_of(number) - 1)
    return f"write_{number}({arrays}{sequence}{image}"


@dataclass(frozen=True)
class StateCode:
    """One state, as the templates need it."""

    name: str
    constant: str
    cpp: str
    positions: int
    array: str | None
    next: str | None
    base: str | None
    packets: str | None
    write: str | None
    has_empty: bool
    loops: dict[str, str]

    @classmethod
    def of(cls, machine: Machine, names: Names, state: State) -> StateCode:
        """Its names and types."""
        kept, segment = machine.kept, state.segment
        return cls(
            one_line(state.name), names.state(state.name), plain_cpp(state.type), state.positions,
            array=names.array(kept.array_of(state)) if state.has_array else None,
            next=names.array(kept.next_of(state)) if state.is_deferred else None,
            base=names.segment(segment) if segment is not None else None,
            packets=packets_code(machine, names, segment)
            if segment and has_packets(machine) else None,
            write=write_code(machine, segment) if segment and machine.hardware.is_bank else None,
            has_empty=not all(state.filled),
            loops={
                loop.kind: names.loop(loop.kind, loop.subject)
                for loop in machine.loops if loop.subject == state.name
            },
        )  # fmt: skip


def phase_code(machine: Machine, names: Names, phase: Phase, index: int) -> dict[str, Any]:
    """A product phase: what the PE array, and the drain behind it, are told."""
    assert phase.product is not None
    code = phase.product.code
    return {
        "name": one_line(phase.name), "constant": names.phase(phase.name), "id": index,
        "words": code.words, "base": phase.operand_bases[0], "slots": code.slots,
        "sibling_bits": code.siblings.bit_length() - 1, "way_bits": code.ways.bit_length() - 1,
        "row": machine.rows.first[phase.name], "rows_per_pe": phase.unit.rows_per_pe,
        "siblings": code.siblings, "ways": code.ways,
        "at": machine.stored_words.get((phase.name, 0), 0), "columns": phase.operand_ends[-1],
    }  # fmt: skip


def parts_codes(machine: Machine, names: Names) -> list[dict[str, Any]]:
    """Of each phase with shared rows: where the parts are, and where their sums go."""
    found, at = [], 0
    for parts in machine.parts:
        found.append({
            "constant": names.parts(parts.phase), "phase": one_line(parts.phase),
            "first": parts.first, "rows": len(parts.places), "at": at,
            "pes": [pe for pe, _ in parts.places], "places": [row for _, row in parts.places],
        })  # fmt: skip
        at += len(parts.places)
    return found


def run_codes(machine: Machine, names: Names) -> dict[str, Any]:
    """All runs, the packets that they write, and the sizes of both."""
    if not machine.hardware.overlaps:
        return {"overlaps": False, "runs": [], "loads_ahead": [], "packets": []}
    runs = {names.run(run): _run(machine, names, run) for run in machine.every_run}
    segments = machine.kept.packets()
    return {
        "overlaps": True, "runs": list(runs.values()), "chain_distance": CHAIN_DISTANCE,
        "packets": [
            {"name": names.packets(segment), "storage": storage_code(memory)}
            for segment, memory in zip(segments, machine.memories_of("packets"), strict=True)
        ],
        "max_packets": machine.max_packets, "copy_turns": machine.copy_turns,
        "copied": machine.hardware.copied_elements, "kept": 1 + len(machine.pausing),
        "sum_rows": machine.memory("sums").depth,
        **arrays_code("sums", sums_arrays(machine)),
        "sums_storage": storage_code(machine.memory("sums")),
        "run_bits": {
            "words": max(code["words"] for code in runs.values()).bit_length() + 1,
            "packets": (machine.max_packets * machine.copy_turns).bit_length(),
            "lead": max(code["lead"] for code in runs.values()).bit_length() or 1,
            "to": machine.kept.activations.depth.bit_length(),
            "kept": len(machine.pausing).bit_length() or 1,
        },
        "loads_ahead": [load_code(machine, names, load) for load in machine.loads if load.is_ahead],
        "drains": [
            {"function": names.drain(drain.ways), "ways": drain.ways, "siblings": drain.siblings,
             "rows": drain.rows, "loop": names.loop("drain", f"{drain.ways} ways")}
            for drain in machine.drains
        ],
    }  # fmt: skip


def _run(machine: Machine, names: Names, run: Run) -> dict[str, Any]:
    phase = run.phase or machine.products[0].name
    fields = ("phase", "first", "words", "packets", "to", "lead", "kept")
    numbers = dict(zip(fields, run_fields(machine, run), strict=True))
    at = machine.stored_words.get((run.phase, run.first), 0)
    return {**numbers, "constant": names.run(run), "phase": names.phase(phase), "at": at}


def run_fields(machine: Machine, run: Run) -> tuple[int, ...]:
    """Its phase's number, first word, words, packets, the place of the first packet, cycles before
    the first word, and which of the places it goes on from: those of phases that do not pause are
    the first, and not looked at.
    """
    base = machine.kept.activations.base[run.segment] if run.segment else 0
    index = [phase.name for phase in machine.products].index(run.phase) if run.phase else 0
    kept = machine.pausing.index(run.phase) + 1 if run.phase in machine.pausing else 0
    copied = machine.hardware.copied_elements
    return index, run.first, run.words, run.packets, base // copied, run.lead, kept


def _words(machine: Machine, names: Names, run: Run) -> dict[str, Any]:
    """What the processes in front of compute are told of a run."""
    product = machine.phase(run.phase).product
    assert product is not None
    overlaps = machine.hardware.overlaps
    constant = names.run(run) if overlaps else names.phase(run.phase)
    return {
        "constant": constant, "turns": turns_of(machine, run),
        "field_bits": [field.bits for field in product.code.fields],
        "first_beat": run.first_beat, "end_beat": run.end_beat,
    }  # fmt: skip


def sweep_code(
    machine: Machine, names: Names, units: dict[str, UnitCode], states: list[StateCode], sweep: int
) -> dict[str, Any]:
    """One sweep: what comes before its first step, and what each step issues."""
    issues: list[dict[str, Any]] = []
    before: list[dict[str, Any]] = []
    for issue in machine.order.of_sweep(sweep) if not machine.programs else ():
        subject = _issue(machine, names, units, states, issue)
        if issue.is_beside:
            (before if issue.is_first else issues)[-1]["beside"].append(subject)
        elif issue.work is not Work.CLEAR:
            (before if issue.is_first else issues).append(subject)
    arguments = {
        argument for issue in issues if "unit" in issue for argument in issue["unit"].arguments
    }
    commits = any(issue["work"] == Work.COMMIT for issue in issues)
    results = any(load.to_results for load in machine.loads if load.sweep == sweep)
    stored = [run for run in machine.stored_runs if run.sweep == sweep]
    ahead = [run for run in machine.runs[sweep].ahead if run.words]
    return {
        "index": sweep, "direction": str(machine.graph.sweeps[sweep]),
        "is_once": machine.is_once(sweep), "issues": issues, "before": before,
        "runs": [_words(machine, names, run) for run in stored],
        "runs_ahead": [_words(machine, names, run) for run in ahead],
        "first_beat": stored[0].first_beat if stored else 0,
        "end_beat": stored[-1].end_beat if stored else 0,
        "needs_valid": "valid" in arguments or commits or results,
        "needs_last": "last" in arguments,
    }  # fmt: skip


def _issue(
    machine: Machine,
    names: Names,
    units: dict[str, UnitCode],
    states: list[StateCode],
    issue: Issue,
) -> dict[str, Any]:
    subject: dict[str, Any] = {"work": str(issue.work), "beside": []}
    match issue.work:
        case Work.LOAD:
            load = next(load for load in machine.loads
                        if (load.vector, load.sweep) == (issue.name, issue.sweep))  # fmt: skip
            subject |= load_code(machine, names, load) | _arguments(machine, names, load, issue)
        case Work.SPMV:
            assert issue.run is not None
            subject |= _spmv(machine, names, issue.run)
        case Work.PARTS:
            subject["parts"] = names.parts(issue.name)
        case Work.DRAIN:
            subject |= _drain(machine, names, issue.name)
        case Work.CELLS:
            subject["unit"] = units[issue.name]
        case Work.COMMIT:
            subject["state"] = next(s for s in states if s.constant == names.state(issue.name))
    return subject


def _drain(machine: Machine, names: Names, name: str) -> dict[str, Any]:
    """A call of the adder trees behind a phase."""
    phase = machine.phase(name)
    assert phase.product is not None
    return {
        "drain": names.drain(phase.product.code.ways), "row": machine.rows.first[name],
        "rows": phase.unit.rows_per_pe,
    }  # fmt: skip


def _spmv(machine: Machine, names: Names, run: Run) -> dict[str, Any]:
    if not machine.hardware.overlaps:
        return {"constant": names.phase(run.phase)}
    return {"run": names.run(run), "packets": names.packets(run.segment or machine.idle(run))}


def load_code(machine: Machine, names: Names, load: Load) -> dict[str, Any]:
    """A frame comes in: from the input port or a buffer, to the activation memory or further."""
    array = names.array(load.source) if load.source else None
    frames = names.array(load.to_frames) if load.to_frames else None
    packets = load.to_segment is not None and has_packets(machine)
    return {
        "label": f"{names.load(load)}", "positions": load.positions,
        "loop": _loop_of(machine, names, load),
        "is_input": load.source is None, "is_ahead": load.is_ahead, "about": one_line(load.vector),
        "step": "step",
        "array": array, "to_array": frames,
        "to_step": names.array(load.to_carry) if load.to_carry else None,
        "to_step_cpp": plain_cpp(load.to_carry.type) if load.to_carry else None,
        "to_base": names.segment(load.to_segment) if load.to_segment else None,
        "packets": packets_code(machine, names, load.to_segment)
        if packets and load.to_segment else None,
        "to_results": load.to_results, "function": names.loader(load),
        "parameters": _parameters(machine, names, load),
    }  # fmt: skip


def _loop_of(machine: Machine, names: Names, load: Load) -> str:
    """The loop in which a frame comes in; a program has one for the first frames alone."""
    if machine.programs and not load.is_ahead:
        return ""
    kind = "ahead" if machine.programs else "load"
    return names.loop(kind, f"{load.vector}@{load.sweep}")


def _parameters(machine: Machine, names: Names, load: Load) -> list[str]:
    """Of the function that loads a frame ahead of its step."""
    found = ["frame_stream &frames"] if load.source is None else []
    found += [
        f"{'const ' if array is load.source else ''}activations_t {names.array(array)}[MAX_STEPS]"
        f"[{array.positions}]"
        for array in (load.source, load.to_frames) if array is not None
    ]  # fmt: skip
    segment = load.to_segment if not machine.programs else None
    found += [f"gathered_t {names.packets(segment)}[GROUPS][MAX_PACKETS]"] if segment else []
    return [*found, *(["unsigned step"] if load.source or load.to_frames else [])]


def _arguments(machine: Machine, names: Names, load: Load, issue: Issue) -> dict[str, Any]:
    """Of a call of that function: for the first step, or for the next one."""
    found = ["frames"] if load.source is None else []
    found += [names.array(array) for array in (load.source, load.to_frames) if array is not None]
    found += [names.packets(load.to_segment)] if load.to_segment else []
    is_backward = machine.graph.sweeps[load.sweep] == "backward"
    if load.source or load.to_frames:
        first, following = ("steps - 1", "step - 1") if is_backward else ("0", "step + 1")
        found.append(first if issue.is_first else following)
    return {"arguments": [*found, "steps > 0" if issue.is_first else "n + 1 < steps"]}
