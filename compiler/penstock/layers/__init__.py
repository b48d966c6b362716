"""The layers: what each computes in float, and the operations that it becomes.

Adding one: a module here, a line below, a case in ``tests/layers``.
"""

from penstock.layers.activation import Activation
from penstock.layers.head import DenseHead
from penstock.layers.layer import Cell, Layer
from penstock.layers.linear import Linear
from penstock.layers.lstm import Lstm

LAYERS: tuple[type[Layer], ...] = (Lstm, Linear, DenseHead, Activation)
CELLS: tuple[type[Cell], ...] = (Lstm,)
"""Recurrent layers that the frontends read and the pruner prunes, by what they say of PyTorch."""

__all__ = ["CELLS", "LAYERS", "Activation", "Cell", "DenseHead", "Layer", "Linear", "Lstm"]
