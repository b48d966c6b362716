"""Trainable modules that the compiler reads: PyTorch's, with what its own lack.

Needs PyTorch: ``pip install penstock[torch]``.
"""

from penstock.errors import PenstockError

try:
    from penstock.nn.lstm import LSTM
except ModuleNotFoundError as missing:
    if missing.name != "torch":
        raise
    raise PenstockError("penstock.nn needs PyTorch", hint="install penstock[torch]") from None

__all__ = ["LSTM"]
