"""A live module -> a program of torch.export, in which recurrent layers are single operations.

torch.export traces a module for sequences of one length. What it can't trace is put in words that
it can: packing and unpacking of sequences of equal length only moves elements, and our own LSTM,
whose time is a Python loop, becomes one operation.
"""

from __future__ import annotations

import io
import logging
import operator
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import rnn as packing
from torch.utils import _pytree as pytree

from penstock.nn import LSTM

_LIBRARY = torch.library.Library("penstock", "DEF")
_LIBRARY.define(
    "lstm(Tensor x, Tensor h, Tensor c, Tensor[] weights, str kinds, int layers, int directions, "
    "str g_function) -> (Tensor, Tensor, Tensor)"
)


def _shapes_of_lstm(
    x: Tensor, h: Tensor, c: Tensor, weights: list[Tensor], kinds: str, layers: int,
    directions: int, g_function: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    y = x.new_empty(*x.shape[:2], directions * h.shape[-1])
    return y, torch.empty_like(h), torch.empty_like(c)


_LIBRARY.impl("lstm", _shapes_of_lstm, "CompositeExplicitAutograd")
torch.library.register_fake("penstock::lstm", _shapes_of_lstm, lib=_LIBRARY)


def exported(module: nn.Module, arguments: tuple[Any, ...], steps: int, lanes: int) -> Any:
    """The program of ``module(*arguments)`` for ``steps`` steps, in which nothing is done in place.

    Raises whatever torch.export does.
    """
    with traceable(steps, lanes), torch.no_grad(), silent():
        program = torch.export.export(module, arguments, strict=False)
        return program if _is_functional(program) else program.run_decompositions({})


def _is_functional(program: Any) -> bool:
    """True if every operation only gives a result: to trace once more takes as long again."""
    for node in program.graph.nodes:
        if node.op in ("placeholder", "output") or node.target is operator.getitem:
            continue
        schema = getattr(node.target, "_schema", None)
        if schema is None or schema.is_mutable:
            return False
    return True


@contextmanager
def silent() -> Iterator[None]:
    """torch tells its log much that is of no use to anybody here; what it raises is enough."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


@contextmanager
def traceable(steps: int, lanes: int) -> Iterator[None]:
    """Let modules be traced whose sequences all have ``steps`` steps."""

    def pack(x: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
        if batch_first:
            x = x.transpose(0, 1)
        return x.reshape(steps * lanes, *x.shape[2:]), torch.tensor([lanes] * steps)

    def pad(
        data: Tensor, sizes: Tensor, batch_first: bool, value: float, total: int
    ) -> tuple[Tensor, Tensor]:
        y = data.reshape(steps, lanes, *data.shape[1:])
        return y.transpose(0, 1) if batch_first else y, torch.tensor([steps] * lanes)

    def run_layers(self: LSTM, x: Tensor, sizes: list[int], hx: Any) -> Any:
        kinds = [kind for kind in _KINDS if hasattr(self, f"{kind}_l0")]
        weights = [
            getattr(self, f"{kind}_l{layer}{suffix}")
            for layer, suffix, _ in self._directions()
            for kind in kinds
        ]
        y, h, c = torch.ops.penstock.lstm(
            x.reshape(steps, lanes, -1), *hx, weights, ",".join(kinds), self.num_layers,
            2 if self.bidirectional else 1, self.cell_activation,
        )  # fmt: skip
        return y.reshape(steps * lanes, -1), (h, c)

    with (
        mock.patch.object(packing._VF, "_pack_padded_sequence", pack),
        mock.patch.object(packing._VF, "_pad_packed_sequence", pad),
        mock.patch.object(LSTM, "_run_layers", run_layers),
        _packed(nn.LSTM, steps, lanes), _packed(nn.GRU, steps, lanes),
        _packed(nn.RNN, steps, lanes),
    ):  # fmt: skip
        yield


_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_ic", "weight_fc",
          "weight_oc")  # fmt: skip


@contextmanager
def _packed(kind: Any, steps: int, lanes: int) -> Iterator[None]:
    """A recurrent module that runs packed sequences as what they are here: all of one length."""
    original = kind.forward

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        if not isinstance(input, packing.PackedSequence):
            return original(self, input, hx)
        x = input.data.reshape(steps, lanes, -1)
        count = self.num_layers * (2 if self.bidirectional else 1)
        if hx is not None:
            hx = self.permute_hidden(hx, input.sorted_indices)
        else:
            h = x.new_zeros(count, lanes, self.proj_size or self.hidden_size)
            hx = (h, x.new_zeros(count, lanes, self.hidden_size)) if kind is nn.LSTM else h
        y, *state = getattr(torch._VF, self.mode.lower())(
            x, hx, self._flat_weights, self.bias, self.num_layers, self.dropout, self.training,
            self.bidirectional, False,
        )  # fmt: skip
        state = tuple(state) if kind is nn.LSTM else state[0]
        output = packing.PackedSequence(
            y.reshape(steps * lanes, -1), *input[1:],
        )  # fmt: skip
        return output, self.permute_hidden(state, input.unsorted_indices)

    with mock.patch.object(kind, "forward", forward):
        yield


def leaves_of(result: Any) -> list[Any]:
    """The arrays of any tree of tensors, in float64; what is no tensor is an array of nothing."""
    return [
        leaf.detach().cpu().double().numpy() if isinstance(leaf, Tensor) else np.zeros(0)
        for leaf in pytree.tree_leaves(result)
    ]
