"""Settings that reach the emitted files as text or as a divisor."""

from __future__ import annotations

import pytest

from penstock import Hardware, PenstockError


@pytest.mark.parametrize("clock_mhz", [0.0, -5.0, float("inf"), float("nan"), 5000.0])
def test_a_clock_that_no_fpga_has_is_refused(clock_mhz):
    with pytest.raises(PenstockError, match="the hardware can't have a clock of"):
        Hardware(clock_mhz=clock_mhz)


@pytest.mark.parametrize("part", ["", "xc u55c", "xcu55c\nflow_target=vivado", 'xc"', "../part"])
def test_a_part_that_is_no_name_is_refused(part):
    with pytest.raises(PenstockError, match="the hardware can't have the part"):
        Hardware(part=part)
