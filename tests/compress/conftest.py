"""Small networks train fastest on one thread, above all beside other tests."""

import sys

import pytest


@pytest.fixture(autouse=True)
def one_thread():
    if "torch" not in sys.modules:
        yield
        return
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
