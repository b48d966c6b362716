"""The layers: what each computes in float, and the operations that it becomes.

Adding one: a module here, a line in ``LAYERS``, a case in ``tests/layers``. A cell of PyTorch that
the kernel can run also stands in ``CELLS``.
"""

from penstock.layers.activation import Activation
from penstock.layers.clamp import Clamp
from penstock.layers.combine import Product, Sum
from penstock.layers.gru import Gru
from penstock.layers.head import DenseHead
from penstock.layers.layer import Cell, Layer
from penstock.layers.linear import Linear
from penstock.layers.lstm import Lstm
from penstock.layers.pool import Pool
from penstock.layers.relu import Relu
from penstock.layers.rnn import Rnn

LAYERS: tuple[type[Layer], ...] = (
    Lstm, Gru, Rnn, Linear, DenseHead, Activation, Relu, Clamp, Sum, Product, Pool,
)  # fmt: skip
CELLS: tuple[type[Cell], ...] = (Lstm, Gru, Rnn)
"""Recurrent layers that the frontends read and the pruner prunes, by what they say of PyTorch."""

__all__ = [
    "CELLS", "LAYERS", "Activation", "Cell", "Clamp", "DenseHead", "Gru", "Layer", "Linear", "Lstm",
    "Pool", "Product", "Relu", "Rnn", "Sum",
]  # fmt: skip
