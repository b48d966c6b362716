"""What the kernel moves to and from the memory beside the device, channel by channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.machine.machine import Machine
    from penstock.machine.ports import Port


@dataclass(frozen=True)
class Channel:
    """One channel of the memory, or all of it.

    step_bytes: that pass in a step; gb_per_s: at most.
    """

    name: str
    step_bytes: int
    gb_per_s: float

    def step_cycles(self, clock_mhz: float) -> int:
        """Cycles of the kernel's clock that a step's bytes take."""
        return math.ceil(self.step_bytes / (self.gb_per_s * 1e3) * clock_mhz)


def traffic(machine: Machine) -> tuple[Channel, ...]:
    """Each channel that a port leads to, and the memory as a whole; none if it is not known."""
    memory = machine.hardware.device.memory
    if memory is None:
        return ()
    asked: dict[int, int] = {}
    for port in machine.ports:
        channel = channel_of(machine, port)
        asked[channel] = asked.get(channel, 0) + _step_bytes(machine, port)
    found = [
        Channel(f"{memory.kind}[{channel}]", size, memory.channel_gb_per_s)
        for channel, size in sorted(asked.items())
    ]
    if memory.channels == 1:
        return tuple(found)
    return (*found, Channel("all memory", sum(asked.values()), memory.gb_per_s))


def channel_of(machine: Machine, port: Port) -> int:
    """The weights are spread over all channels, the rest is on the first (as link.cfg has it)."""
    memory = machine.hardware.device.memory
    stem, _, group = port.name.partition("_")
    if memory is None or stem != "weights":
        return 0
    return (int(group) + 1) % memory.channels


def _step_bytes(machine: Machine, port: Port) -> int:
    if port.name.startswith("weights_"):
        return machine.step_weight_beats * machine.hardware.port_bits // 8
    return port.beats * machine.hardware.port_bits // 8 if port.is_per_step else 0
