"""A .pt file takes no more memory than it has bytes."""

from __future__ import annotations

import io
import zipfile

import pytest

from penstock import PenstockError
from penstock.frontend import read_checkpoint

torch = pytest.importorskip("torch")


def lines(path):
    with pytest.raises(PenstockError) as caught:
        read_checkpoint(path)
    return caught.value.what


def test_a_tensor_that_repeats_one_element_is_refused_before_it_is_laid_out(tmp_path):
    torch.save({"weight_ih_l0": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "m.pt")
    assert lines(tmp_path / "m.pt") == "weight_ih_l0 claims more elements than the file can hold"


def test_a_sparse_tensor_of_nothing_is_refused_before_it_is_laid_out(tmp_path):
    empty = torch.sparse_coo_tensor(torch.zeros(2, 0), torch.zeros(0), (10**6, 10**6))
    torch.save({"weight_ih_l0": empty}, tmp_path / "m.pt")
    assert lines(tmp_path / "m.pt") == "weight_ih_l0 claims more elements than the file can hold"


def test_a_record_that_unfolds_is_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save({"weight_ih_l0": torch.zeros(1 << 20)}, buffer)
    with (
        zipfile.ZipFile(buffer) as whole,
        zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as folded,
    ):
        for name in whole.namelist():
            folded.writestr(name, whole.read(name))
    assert (tmp_path / "m.pt").stat().st_size < 1 << 16
    assert lines(tmp_path / "m.pt") == "the file is damaged, or was not written by torch.save"


def test_weights_may_share_their_memory(tmp_path):
    weight = torch.randn(8, 4)
    torch.save({"a.weight": weight, "b.weight": weight}, tmp_path / "m.pt")
    found = read_checkpoint(tmp_path / "m.pt")
    assert (found["a.weight"] == found["b.weight"]).all() and found["a.weight"].shape == (8, 4)


def test_records_that_unfold_together_are_refused(tmp_path):
    """Each is smaller than the file."""
    buffer = io.BytesIO()
    zeros = {f"w{k}": torch.zeros(1 << 12) for k in range(64)}
    torch.save({"noise": torch.randn(1 << 13), **zeros}, buffer)
    with (
        zipfile.ZipFile(buffer) as whole,
        zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as folded,
    ):
        for name in whole.namelist():
            folded.writestr(name, whole.read(name))
        largest = max(record.file_size for record in folded.infolist())
    assert largest < (tmp_path / "m.pt").stat().st_size < 64 * largest
    assert lines(tmp_path / "m.pt") == "the file is damaged, or was not written by torch.save"
