"""What the kernel moves to and from the memory beside the device, channel by channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.machine.devices import device_of

if TYPE_CHECKING:
    from penstock.machine.machine import Machine
    from penstock.machine.ports import Port


@dataclass(frozen=True)
class Channel:
    """One channel of the memory, or all of it. step_bytes: that pass in a step; gb_per_s: at most."""

    name: str
    ports: tuple[str, ...]
    step_bytes: int
    gb_per_s: float

    def step_cycles(self, clock_mhz: float) -> int:
        """Cycles of the kernel's clock that a step's bytes take."""
        return math.ceil(self.step_bytes / (self.gb_per_s * 1e3) * clock_mhz)


@dataclass(frozen=True)
class Traffic:
    """All channels that are known."""

    channels: tuple[Channel, ...]


def traffic(machine: Machine) -> Traffic:
    """Each channel with the ports that are linked to it, and the memory as a whole."""
    device = device_of(machine.hardware.part)
    if device is None or device.bandwidth is None:
        return Traffic(())
    ports: dict[int, list[Port]] = {}
    for port in machine.ports:
        ports.setdefault(bank_of(port.name, device.banks), []).append(port)
    found = [
        Channel(
            f"{device.memory or 'memory'}[{bank}]", tuple(port.name for port in own),
            sum(_step_bytes(machine, port) for port in own), device.bandwidth / device.banks,
        )
        for bank, own in sorted(ports.items())
        if device.banks > 1
    ]  # fmt: skip
    total = sum(_step_bytes(machine, port) for port in machine.ports)
    names = tuple(port.name for port in machine.ports)
    found.append(Channel("all memory" if found else "memory", names, total, device.bandwidth))
    return Traffic(tuple(found))


def bank_of(port: str, banks: int) -> int:
    """The bank that a port is linked to: weights are spread over all of them, the rest is small."""
    stem, _, number = port.rpartition("_")
    return (int(number) + 1) % banks if stem == "weights" else 0


def _step_bytes(machine: Machine, port: Port) -> int:
    if port.name.startswith("weights_"):
        return machine.step_weight_beats * machine.hardware.port_bits // 8
    return port.beats * machine.hardware.port_bits // 8 if port.is_per_step else 0
