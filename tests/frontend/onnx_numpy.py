"""LSTM, GRU and RNN by the formulas of ONNX's pages, in NumPy: what its node cases do not cover."""

from __future__ import annotations

import numpy as np

FUNCTIONS = {
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "Relu": lambda x: np.maximum(x, 0),
}


def run(op, x, weights, lengths=None, initial=(), direction="forward", **attributes):
    """x (steps, lanes, inputs) -> Y (steps, directions, lanes, n), Y_h and, of LSTM, Y_c."""
    flags = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths
    cell = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[op]
    hidden = weights["R"].shape[2]
    ys, finals = [], []
    for index, is_reverse in enumerate(flags):
        own = {name: value[index].astype(float) for name, value in weights.items()}
        own.setdefault("B", np.zeros(2 * len(own["R"])))
        count = 2 if op == "LSTM" else 1
        state = [np.array(one[index], dtype=float) for one in initial]
        state = state or [np.zeros((x.shape[1], hidden))] * count
        functions = attributes.get("activations", DEFAULTS[op] * len(flags))
        functions = functions[index * len(DEFAULTS[op]) :][: len(DEFAULTS[op])]
        y = np.zeros((*x.shape[:2], hidden))
        for k in reversed(range(len(x))) if is_reverse else range(len(x)):
            valid = (k < lengths)[:, None]
            now = cell(x[k].astype(float), state, own, functions, attributes)
            state = [np.where(valid, a, b) for a, b in zip(now, state, strict=True)]
            y[k] = np.where(valid, state[0], 0.0)
        ys.append(y)
        finals.append(state)
    return [np.stack(ys, axis=1), *(np.stack(parts) for parts in zip(*finals, strict=True))]


DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


def _gates(x, h, own, count):
    half = len(own["B"]) // 2
    of_x = x @ own["W"].T + own["B"][:half]
    of_h = h @ own["R"].T + own["B"][half:]
    return np.split(of_x, count, axis=1), np.split(of_h, count, axis=1)


def _lstm(x, state, own, functions, attributes):
    h, c = state
    f_act, g_act, h_act = (FUNCTIONS[name] for name in functions)
    of_x, of_h = _gates(x, h, own, 4)
    i, o, f, g = (a + b for a, b in zip(of_x, of_h, strict=True))
    p_i, p_o, p_f = np.split(own.get("P", np.zeros(3 * h.shape[1])), 3)
    i = f_act(_clipped(i + p_i * c, attributes))
    f = 1 - i if attributes.get("input_forget") else f_act(_clipped(f + p_f * c, attributes))
    c = f * c + i * g_act(_clipped(g, attributes))
    return [f_act(_clipped(o + p_o * c, attributes)) * h_act(c), c]


def _gru(x, state, own, functions, attributes):
    (h,) = state
    f_act, g_act = (FUNCTIONS[name] for name in functions)
    (x_z, x_r, x_n), (h_z, h_r, h_n) = _gates(x, h, own, 3)
    z, r = f_act(_clipped(x_z + h_z, attributes)), f_act(_clipped(x_r + h_r, attributes))
    if attributes.get("linear_before_reset"):
        inner = r * h_n
    else:
        rows = h.shape[1]
        inner = (r * h) @ own["R"][2 * rows :].T + own["B"][-rows:]
    n = g_act(_clipped(x_n + inner, attributes))
    return [(1 - z) * n + z * h]


def _rnn(x, state, own, functions, attributes):
    (of_x,), (of_h,) = _gates(x, state[0], own, 1)
    return [FUNCTIONS[functions[0]](_clipped(of_x + of_h, attributes))]


def _clipped(x, attributes):
    limit = attributes.get("clip", np.inf)
    return np.clip(x, -limit, limit)
