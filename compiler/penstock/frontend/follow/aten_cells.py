"""What the recurrent ATen operations compute: whole layers, and the cells of loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from penstock.frontend.follow.aten_rules import labels, numbers, rule
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.frontend.follow.recurrence import cell_step, recurrence
from penstock.frontend.follow.rules import joined, reads_through, stacked
from penstock.layers import Cell, Gru, Lstm, Rnn
from penstock.layers.lstm import G_FUNCTION_CODE
from penstock.layers.rnn import NONLINEARITY_CODE


@rule("penstock_lstm")
def _our_lstm(
    build: Builder, title: str, x: Labels, h: Any, c: Any, weights: Sequence[Any], kinds: str,
    layers: int, directions: int, g_function: str,
) -> Any:  # fmt: skip
    y, finals = _stack(build, x, None, weights, kinds.split(","), Lstm, {"y": h, "c": c}, layers,
                       directions, False, {G_FUNCTION_CODE: g_function})  # fmt: skip
    return y, finals["y"], finals["c"]


@rule("lstm")
def _lstm(build: Builder, title: str, x: Labels, *args: Any) -> Any:
    if isinstance(args[0], list | tuple):  # (hx, params, ...) of plain sequences
        hx, params, has_biases, layers, _, _, both, batch_first = args
        sizes = None
    else:
        sizes, hx, params, has_biases, layers, _, _, both = args
        batch_first = False
    kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if has_biases else ()))
    directions = 2 if both else 1
    if len(params) != layers * directions * len(kinds):
        kinds = (*kinds, "weight_hr")
    y, finals = _stack(build, x, sizes, params, kinds, Lstm, {"y": hx[0], "c": hx[1]}, layers,
                       directions, batch_first)  # fmt: skip
    return y, finals["y"], finals["c"]


@rule("gru")
def _gru(build: Builder, title: str, x: Labels, *args: Any) -> Any:
    return _one_state(build, x, args, Gru, {})


@rule("rnn_tanh")
def _rnn_tanh(build: Builder, title: str, x: Labels, *args: Any) -> Any:
    return _one_state(build, x, args, Rnn, {NONLINEARITY_CODE: "tanh"})


@rule("rnn_relu")
def _rnn_relu(build: Builder, title: str, x: Labels, *args: Any) -> Any:
    return _one_state(build, x, args, Rnn, {NONLINEARITY_CODE: "relu"})


def _one_state(
    build: Builder, x: Labels, args: Sequence[Any], cell: type[Cell], codes: Mapping[str, str]
) -> Any:
    if isinstance(args[1], list | tuple):
        hx, params, has_biases, layers, _, _, both, batch_first = args
        sizes = None
    else:
        sizes, hx, params, has_biases, layers, _, _, both = args
        batch_first = False
    kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if has_biases else ()))
    y, finals = _stack(build, x, sizes, params, kinds, cell, {"y": hx}, layers, 2 if both else 1,
                       batch_first, codes)  # fmt: skip
    return y, finals["y"]


def _stack(
    build: Builder, x: Labels, sizes: Any, params: Sequence[Any], kinds: Sequence[str],
    cell: type[Cell], initial: Mapping[str, Any], layers: int, directions: int, batch_first: bool,
    codes: Mapping[str, str] | None = None,
) -> tuple[Labels, dict[str, Labels]]:  # fmt: skip
    """All layers of a recurrent module; the final states are (layers * directions, lanes, n)."""
    choices = {name: of[0] for name, of in cell.torch.codes.items()} | dict(codes or {})
    is_packed = sizes is not None
    if is_packed:
        x = x.moved(lambda part: part.reshape(build.steps, build.lanes, *part.shape[1:]))
    if batch_first:
        x = x.moved(lambda part: part.swapaxes(0, 1))
    if len(x.shape) == 2:  # one sequence, without its axis
        raise Unfollowed("its input has no batch axis", "give it (sequences, steps, inputs)")
    finals: dict[str, list[Labels]] = {state: [] for state in initial}
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            own = params[place * len(kinds) : (place + 1) * len(kinds)]
            tensors = {kind: numbers(value) for kind, value in zip(kinds, own, strict=True)}
            made = cell.from_torch(tensors, choices)
            y, final = recurrence(build,
                x, partial(reads_through, made), tensors["weight_ih"].shape[1],
                {state: labels(value).moved(lambda part, p=place: part[p])
                 for state, value in initial.items()},
                bool(direction), build.next_cell if direction == 0 else build.next_cell - 1,
            )  # fmt: skip
            if direction == 0:
                build.next_cell += 1
            outputs.append(y)
            for state in initial:
                finals[state].append(final[state])
        x = joined(outputs, axis=2)
    ends = {state: stacked(ones) for state, ones in finals.items()}
    if batch_first:
        x = x.moved(lambda part: part.swapaxes(0, 1))
    if is_packed:
        x = x.moved(lambda part: part.reshape(-1, *part.shape[2:]))
    return x, ends


@rule("lstm_cell")
def _lstm_cell(build: Builder, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    after = _cell(build, x, Lstm, {"y": hx[0], "c": hx[1]}, weights, {})
    return after["y"], after["c"]


@rule("gru_cell")
def _gru_cell(build: Builder, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    return _cell(build, x, Gru, {"y": hx}, weights, {})["y"]


@rule("rnn_tanh_cell")
def _rnn_tanh_cell(build: Builder, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    return _cell(build, x, Rnn, {"y": hx}, weights, {NONLINEARITY_CODE: "tanh"})["y"]


@rule("rnn_relu_cell")
def _rnn_relu_cell(build: Builder, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    return _cell(build, x, Rnn, {"y": hx}, weights, {NONLINEARITY_CODE: "relu"})["y"]


def _cell(
    build: Builder, x: Labels, cell: type[Cell], states: Mapping[str, Any],
    weights: Sequence[Any], codes: Mapping[str, str],
) -> dict[str, Labels]:  # fmt: skip
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    given = {kind: value for kind, value in zip(kinds, weights, strict=False) if value is not None}
    tensors = {kind: numbers(value) for kind, value in given.items()}
    choices = {name: of[0] for name, of in cell.torch.codes.items()} | dict(codes)
    key = (cell, *(value.data_ptr() for value in given.values()))
    own = {name: labels(value) for name, value in states.items()}
    inputs = tensors["weight_ih"].shape[1]
    return cell_step(
        build, key, x, partial(reads_through, cell.from_torch(tensors, choices)), inputs, own
    )
