"""Frames, states and parameters <-> beats, and the vector file that the test bench reads.

Both directions, for the compiler's golden vectors and for the runtime's checks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penstock.fixed import IntArray
from penstock.formats import Layout

MAGIC = 0x4B545350
PARAMETER_BITS = 32
START_ZERO, START_GIVEN, START_CARRIED = 0, 1, 2


@dataclass(frozen=True)
class Ports:
    """How elements lie in beats. io_bits: one element of x, y or the state, in one lane."""

    port_bits: int
    io_bits: int
    lanes: int

    @property
    def per_beat(self) -> int:
        """Elements in a beat, each with all its lanes."""
        return self.port_bits // (self.io_bits * self.lanes)

    def beats(self, elements: int) -> int:
        """Beats that hold ``elements`` elements."""
        return -(-elements // self.per_beat)

    def to_beats(self, raw: IntArray) -> bytes:
        """(lanes, frames, elements) -> frame after frame, each on beats of its own."""
        elements = raw.shape[2]
        spare = self.beats(elements) * self.per_beat - elements
        ordered = np.pad(raw.transpose(1, 2, 0), ((0, 0), (0, spare), (0, 0)))
        return ordered.astype(f"<i{self.io_bits // 8}").tobytes()

    def from_beats(self, content: bytes, frames: int, elements: int) -> IntArray:
        """Inverse of ``to_beats``."""
        values = np.frombuffer(content, dtype=f"<i{self.io_bits // 8}").astype(np.int64)
        ordered = values.reshape(frames, self.beats(elements) * self.per_beat, self.lanes)
        return np.ascontiguousarray(ordered[:, :elements].transpose(2, 0, 1))

    def state_to_beats(self, state: dict[str, IntArray], layouts: dict[str, Layout]) -> bytes:
        """State name -> (lanes, n), each in hardware order on beats of its own, in dict order."""
        return b"".join(
            self.to_beats(layouts[name].spread(value)[:, None]) for name, value in state.items()
        )

    def state_from_beats(self, content: bytes, layouts: dict[str, Layout]) -> dict[str, IntArray]:
        """Inverse of ``state_to_beats``; ``layouts`` in the same order."""
        state, start = {}, 0
        for name, layout in layouts.items():
            stop = start + self.beats(layout.positions) * self.port_bits // 8
            placed = self.from_beats(content[start:stop], 1, layout.positions)[:, 0]
            state[name] = layout.gather(placed)
            start = stop
        return state


def parameter_offsets(lengths: Sequence[int], port_bits: int) -> list[int]:
    """First beat of each on-chip vector in parameters.bin, and the end; lengths in positions."""
    offsets = [0]
    for length in lengths:
        offsets.append(offsets[-1] - (-length * PARAMETER_BITS // port_bits))
    return offsets


def pack_parameters(vectors: list[IntArray], port_bits: int) -> bytes:
    """On-chip vectors (already in hardware order) -> parameters.bin, each on beats of its own."""
    beat_bytes = port_bits // 8
    packed = b""
    for vector in vectors:
        content = vector.astype("<i4").tobytes()
        packed += content.ljust(-(-len(content) // beat_bytes) * beat_bytes, b"\0")
    return packed or bytes(beat_bytes)  # a port is never without memory


@dataclass(frozen=True)
class Call:
    """One call of the kernel. x: (lanes, steps, inputs); empty expectations are not compared."""

    x: IntArray
    lengths: IntArray
    start: int
    reload: bool
    state: bytes = b""
    expected_y: bytes = b""
    expected_state: bytes = b""

    @property
    def steps(self) -> int:
        """Frames that the kernel is given."""
        return int(self.x.shape[1])


def vector_file(calls: list[Call], ports: Ports) -> bytes:
    """The calls as the test bench reads them."""
    parts = [struct.pack("<II", MAGIC, len(calls))]
    for call in calls:
        parts.append(struct.pack("<III", call.steps, call.start, int(call.reload)))
        parts.append(struct.pack(f"<{ports.lanes}I", *call.lengths.tolist()))
        blocks = (ports.to_beats(call.x), call.state, call.expected_y, call.expected_state)
        parts += [struct.pack("<I", len(block)) + block for block in blocks]
    return b"".join(parts)
