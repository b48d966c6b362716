"""Training under torchrun: two processes on the CPU, which end with one model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import penstock

pytestmark = pytest.mark.long

torch = pytest.importorskip("torch")
TESTS = Path(__file__).parents[1]


def torchrun(folder, worker, *arguments):
    """What each of two processes saved."""
    paths = [str(Path(penstock.__file__).parents[1]), str(TESTS)]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(Path(__file__).with_name(worker)), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize(
    ("astray", "broadcast_buffers"), [("pe_balanced", True), ("unstructured", False)]
)
def test_masks_and_weights_are_the_same_on_all_ranks(tmp_path, astray, broadcast_buffers):
    """Also where rank 1 would choose other masks: those of rank 0 are taken."""
    (masks, state), (masks_1, state_1) = torchrun(
        tmp_path, "ddp_worker.py", astray, str(broadcast_buffers)
    )
    assert masks.keys() == masks_1.keys() and state.keys() == state_1.keys()
    for name, mask in masks.items():
        assert torch.equal(mask, masks_1[name])
        for gate in mask.chunk(1 if name == "fc.weight" else 4):
            assert {gate[pe::4].sum().item() for pe in range(4)} == {gate.numel() // 32}
        assert torch.equal(state[name] != 0, mask)
    assert all(torch.equal(state[name], state_1[name]) for name in state)


def test_ranges_types_and_weights_are_the_same_on_all_ranks(tmp_path):
    """Calibrated or learned; though each rank has its own data, and began with its own weights."""
    (mine, peak, types, state), (mine_1, peak_1, types_1, state_1) = torchrun(
        tmp_path, "ddp_qat_worker.py"
    )
    assert mine != mine_1 and peak == peak_1
    assert peak == {name: max(mine[name], mine_1[name]) for name in mine}
    assert types == types_1
    assert state.keys() == state_1.keys()
    assert all(torch.equal(state[name], state_1[name]) for name in state)
