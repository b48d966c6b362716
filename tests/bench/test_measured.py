"""What is measured, on tiny matrices and with counters of our own."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from penstock_runtime.bench import clock, cpu, gpu
from penstock_runtime.bench.planned import matrices_of


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(clock, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(clock, "ENERGY_SECONDS", 0.001)
    monkeypatch.setattr(cpu, "counters", lambda: [])


@pytest.fixture(scope="module")
def matrices(project, report):
    return [
        matrix for phase in report["phases"] for _, matrix in matrices_of(project, phase["matvecs"])
    ]


def package(root, name, start, kind="package-0"):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "energy_uj").write_text(f"{start}\n")
    (folder / "max_energy_range_uj").write_text("1000000\n")
    return folder / "energy_uj"


def test_every_contender(project, matrices):
    pytest.importorskip("scipy")
    found = cpu.measured(project, matrices, 2, 1, has_sparse=True)
    assert list(found) == ["dense", "sparse", "engine"]
    for name, row in found.items():
        assert row["step_seconds"] > 0 and row["step_joules"] is None
        assert (row["seconds"] is None) == (name == "engine")
    assert len(found["dense"]["seconds"]) == len(matrices) == 9


@pytest.mark.parametrize("sequences", [1, 3])
def test_contenders_compute_the_same(matrices, sequences):
    pytest.importorskip("scipy")
    vectors = [cpu._vectors(matrix.shape[1], sequences) for matrix in matrices]
    dense, sparse = cpu._dense_products(matrices, vectors), cpu._sparse_products(matrices, vectors)
    for one, other in zip(dense, sparse, strict=True):
        np.testing.assert_allclose(one(), other(), rtol=1e-4, atol=1e-2)


def test_without_scipy_there_is_no_sparse_row(project, matrices, monkeypatch):
    monkeypatch.setattr(cpu, "find_spec", lambda name: None)
    assert "sparse" not in cpu.measured(project, matrices, 1, 1, has_sparse=True)


def test_what_would_be_too_large_is_not_made_dense(project, matrices, monkeypatch):
    monkeypatch.setattr(cpu, "LARGEST_BYTES", 1)
    assert "dense" not in cpu.measured(project, matrices, 1, 1, has_sparse=False)


def test_energy_of_all_packages_is_counted_and_counters_wrap(tmp_path):
    one, other = package(tmp_path, "intel-rapl:0", 999_000), package(tmp_path, "intel-rapl:1", 5)
    package(tmp_path, "intel-rapl:0:0", 7, "core")
    package(tmp_path, "intel-rapl:2", 7, "psys")
    found = clock.counters(tmp_path)
    assert [counter.path for counter in found] == [one, other]
    calls = []

    def work():
        calls.append(1)
        one.write_text("1000\n")
        other.write_text("3005\n")

    assert clock.joules(work, found) == pytest.approx((2000 + 3000) / 1e6 / len(calls))


def test_counters_that_the_user_may_not_read_are_none(tmp_path):
    package(tmp_path, "intel-rapl:0", 1).unlink()
    assert clock.counters(tmp_path) == [] and clock.joules(lambda: None, []) is None


class Tensor:
    """As much of a torch tensor as is used."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def cuda(self):
        return self

    to_sparse_csr = cuda

    def __matmul__(self, other):
        return Tensor(self.array @ other.array)


class NoGrad:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def fake_torch(is_there):
    return SimpleNamespace(
        cuda=SimpleNamespace(
            is_available=lambda: is_there, get_device_name=lambda index: "A GPU",
            synchronize=lambda: None,
        ),
        tensor=Tensor, no_grad=NoGrad,
        randn=lambda *shape, device: Tensor(np.zeros(shape, np.float32)),
    )  # fmt: skip


def test_a_gpu(matrices, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(True))
    monkeypatch.setattr(gpu, "mean_watts", lambda work, wait: 100.0)
    found = gpu.measured(matrices, 2, 1)
    assert found["name"] == "A GPU" and len(found["sparse"]["seconds"]) == len(matrices)
    assert found["dense"]["step_joules"] == 100 * found["dense"]["step_seconds"]


def test_no_gpu(matrices, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(False))
    assert gpu.measured(matrices, 1, 1) == {"note": "torch finds no CUDA device"}


@pytest.mark.parametrize(
    "command, wanted",
    [(("echo", "31.5"), 31.5), (("echo", "[N/A]"), None), (("no-such-program",), None)],
)
def test_power_of_the_board(monkeypatch, command, wanted):
    monkeypatch.setattr(gpu, "POWER", command)
    monkeypatch.setattr(gpu, "POWER_SECONDS", 0.01)
    assert gpu.mean_watts(lambda: None, lambda: None) == wanted
