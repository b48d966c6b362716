"""Medians of repeated runs, and the energy that a machine counts meanwhile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 0.005
"""No sample is shorter: a call that is has company."""
ENERGY_SECONDS = 0.3
"""Energy counters move once a millisecond."""
RAPL = Path("/sys/class/powercap")


def median_seconds(
    work: Callable[[], Any], repeat: int, done: Callable[[], None] = lambda: None
) -> float:
    """Of one call; done: waits until all calls have ended."""
    work()
    done()
    start = time.perf_counter()
    work()
    done()
    calls = max(1, round(SAMPLE_SECONDS / max(time.perf_counter() - start, 1e-9)))
    samples = []
    for _ in range(repeat):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        done()
        samples.append((time.perf_counter() - start) / calls)
    return statistics.median(samples)


@dataclass(frozen=True)
class Counter:
    """An energy counter of a processor package. wraps: microjoules at which it starts anew."""

    path: Path
    wraps: int

    def read(self) -> int:
        """Microjoules so far."""
        return int(self.path.read_text())


def counters(root: Path = RAPL) -> list[Counter]:
    """Those of all packages; empty if this machine has none, or does not let the user read them."""
    found = []
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            if not (folder / "name").read_text().startswith("package"):
                continue  # a part of one, or the whole platform
            counter = Counter(
                folder / "energy_uj", int((folder / "max_energy_range_uj").read_text())
            )
            counter.read()
        except (OSError, ValueError):
            return []
        found.append(counter)
    return found


def joules(work: Callable[[], Any], found: list[Counter]) -> float | None:
    """Of one call, everything else that the packages do meanwhile included; None: not counted."""
    if not found:
        return None
    before = [counter.read() for counter in found]
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < ENERGY_SECONDS:
        work()
        calls += 1
    spent = [
        (counter.read() - then) % max(counter.wraps, 1)
        for counter, then in zip(found, before, strict=True)
    ]
    return sum(spent) / 1e6 / calls
