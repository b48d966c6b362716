"""A model that is still being pruned is refused with the way out, not compiled by halves."""

from __future__ import annotations

import numpy as np
import pytest

from penstock import PenstockError

torch = pytest.importorskip("torch")
from penstock.compress import Pruner  # noqa: E402
from penstock.frontend import from_module, from_state_dict  # noqa: E402
from penstock.frontend.checkpoint import arrays  # noqa: E402


def test_a_model_that_is_not_finalized_says_how_to_finish():
    torch.manual_seed(0)
    model = torch.nn.LSTM(4, 8, batch_first=True)
    pruner = Pruner(model, "pe_balanced", density=0.5, pes=4)
    with pytest.raises(PenstockError) as caught:
        from_state_dict(arrays(model.state_dict(), "here"), "here")
    assert "still parametrized" in caught.value.line()
    assert "call pruner.finalize()" in caught.value.line()
    masked = from_module(model)["l0"].w_r["i"]
    assert np.count_nonzero(masked) <= masked.size // 2, "the module itself computes with its masks"
    pruner.finalize()
    assert (from_module(model)["l0"].w_r["i"] == masked).all()
