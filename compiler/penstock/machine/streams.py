"""The streams between the processes, and how deep they are."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.formats.kernel import kernel_format
from penstock.packing.groups import PeGroups
from penstock.packing.vectors import PARAMETER_BITS, Ports
from penstock.schedule import Product

BEAT_DEPTH, WORD_DEPTH, PACKET_DEPTH = 64, 32, 2
FEED_DEPTH = 16
"""Of the entries of each PE that goes at its own pace: no more registers than a depth of 2."""
SHALLOWEST = 2


@dataclass(frozen=True)
class Stream:
    """``count`` equal streams of ``depth`` values of ``width`` bits."""

    name: str
    count: int
    depth: int
    width: int


def streams(
    products: tuple[Product, ...], groups: PeGroups, beats: Ports, per_cycle: int,
    input_positions: int, result_positions: int, has_states: bool, has_parameters: bool,
    on_chip: bool, streams_io: bool, queue: tuple[int, int] | None,
) -> tuple[Stream, ...]:  # fmt: skip
    """Beats from and to the ports, words to the PEs, packets of neighbouring elements.

    Frames and results are as deep as one step's: the next waits while it runs, and the last one
    leaves. streams_io: their beats pass no stream of the kernel's own, but those at its ports.
    queue: depth and width of each PE's activation queue, if they are broadcast.
    """
    ends = 2 * (not streams_io) + 2 * has_states + has_parameters
    ports = 1 if on_chip else groups.groups
    widest = kernel_format([product.code for product in products])
    entry_bits = sum(field.bits for field in widest.fields)
    packet_bits = per_cycle * beats.lanes_at_once * beats.io_bits

    def packets(name: str, positions: int) -> Stream:
        depth = beats.interleave * positions // per_cycle
        return Stream(name, 1, max(SHALLOWEST, depth), packet_bits)

    found = (
        Stream("beats", ports + ends, BEAT_DEPTH, beats.port_bits),
        Stream("words", ports, WORD_DEPTH, groups.group_pes * entry_bits),
        packets("frames", input_positions),
        packets("results", result_positions),
        Stream("states", 2 * has_states, PACKET_DEPTH, packet_bits),
        Stream("parameters", int(has_parameters), PACKET_DEPTH, per_cycle * PARAMETER_BITS),
    )
    if queue is None:
        return found
    feeds = Stream("feeds", groups.pes, FEED_DEPTH, entry_bits)
    return (*found, feeds, Stream("queues", groups.pes, *queue))
