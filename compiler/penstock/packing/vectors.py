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
    """How elements lie in beats. io_bits: one element of x, y or the state, in one lane.

    interleave: so many of the lanes follow one another, as ever so many vectors; the others lie
    side by side.
    """

    port_bits: int
    io_bits: int
    lanes: int
    interleave: int = 1

    @property
    def lanes_at_once(self) -> int:
        """Lanes that lie side by side."""
        return self.lanes // self.interleave

    @property
    def per_beat(self) -> int:
        """Elements in a beat, each with the lanes that lie side by side."""
        return self.port_bits // (self.io_bits * self.lanes_at_once)

    def beats(self, elements: int) -> int:
        """Beats that hold ``elements`` elements of all lanes."""
        return self.interleave * -(-elements // self.per_beat)

    def to_beats(self, raw: IntArray) -> bytes:
        """(lanes, frames, elements) -> frame after frame, each on beats of its own."""
        _, frames, elements = raw.shape
        turns = raw.reshape(self.interleave, self.lanes_at_once, frames, elements)
        spare = ((0, 0), (0, 0), (0, -elements % self.per_beat), (0, 0))
        ordered = np.pad(turns.transpose(2, 0, 3, 1), spare)
        return ordered.astype(f"<i{self.io_bits // 8}").tobytes()

    def from_beats(self, content: bytes, frames: int, elements: int) -> IntArray:
        """Inverse of ``to_beats``."""
        values = np.frombuffer(content, dtype=f"<i{self.io_bits // 8}").astype(np.int64)
        padded = elements + -elements % self.per_beat
        ordered = values.reshape(frames, self.interleave, padded, self.lanes_at_once)
        turns = ordered[:, :, :elements].transpose(1, 3, 0, 2)
        return np.ascontiguousarray(turns.reshape(self.lanes, frames, elements))

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


def parameter_ports(port_bits: int) -> Ports:
    """How parameters.bin is read: elements of 32 bits, the same for all lanes."""
    return Ports(port_bits, PARAMETER_BITS, lanes=1)


def parameter_bytes(layouts: list[Layout], port_bits: int) -> int:
    """Size of parameters.bin."""
    beats = sum(parameter_ports(port_bits).beats(layout.positions) for layout in layouts)
    return max(beats, 1) * port_bits // 8


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
    """One call of the kernel. x: (lanes, steps, inputs); empty expectations are not compared.

    store: whether the kernel gives the state back.
    """

    x: IntArray
    lengths: IntArray
    start: int
    reload: bool
    state: bytes = b""
    expected_y: bytes = b""
    expected_state: bytes = b""
    store: bool = True

    @property
    def steps(self) -> int:
        """Frames that the kernel is given."""
        return int(self.x.shape[1])


def vector_file(calls: list[Call], ports: Ports) -> bytes:
    """The calls as the test bench reads them."""
    parts = [struct.pack("<II", MAGIC, len(calls))]
    for call in calls:
        flags = int(call.reload), int(call.store)
        parts.append(struct.pack("<IIII", call.steps, call.start, *flags))
        parts.append(struct.pack(f"<{ports.lanes}I", *call.lengths.tolist()))
        blocks = (ports.to_beats(call.x), call.state, call.expected_y, call.expected_state)
        parts += [struct.pack("<I", len(block)) + block for block in blocks]
    return b"".join(parts)


class _Reader:
    """Takes a vector file apart. Raises ValueError where it ends too early."""

    def __init__(self, content: bytes) -> None:
        self.rest = memoryview(content)

    def take(self, count: int) -> bytes:
        if count > len(self.rest):
            raise ValueError("it is cut short")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return bytes(taken)

    def numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self.take(4 * count))

    def block(self) -> bytes:
        return self.take(*self.numbers(1))


def parse_vector_file(content: bytes, ports: Ports, inputs: int) -> list[Call]:
    """Inverse of ``vector_file``, for frames of ``inputs`` elements.

    Raises ValueError for a file that is cut short, goes on after its last call, or has a call
    whose frames are not as many as its steps, or a sequence longer than them.
    """
    reader = _Reader(content)
    magic, count = reader.numbers(2)
    if magic != MAGIC:
        raise ValueError("it is not a vector file")
    calls = []
    frame_bytes = ports.beats(inputs) * ports.port_bits // 8
    for number in range(count):
        steps, start, reload, store = reader.numbers(4)
        lengths = np.array(reader.numbers(ports.lanes), dtype=np.int64)
        frames, state, y, final = (reader.block() for _ in range(4))
        if len(frames) != steps * frame_bytes or steps == 0:
            raise ValueError(f"call {number} has {len(frames)} bytes of frames for {steps} steps")
        if lengths.max() > steps:
            raise ValueError(f"call {number} has a sequence of more than its {steps} steps")
        x = ports.from_beats(frames, steps, inputs)
        calls.append(Call(x, lengths, start, bool(reload), state, y, final, bool(store)))
    if len(reader.rest):
        raise ValueError("it goes on after its last call")
    return calls
