"""What the memory ports ask for, against the ports and channels beside the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.machine.machine import Machine
    from penstock.machine.ports import Port


@dataclass(frozen=True)
class PortDemand:
    """GB/s (10**9 bytes) of one port.

    beat_a_cycle: the most that it can move. streaming: while its reader runs; of weights, a word a
    cycle. mean: over a whole step. offered: by its channel through this port; None: not known.
    """

    name: str
    channel: int
    beat_a_cycle: float
    streaming: float
    mean: float
    offered: float | None


@dataclass(frozen=True)
class Bandwidth:
    """All ports. offered: by the device's memory in all, GB/s; port_limit: ports that it has.

    slower_by_port, slower_by_channel, slower_by_device: how many times as long products take when
    they wait for a port, for a channel with all ports on it, for the whole memory; 1 if they don't.
    can_share: False on a card, whose platform gives each port of a kernel one of its own.
    """

    ports: tuple[PortDemand, ...]
    offered: float | None
    port_limit: int | None
    slower_by_port: float = 1.0
    slower_by_channel: float = 1.0
    slower_by_device: float = 1.0
    can_share: bool = True

    @property
    def slower(self) -> float:
        """How many times as long products take for the narrowest of the three."""
        return max(self.slower_by_port, self.slower_by_channel, self.slower_by_device)

    @property
    def are_too_many(self) -> bool:
        """True if there are more ports than the device takes, and no interconnect to share one."""
        over = self.port_limit is not None and len(self.ports) > self.port_limit
        return over and not self.can_share


def bandwidth(machine: Machine) -> Bandwidth:
    """Weights while products run; everything else is small, and counts for its mean."""
    memory = machine.hardware.device.memory
    demands = tuple(_demand(machine, port) for port in machine.memory_ports)
    if memory is None:
        return Bandwidth(demands, None, None)
    on_channel = [0.0] * memory.channels
    for demand in demands:
        on_channel[demand.channel] += demand.streaming
    return Bandwidth(
        demands, memory.gb_per_s, memory.ports,
        max(1.0, *(demand.streaming / (demand.offered or 1.0) for demand in demands)),
        max(1.0, *(asked / memory.channel_gb_per_s for asked in on_channel)),
        max(1.0, sum(on_channel) / memory.gb_per_s),
        can_share=not memory.has_banks,
    )  # fmt: skip


def channel_of(machine: Machine, port: Port) -> int:
    """The weights are spread over all channels, the rest is on the first (as link.cfg has it)."""
    memory = machine.hardware.device.memory
    stem, _, group = port.name.partition("_")
    if memory is None or stem != "weights":
        return 0
    return (int(group) + 1) % memory.channels


def _demand(machine: Machine, port: Port) -> PortDemand:
    hardware = machine.hardware
    beat = hardware.beat_bits / 8 * hardware.clock_mhz / 1e3
    is_weights = port.name.startswith("weights_")
    beats = machine.step_weight_beats if is_weights else port.beats * int(port.is_per_step)
    mean = beat * beats / machine.order.step_cycles
    word_bits = machine.groups.group_pes * max(p.code.entry_bits for p in machine.plan.products)
    memory = hardware.device.memory
    return PortDemand(
        port.name, channel_of(machine, port), beat,
        word_bits / 8 * hardware.clock_mhz / 1e3 if is_weights and beats else mean, mean,
        None if memory is None else min(memory.port_gb_per_s(hardware.clock_mhz), beat),
    )  # fmt: skip
