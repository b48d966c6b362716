"""The greatest that can be asked for or claimed by a file: what is compiled can be simulated.

``settings`` holds users to them, the schemas files, ``machine.limits`` networks.
"""

from __future__ import annotations

MAX_PES = 1024
MAX_MULTIPLIERS = 8192
"""Rows times banks of the bank dataflow."""
MOST_PARTITIONS = 1024
"""Memories that an array may be cut into: older tools stop there (XFORM 203-103)."""
MAX_CELL_UNITS = 64
FASTEST_MHZ = 1000.0
LANE_CHOICES = (1, 2, 4, 8, 16, 32)
PORT_BITS = (64, 128, 256, 512)
"""Widths of a memory port."""
WIDEST = 24
"""Bits of the widest tensor at the ports or in a memory (accumulators apart)."""
MAX_LENGTH = 1 << 20
"""Longest vector: inputs, cells, classes; with the empty positions that the PEs leave."""
MAX_MATRIX = 1 << 27
"""Elements of the largest weight matrix, zeros counted."""
MAX_WEIGHTS = 1 << 28
"""Elements of all tensors of a network together."""
MAX_STEPS = 1 << 20
"""Longest sequence that a network can be asked to buffer."""
MAX_MEMORY_BYTES = 1 << 30
"""The kernel's memories in C simulation, where an element takes 1, 2, 4 or 8 bytes."""
DEEPEST_QUEUE = 1024
"""Of the activation queues of the broadcast dataflow."""
