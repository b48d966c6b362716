"""torch in float64, from one seed."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded_float64():
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
