"""How long a step and a call take: as long as the slowest process takes.

The processes of the kernel run side by side, a step behind or ahead of one another, with streams
between them. So a step takes what the slowest of them needs for one, and a call that long for every
step, after a beginning and before an end of its own. The issue order of ``compute`` is in
``order``; iterations are in ``loops``; what is only estimated is in ``depths``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.machine.bandwidth import bandwidth
from penstock.machine.depths import (
    CALL_CYCLES,
    LOOP_CYCLES,
    READ_LATENCY,
    STREAM_DEPTH,
    WRITE_LATENCY,
)
from penstock.machine.loops import Loop, Process
from penstock.packing.schema import When

if TYPE_CHECKING:
    from penstock.machine.machine import Machine


LONG = 100
"""Steps of the sequence that stands for a long one."""


@dataclass(frozen=True)
class Busy:
    """Cycles that one process needs for a step. what: its name."""

    what: str
    cycles: int


@dataclass(frozen=True)
class Timeline:
    """Cycles. busy: of every process in a step, compute first; stall: of those of compute, cycles
    in which it waits for words.

    reload, given, zero, store: what a call takes more if it takes the parameters, is given a state,
    clears it, gives it back. begin: from the call to the first step of one that carries its state;
    end: from the last step to the last beat in memory, or at the port. once: sweeps that run once.
    """

    busy: tuple[Busy, ...]
    stall: int
    begin: int
    reload: int
    given: int
    zero: int
    once: int
    store: int
    end: int

    @property
    def slowest(self) -> Busy:
        """What a step waits for; the first of equals."""
        return max(self.busy, key=lambda busy: busy.cycles)

    @property
    def step(self) -> int:
        """Cycles of a step, of many."""
        return self.slowest.cycles

    def call(
        self, steps: int, start: str = "zero", reload: bool = False, store: bool = True
    ) -> int:
        """Cycles of a call of so many steps. start: zero, given or carried."""
        extra = {"zero": self.zero, "given": self.given, "carried": 0}[start]
        extra += self.reload * reload + self.store * store
        return self.begin + extra + steps * self.step + self.once + self.end


def timeline(machine: Machine) -> Timeline:
    """The timeline of a machine."""
    stall = _stall(machine)
    busy = [Busy(str(Process.COMPUTE), machine.order.step_cycles + stall)]
    for process in Process:
        own = [loop for loop in machine.loops if loop.process is process]
        of_step = [loop for loop in own if loop.when is When.STEP]
        if process is not Process.COMPUTE and of_step:
            restart = READ_LATENCY if process is Process.FETCH_WORDS and not machine.on_chip else 0
            busy.append(Busy(str(process), _cycles(of_step) + restart))
    return Timeline(
        tuple(busy), stall, begin=_begin(machine),
        reload=_of_calls(machine, When.RELOAD), given=_of_calls(machine, When.GIVEN),
        zero=_of_calls(machine, When.ZERO), once=machine.order.once_cycles,
        store=_store(machine), end=_end(machine),
    )  # fmt: skip


def _begin(machine: Machine) -> int:
    """The first beat from memory, through the streams; or from a port, if steps need no memory."""
    if machine.streams_io and machine.on_chip:
        return STREAM_DEPTH + CALL_CYCLES
    return READ_LATENCY + 2 * STREAM_DEPTH + CALL_CYCLES


def _store(machine: Machine) -> int:
    """The state on its way to memory; its response, if no result waits for one beside it."""
    cycles = _of_calls(machine, When.STORE)
    return cycles + WRITE_LATENCY if cycles and machine.streams_io else cycles


def _cycles(loops: list[Loop]) -> int:
    """One after the other, in one process."""
    return sum(loop.of_one + loop.entries * (STREAM_DEPTH + LOOP_CYCLES) for loop in loops)


def _of_calls(machine: Machine, when: When) -> int:
    """What only some calls do: memory, streams and compute go over it together."""
    found: dict[Process, list[Loop]] = {}
    for loop in machine.loops:
        if loop.when is when:
            found.setdefault(loop.process, []).append(loop)
    return max((_cycles(own) for own in found.values()), default=0)


def _end(machine: Machine) -> int:
    """The last results, from the last packet of compute to the memory's response or to the port."""
    results = [
        loop
        for loop in machine.loops
        if loop.kind in ("argmax", "chunks_of_result") or loop.process is Process.STORE_RESULTS
    ]
    slowest = max(_cycles([loop]) for loop in results)
    if machine.streams_io:
        return slowest + STREAM_DEPTH
    return slowest + 2 * STREAM_DEPTH + WRITE_LATENCY


def _stall(machine: Machine) -> int:
    """Cycles of a step in which compute waits for words.

    Of memory that can't give a word a cycle, all through the products. And where a step begins,
    while the first burst is on its way again: the bursts of a step follow one another, those of the
    next are asked for when the last beat was taken. Until they come, compute lives on what the
    streams hold, and on the time that it needs for something else: the unit behind the last
    product, and the frame that it loads.
    """
    if not machine.step_weight_beats:
        return 0
    streamed = sum(run.words for run in machine.stored_runs if not machine.is_once(run.sweep))
    waiting = math.ceil(streamed * (bandwidth(machine).slower - 1))
    words = machine.stream("words").depth
    beats = machine.stream("beats").depth
    entry_bits = max(product.code.entry_bits for product in machine.plan.products)
    word_bits = machine.groups.group_pes * entry_bits
    held = words + beats * machine.hardware.beat_bits // word_bits
    idle = machine.order.idle_cycles
    return waiting + max(0, READ_LATENCY - held - idle)
