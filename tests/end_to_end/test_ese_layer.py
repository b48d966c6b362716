"""ESE's layer (Han et al., FPGA 2017): 153 inputs, 1,024 cells, 512 projection, 10 % density."""

from __future__ import annotations

from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock_runtime import load_project
from penstock_runtime.compare import check


def test_eses_layer_is_bit_true_for_4_steps_and_needs_few_cycles(cpp_flags, tmp_path):
    model = random_model(153, (1024,), 512, peephole=True, density=0.1, pes=32, seed=2017)
    compiled = compile_model(model, None, Hardware(pes=32))
    assert compiled.machine.order.bound_cycles == 10150
    assert compiled.machine.order.step_cycles <= 10700
    compiled.write(tmp_path / "ese")
    size = sum(path.stat().st_size for path in (tmp_path / "ese").rglob("*") if path.is_file())
    assert size <= 5_000_000
    result = check(load_project(tmp_path / "ese"), steps=4)
    assert result.passed, result.difference
    assert result.values["accumulators"] >= 9 * 4 * (4 * 1024 + 512)
