"""Runs: stretches of a phase's words that the PE array goes through in one go.

Where nothing overlaps, every phase is one run. Where products overlap with the cell unit, the first
words of a phase, whose vectors are there early, run beside the units of phases before it; a unit
then hands its results to packets, and the next run writes them into the activation memory while it
works, so that no cycle is lost to that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from penstock.formats.rows import CHAIN_DISTANCE
from penstock.machine.depths import CALL_CYCLES, LOOP_CYCLES, SPMV_DEPTH
from penstock.machine.phases import Load, Phase
from penstock.machine.storage import Storage
from penstock.packing.manifest import WordRun, beat_offsets

FEWEST_WORDS = 8
"""A run of fewer words beside a unit is not worth its pipeline."""
RUN_CYCLES = SPMV_DEPTH + LOOP_CYCLES + CALL_CYCLES
"""What a run takes beside its words."""


@dataclass(frozen=True)
class Run:
    """Words ``first`` .. ``first + words`` of a phase.

    beside: the phase beside whose unit it runs, if it does. is_ahead: it belongs to the next step.
    segment, packets: what it writes into the activation memory meanwhile, a packet in each cycle
    from its first on; "" and 0 for nothing. lead: cycles in which it only writes packets, before
    its first word. first_beat, end_beat: its words in each weight file.
    """

    phase: str
    sweep: int
    first: int
    words: int
    beside: str | None = None
    is_ahead: bool = False
    segment: str = ""
    packets: int = 0
    lead: int = 0
    first_beat: int = 0
    end_beat: int = 0

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What the PE array is told of it: equal runs are one."""
        return self.phase, self.first, self.words, self.segment

    @property
    def iterations(self) -> int:
        """How often its loop goes round."""
        return max(self.lead + self.words, self.packets)


@dataclass(frozen=True)
class SweepRuns:
    """The runs of one sweep, by phase.

    own: what is left of a phase in its own time; beside: what runs beside its unit; before and
    between: runs that only write packets, in front of either. ahead: what comes before the first
    step: packets of all that is there by then, and the runs that later steps do in advance.
    """

    own: dict[str, Run]
    beside: dict[str, Run]
    before: dict[str, tuple[Run, ...]]
    between: dict[str, tuple[Run, ...]]
    ahead: tuple[Run, ...] = ()

    def in_step(self, phases: list[Phase]) -> list[Run]:
        """The runs of a step, in the order in which they begin."""
        found: list[Run] = []
        for phase in phases:
            for runs in (self.before, self.own, self.between, self.beside):
                here = runs.get(phase.name, ())
                found += [here] if isinstance(here, Run) else here
        return found


def plain_runs(phases: list[Phase]) -> SweepRuns:
    """Every product phase in one run."""
    own = {
        phase.name: Run(phase.name, phase.sweep, 0, phase.words)
        for phase in phases if phase.product is not None
    }  # fmt: skip
    return SweepRuns(own, {}, {}, {})


def overlapped_runs(kept: Storage, phases: list[Phase], loads: list[Load]) -> SweepRuns:
    """The phases of a sweep, with words beside units wherever their vectors are there."""
    beside = _windows(phases)
    done: dict[str, int] = {}
    for run in beside.values():
        done[run.phase] = max(done.get(run.phase, 0), run.first + run.words)
    own = {
        phase.name: Run(phase.name, phase.sweep, done.get(phase.name, 0),
                        phase.words - done.get(phase.name, 0))
        for phase in phases if phase.product is not None
    }  # fmt: skip
    supply = Supply(kept, phases, loads)
    supply.step(own, beside)  # leaves pending what the next step finds
    found = supply.step(own, beside)
    return replace(found, ahead=supply.ahead(found))


def _windows(phases: list[Phase]) -> dict[str, Run]:
    """For each phase's unit, the run that goes best beside it, longest unit first."""
    count = len(phases)
    room = [max(phase.unit_cycles - RUN_CYCLES, 0) for phase in phases]
    taken: dict[int, dict[int, int]] = {}  # phase -> distance of the window -> words
    for i in sorted(range(count), key=lambda i: -room[i]):
        best, most = None, FEWEST_WORDS - 1
        for distance in range(1, count + 1):
            j = (i + distance) % count
            words = min(room[i], _available(phases[j], distance) - sum(taken.get(j, {}).values()))
            if words > most:
                best, most = (j, distance), words
        if best is not None:
            taken.setdefault(best[0], {})[best[1]] = most
    found: dict[str, Run] = {}
    for j, windows in taken.items():
        found |= _in_order(phases, j, windows)
    return found


def _available(phase: Phase, distance: int) -> int:
    """Words of a phase whose vectors are there in the ``distance``-th window before it."""
    if phase.product is None:
        return 0
    code = phase.product.code
    late = (s for s, own in zip(code.starts, phase.nodes.ready, strict=True) if own < distance)
    return max(next(late, code.words), 0)


def _in_order(phases: list[Phase], j: int, windows: dict[int, int]) -> dict[str, Run]:
    """The runs of phase j: the earliest window has its first words."""
    phase, count, first = phases[j], len(phases), 0
    found = {}
    for distance in sorted(windows, reverse=True):
        words = min(windows[distance], _available(phase, distance) - first)
        if first == 0 and phase.product is not None:  # its first vector may be written meanwhile
            words -= max(-phase.product.code.starts[0], 0)
        if words >= FEWEST_WORDS:
            i = (j - distance) % count
            found[phases[i].name] = Run(
                phase.name, phase.sweep, first, words, phases[i].name, is_ahead=i >= j
            )
            first += words
    return found


class Supply:
    """Who writes whose packets: the first run behind what makes a vector, before its readers."""

    def __init__(self, kept: Storage, phases: list[Phase], loads: list[Load]) -> None:
        self.kept, self.phases, self.loads = kept, phases, loads
        self.pending: list[str] = []
        self.packets: dict[str, int] = {}
        self.copied = kept.plan.hardware.copied_elements
        for phase in phases:
            for source in phase.nodes.operands:
                positions = kept.plan.positions(source)
                self.packets[self.segment(source)] = positions // self.copied

    def segment(self, source: str) -> str:
        """The segment of a vector that a product of the sweep gathers."""
        found = self.kept.segment(self.phases[0].sweep, source)
        assert found is not None, f"{source} is gathered, and has no segment"
        return found

    def step(self, own: dict[str, Run], beside: dict[str, Run]) -> SweepRuns:
        """Give all runs of a step their packets, in the order in which they begin."""
        found = SweepRuns({}, {}, {}, {})
        self.pending += [load.to_segment for load in self.loads
                         if load.to_segment and not load.is_ahead]  # fmt: skip
        for phase in self.phases:
            if phase.name in own:
                self._supply(own[phase.name], found.own, found.before, phase.name)
            self.pending += [
                load.to_segment for load in self.loads
                if load.is_ahead and load.to_segment and load.vector in phase.nodes.operands
            ]  # fmt: skip
            if phase.name in beside:
                self._supply(beside[phase.name], found.beside, found.between, phase.name)
            made = [line.segment for line in phase.unit.lines if line.segment]
            self.pending += [segment for segment in made if segment in self.packets]
        self.pending += [
            state.segment for state in self.kept.states
            if state.is_deferred and state.segment in self.packets and state.segment
        ]  # fmt: skip
        return found

    def _supply(
        self, run: Run, runs: dict[str, Run], before: dict[str, tuple[Run, ...]], at: str
    ) -> None:
        """Take from what is pending what the run needs; one it can write itself, as it goes."""
        starts = self._starts(run)
        needed = [s for s in self.pending if starts.get(s, run.first + run.words)
                  < run.first + run.words]  # fmt: skip
        own = needed[-1:] or self.pending[:1]
        alone = [segment for segment in needed if segment not in own]
        if alone:
            before[at] = tuple(self._alone(segment) for segment in alone)
        self.pending = [s for s in self.pending if s not in (*alone, *own)]
        if own:
            run = replace(run, segment=own[0], packets=self.packets[own[0]])
        if needed:
            written = run.packets - 1 + CHAIN_DISTANCE  # all of them, when the first word gathers
            run = replace(run, lead=max(min(run.first - starts[own[0]], written), 0))
        if run.iterations:
            runs[at] = run

    def _starts(self, run: Run) -> dict[str, int]:
        """The first word in which each vector of the run's phase may be read."""
        phase = next(phase for phase in self.phases if phase.name == run.phase)
        assert phase.product is not None
        return {
            self.segment(source): start
            for source, start in zip(phase.nodes.operands, phase.product.code.starts, strict=True)
        }

    def _alone(self, segment: str) -> Run:
        return Run("", self.phases[0].sweep, 0, 0, segment=segment, packets=self.packets[segment])

    def ahead(self, found: SweepRuns) -> tuple[Run, ...]:
        """What comes before the first step."""
        sweep = self.phases[0].sweep
        there = [state.segment for state in self.kept.states
                 if self.kept.graph[state.read].sweep == sweep]  # fmt: skip
        there += [load.to_segment for load in self.loads if load.is_ahead]
        there += [self.kept.segment(sweep, node.name) for node in
                  self.kept.graph.of_kind("capture")]  # fmt: skip
        early = [run for run in found.beside.values() if run.is_ahead]
        index = {phase.name: k for k, phase in enumerate(self.phases)}
        early.sort(key=lambda run: (index[run.phase], run.first))
        return (
            *(self._alone(segment) for segment in there if segment in self.packets and segment),
            *(replace(run, segment="", packets=0, lead=0, beside=None) for run in early),
        )


def placed(
    runs: dict[int, SweepRuns], phases: tuple[Phase, ...], group_pes: int, port_bits: int
) -> dict[int, SweepRuns]:
    """The same runs with the beats that hold their words: in the files they follow one another."""
    numbers = {phase.name: n for n, phase in enumerate(p for p in phases if p.product is not None)}
    codes = [phase.product.code for phase in phases if phase.product is not None]
    in_file = file_order(runs, phases)
    offsets = beat_offsets(word_runs(in_file, numbers), codes, group_pes, port_bits)
    beats = {
        (run.phase, run.first): pair for run, pair in zip(in_file, pairwise(offsets), strict=True)
    }

    def at(run: Run) -> Run:
        first, end = beats.get((run.phase, run.first), (0, 0)) if run.words else (0, 0)
        return replace(run, first_beat=first, end_beat=end)

    return {
        sweep: SweepRuns(
            {name: at(run) for name, run in own.own.items()},
            {name: at(run) for name, run in own.beside.items()},
            own.before, own.between, tuple(map(at, own.ahead)),
        )
        for sweep, own in runs.items()
    }  # fmt: skip


def file_order(runs: dict[int, SweepRuns], phases: tuple[Phase, ...]) -> list[Run]:
    """Every run that has words once, as the steps take them."""
    found: list[Run] = []
    for sweep, own in runs.items():
        in_step = own.in_step([phase for phase in phases if phase.sweep == sweep])
        found += [run for run in in_step if run.words]
    return found


def word_runs(runs: list[Run], numbers: dict[str, int]) -> tuple[WordRun, ...]:
    """The runs as the manifest has them. numbers: of the product phases."""
    return tuple(WordRun(numbers[run.phase], run.first, run.words) for run in runs)
