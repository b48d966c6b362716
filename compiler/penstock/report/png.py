"""PNG files of few colours, written with zlib alone."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int, int]
"""Red, green, blue and opacity, 0 to 255 each."""
DEPTH = 4
"""Bits of a pixel."""


def png(pixels: NDArray[np.uint8], palette: list[Colour]) -> bytes:
    """pixels: (rows, columns), which colour of a palette of at most 16. ISO/IEC 15948."""
    height, width = pixels.shape
    even = np.pad(pixels, ((0, 0), (0, width % 2)))
    packed = even[:, 0::2] << DEPTH | even[:, 1::2]
    unfiltered = np.pad(packed, ((0, 0), (1, 0))).tobytes()  # 0 in front of a row: no filter
    header = struct.pack(">IIBBBBB", width, height, DEPTH, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", bytes(part for colour in palette for part in colour[:3])),
        (b"tRNS", bytes(colour[3] for colour in palette)),
        (b"IDAT", zlib.compress(unfiltered, 6)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
