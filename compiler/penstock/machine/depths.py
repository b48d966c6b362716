"""Pipeline depths and latencies: the estimates behind the timeline, all in one table.

Iterations are exact, and counted in C simulation; these are not. Only synthesis and the memory in
use can confirm them, and ``penstock report --synthesis`` puts the tool's figures beside them.
"""

from __future__ import annotations

LOOP_CYCLES = 1
"""Beside iterations + depth, which count one cycle twice: a state of the control logic to enter a
pipelined loop and one to leave it."""
CALL_CYCLES = 2
"""Starting a function that stays one (``INLINE off``), and seeing that it is done."""
COPY_DEPTH = 3
"""A stream's or a memory's value read (1), written to all copies of a memory (1, registered)."""
SPMV_DEPTH = 12
"""Stream (1), gap and column (2), address (1), activation (2), product (3), sum read, added and
written back (3)."""
BROADCAST_DEPTH = 5
"""In front of a PE that takes activations from its queue: the processes begin (1), address (1),
activation (2), into all queues (1)."""
DRAIN_DEPTH = 4
"""Sums read and zeros left (2), added up (1, more for many ways), written (1)."""
PARTS_DEPTH = 4
"""Parts of a shared row read and zeros left (2), brought together from all PEs (1), their sum
written (1), beside one cycle for each level of the tree."""
PARTS_INTERVAL = 2
"""Cycles between two shared rows: zeros and a sum are written to a memory with one write port."""
ADDER_TREE_CYCLES = 3
"""Selecting the PE (1), reading its sums and leaving zeros (1), beside one cycle for each level of
the tree, and bringing what comes out to all copies of the memory (1)."""
BANK_DEPTH = 7
"""From a word's activations to what can be read of a unit that takes its sums, beside the adder
tree and the unit: activation (1), product (3), sum of a turn (1), chosen (1), written to all copies
(1)."""
BLOCK_DEPTH = 1
"""The registers of each block of rows, where there are several: in front of it, and for what is
written."""
PASS_DEPTH = 1
"""Beside BANK_DEPTH, where a turn's words do not follow one another: what it has summed, from a
memory."""
PASS_DISTANCE = 3
"""Between two words of such a turn: what it has summed is read (1), added up (1), written (1)."""
PROGRAM_DEPTH = 4
"""In front of it: the program (2), word and address (2)."""
MOVE_DEPTH = 2
"""A frame or a state that takes effect: read (1), written to all copies (1)."""
STREAM_DEPTH = 3
"""A value from one stream to another through shifts and selections: read, shift, write."""
READ_LATENCY = 100
"""From a burst's request to its first beat, through the adapter, the interconnect and the memory:
60 to 150 cycles at 200 to 300 MHz for HBM and DDR."""
WRITE_LATENCY = 60
"""From a burst's last beat to the memory's response."""
