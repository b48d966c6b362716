"""How long a step takes: what is left out of the kernel because no device would gain by it."""

from __future__ import annotations

import pytest

from penstock.devices import BOARDS, PLANNED_SHARE, known_device
from penstock.machine.depths import READ_LATENCY

BLOCK_BITS, ULTRA_BITS = 18 * 1024, 288 * 1024


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_asking_for_the_next_steps_words_early_would_save_less_than_a_hundredth(board):
    """Weights that fit stay on chip. Those that don't take so long to stream that a burst's latency
    a step is nothing beside it."""
    device = known_device(board.part)
    kept = device.die.bram18 * BLOCK_BITS * PLANNED_SHARE["bram18"]
    kept += device.die.uram * ULTRA_BITS * PLANNED_SHARE["uram"]
    bits_a_cycle = device.memory.gb_per_s * 8e3 / board.clock_mhz
    assert 0.01 * kept / bits_a_cycle > READ_LATENCY
