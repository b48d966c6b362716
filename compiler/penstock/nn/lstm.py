"""LSTM: torch.nn.LSTM with peepholes and a choice of the g gate's activation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from penstock.errors import PenstockError
from penstock.layers.lstm import G_FUNCTION_CODE, G_FUNCTIONS, PEEPHOLES
from penstock.nn.arguments import check_arguments
from penstock.nn.recurrence import Recurrence

State = tuple[Tensor, Tensor]


class LSTM(torch.nn.LSTM):
    """A drop-in for torch.nn.LSTM, with peepholes and the g gate's activation to choose.

    Per step (Sak et al. 2014), ``.`` elementwise, ``act`` tanh or the logistic sigma:

        i = sigma(W_ix x + W_ir y' + w_ic . c' + b_i)      c = f . c' + i . g
        f = sigma(W_fx x + W_fr y' + w_fc . c' + b_f)      m = o . tanh(c)
        g = act  (W_gx x + W_gr y'             + b_g)      y = W_hr m, or m
        o = sigma(W_ox x + W_or y' + w_oc . c  + b_o)

    Arguments, parameters, their initialisation, inputs and outputs are torch.nn.LSTM's. With
    ``peephole``, each layer k and direction adds ``weight_ic_l{k}``, ``weight_fc_l{k}`` and
    ``weight_oc_l{k}`` (``_reverse``), each (hidden_size,). With ``peephole`` or "sigma" the state
    dict also holds ``cell_activation_code`` (uint8: 0 tanh, 1 sigma), and time is a Python loop;
    without both it is torch.nn.LSTM's, and so is the kernel.

    Raises PenstockError for invalid arguments, and on loading weights of the other activation;
    for inputs of a wrong shape or dtype it raises what torch.nn.LSTM does.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        peephole: bool = False,
        cell_activation: str = "tanh",
    ) -> None:
        theirs = {
            "input_size": input_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "bias": bias,
            "batch_first": batch_first,
            "dropout": dropout,
            "bidirectional": bidirectional,
            "proj_size": proj_size,
        }
        check_arguments({**theirs, "peephole": peephole, "cell_activation": cell_activation})
        super().__init__(**theirs, device=device, dtype=dtype)
        self.peephole = peephole
        self.cell_activation = cell_activation
        if peephole:
            self._add_peepholes(device, dtype)
        if not self.is_plain:
            code = G_FUNCTIONS.index(cell_activation)
            self.register_buffer(
                G_FUNCTION_CODE, torch.tensor(code, dtype=torch.uint8, device=device)
            )

    @property
    def is_plain(self) -> bool:
        """Whether this is exactly torch.nn.LSTM: its state dict and its kernel."""
        return not self.peephole and self.cell_activation == "tanh"

    def forward(
        self, input: Tensor | PackedSequence, hx: State | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run all layers over all steps: (output, (h_n, c_n)), as torch.nn.LSTM.forward does."""
        result: tuple[Tensor | PackedSequence, State]
        if self.is_plain:
            result = super().forward(input, hx)
        elif isinstance(input, PackedSequence):
            result = self._forward_packed(input, hx)
        elif input.dim() == 3:
            result = self._forward_batch(input, hx)
        elif input.dim() == 2:
            result = self._forward_single(input, hx)
        else:
            raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {input.dim()}D instead")
        return result

    def extra_repr(self) -> str:
        """torch.nn.LSTM's, and ours where it is not the default."""
        peephole = ", peephole=True" if self.peephole else ""
        is_default = self.cell_activation == "tanh"
        activation = "" if is_default else f", cell_activation={self.cell_activation}"
        return f"{super().extra_repr()}{peephole}{activation}"

    def _add_peepholes(self, device: Any, dtype: Any) -> None:
        bound = self.hidden_size**-0.5
        for layer, suffix, _ in self._directions():
            for tensor in PEEPHOLES.values():
                weight = torch.empty(self.hidden_size, device=device, dtype=dtype)
                torch.nn.init.uniform_(weight, -bound, bound)
                parameter = torch.nn.Parameter(weight)
                self.register_parameter(f"{tensor}_l{layer}{suffix}", parameter)

    def _directions(self) -> list[tuple[int, str, bool]]:
        """(layer, name suffix, is reverse) in the order of h_n and c_n."""
        both = [("", False), ("_reverse", True)] if self.bidirectional else [("", False)]
        return [(layer, *one) for layer in range(self.num_layers) for one in both]

    def _direction(self, layer: int, suffix: str, is_reverse: bool) -> Recurrence:
        def weight(name: str) -> Tensor:
            return getattr(self, f"{name}_l{layer}{suffix}")

        return Recurrence(
            w_ih=weight("weight_ih"),
            w_hh=weight("weight_hh"),
            bias=weight("bias_ih") + weight("bias_hh") if self.bias else None,
            w_hr=weight("weight_hr") if self.proj_size else None,
            peephole=tuple(map(weight, PEEPHOLES.values())) if self.peephole else None,
            cell_activation=self.cell_activation,
            is_reverse=is_reverse,
        )

    def _forward_single(self, input: Tensor, hx: State | None) -> tuple[Tensor, State]:
        batch_dim = 0 if self.batch_first else 1
        if hx is not None:
            hx = (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        output, (h, c) = self._forward_batch(input.unsqueeze(batch_dim), hx)
        return output.squeeze(batch_dim), (h.squeeze(1), c.squeeze(1))

    def _forward_batch(self, input: Tensor, hx: State | None) -> tuple[Tensor, State]:
        hx = self._initial_state(input, None, hx)
        x = input.transpose(0, 1) if self.batch_first else input
        steps, batch = x.shape[:2]
        output, state = self._run_layers(x.flatten(0, 1), [batch] * steps, hx)
        output = output.unflatten(0, (steps, batch))
        return (output.transpose(0, 1) if self.batch_first else output), state

    def _forward_packed(
        self, input: PackedSequence, hx: State | None
    ) -> tuple[PackedSequence, State]:
        x, batch_sizes, sorted_indices, unsorted_indices = input
        if hx is not None:
            hx = self.permute_hidden(hx, sorted_indices)
        hx = self._initial_state(x, batch_sizes, hx)
        output, state = self._run_layers(x, batch_sizes.tolist(), hx)
        packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self.permute_hidden(state, unsorted_indices)

    def _initial_state(self, x: Tensor, batch_sizes: Tensor | None, hx: State | None) -> State:
        """``hx``, or zeros; torch.nn.LSTM's checks of both it and the input."""
        if hx is None:
            h_shape = self.get_expected_hidden_size(x, batch_sizes)
            c_shape = self.get_expected_cell_size(x, batch_sizes)
            hx = (x.new_zeros(h_shape), x.new_zeros(c_shape))
        self.check_forward_args(x, hx, batch_sizes)
        return hx

    def _run_layers(self, x: Tensor, sizes: list[int], hx: State) -> tuple[Tensor, State]:
        """x: (sum of sizes, inputs) -> (sum of sizes, directions * outputs), (h_n, c_n)."""
        if not sizes:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        states: list[State] = []
        outputs: list[Tensor] = []
        for which, (layer, suffix, is_reverse) in enumerate(self._directions()):
            if layer > 0 and not is_reverse:
                x = functional.dropout(torch.cat(outputs, dim=1), self.dropout, self.training)
                outputs = []
            direction = self._direction(layer, suffix, is_reverse)
            output, state = direction.run(x, sizes, hx[0][which], hx[1][which])
            outputs.append(output)
            states.append(state)
        h, c = (torch.stack(part) for part in zip(*states, strict=True))
        return torch.cat(outputs, dim=1), (h, c)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        holds_weights = f"{prefix}weight_ih_l0" in state_dict
        code = state_dict.get(prefix + G_FUNCTION_CODE)
        if code is not None or holds_weights:
            # Without a code they are torch.nn.LSTM's, so tanh.
            self._check_activation(0 if code is None else int(code), prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _check_activation(self, code: int, prefix: str) -> None:
        where = f"state dict, {prefix}{G_FUNCTION_CODE}"
        if code >= len(G_FUNCTIONS):
            hint = "was it saved by a later version of Penstock?"
            raise PenstockError(f"the code {code} is not the code of an activation", where, hint)
        theirs = G_FUNCTIONS[code]
        if theirs != self.cell_activation:
            raise PenstockError(
                f"the weights were trained with cell_activation={theirs!r}, "
                f"but this LSTM has {self.cell_activation!r}",
                where,
                f"build it as penstock.nn.LSTM(..., cell_activation={theirs!r})",
            )
