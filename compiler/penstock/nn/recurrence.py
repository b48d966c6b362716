"""One direction of one LSTM layer over time, as differentiable tensor operations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from penstock.layers.lstm import GATES


@dataclass(frozen=True)
class Recurrence:
    """The weights of one direction; gates stacked i, f, g, o as PyTorch does.

    w_ih: (4 cells, inputs); w_hh: (4 cells, outputs); bias: (4 cells), or None;
    w_hr: (outputs, cells), or None: outputs = cells; peephole: w_ic, w_fc, w_oc, (cells)
    each, or None.
    """

    w_ih: Tensor
    w_hh: Tensor
    bias: Tensor | None = None
    w_hr: Tensor | None = None
    peephole: tuple[Tensor, ...] | None = None
    cell_activation: str = "tanh"
    is_reverse: bool = False

    def run(
        self, x: Tensor, sizes: list[int], y: Tensor, c: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """All steps: the outputs in the order of ``x``, and each sequence's last (y, c).

        x: (sum of sizes, inputs), step after step; ``sizes[t]`` sequences, longest first, reach
        step t, as in PackedSequence. y: (batch, outputs) and c: (batch, cells) before the first.
        """
        pre = functional.linear(x, self.w_ih, self.bias).split(sizes)
        w_hh_transposed = self.w_hh.t()
        outputs: list[Tensor] = []
        for pre_t in reversed(pre) if self.is_reverse else pre:
            reached = len(pre_t)
            if reached == len(y):
                y, c = self._step(pre_t, y, c, w_hh_transposed)
                outputs.append(y)
                continue
            # The others have ended or, in reverse, not begun: their state stays.
            new_y, new_c = self._step(pre_t, y[:reached], c[:reached], w_hh_transposed)
            outputs.append(new_y)
            y, c = torch.cat([new_y, y[reached:]]), torch.cat([new_c, c[reached:]])
        return torch.cat(outputs[::-1] if self.is_reverse else outputs), (y, c)

    def _step(
        self, pre: Tensor, y: Tensor, c: Tensor, w_hh_transposed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sak et al. 2014, equations 7 to 12: ``pre`` is W_x x + b; o sees the new c."""
        i, f, g, o = torch.addmm(pre, y, w_hh_transposed).chunk(len(GATES), dim=1)
        if self.peephole:
            i = torch.addcmul(i, self.peephole[0], c)
            f = torch.addcmul(f, self.peephole[1], c)
        g = torch.tanh(g) if self.cell_activation == "tanh" else torch.sigmoid(g)
        c = torch.addcmul(torch.sigmoid(f) * c, torch.sigmoid(i), g)
        if self.peephole:
            o = torch.addcmul(o, self.peephole[2], c)
        m = torch.sigmoid(o) * torch.tanh(c)
        return (m if self.w_hr is None else functional.linear(m, self.w_hr)), c
