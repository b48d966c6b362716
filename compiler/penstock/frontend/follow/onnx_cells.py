"""LSTM, GRU and RNN nodes: attributes and weights, by the pages of ONNX's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from penstock.fixed import FloatArray
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.frontend.follow.onnx_file import Node
from penstock.frontend.follow.onnx_layers import constant
from penstock.frontend.follow.onnx_nodes import Lengths, OnnxFollower, rule
from penstock.frontend.follow.recurrence import recurrence
from penstock.frontend.follow.rules import labels_of, reads_through, stacked
from penstock.layers import Cell, Gru, Lstm, Rnn

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""direction -> whether each of them runs from the last step to the first."""
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
"""Of the three operators; initial_c and P are LSTM's."""
OF_PROJECTION = (
    "torch's exporter writes an LSTM with proj_size so, without the projection and with cut weights"
)
PROJECTION_HINT = "compile the torch module (penstock.compile(module)) or its state dict"


@dataclass(frozen=True)
class Kind:
    """One of the operators. gates: of a stacked matrix, in ONNX's order, by our names.

    functions: what each activation of a direction may be, the default first.
    """

    gates: tuple[str, ...]
    functions: tuple[tuple[str, ...], ...]
    states: tuple[str, ...]
    make: Callable[[Node, Weights, Sequence[str]], Cell]


@dataclass(frozen=True)
class Weights:
    """Of one direction: gate -> rows. w_b, r_b: the two halves of B; p: peepholes, or empty."""

    w: dict[str, FloatArray]
    r: dict[str, FloatArray]
    w_b: dict[str, FloatArray]
    r_b: dict[str, FloatArray]
    p: dict[str, FloatArray]

    def bias(self, gate: str) -> FloatArray:
        """The sum of both."""
        return self.w_b[gate] + self.r_b[gate]


def _lstm(node: Node, of: Weights, functions: Sequence[str]) -> Lstm:
    """input_forget: f = 1 - i, which is sigma of the negated sum."""
    w, r, p = dict(of.w), dict(of.r), dict(of.p)
    bias = {gate: of.bias(gate) for gate in w}
    if node.get("input_forget"):
        for part in (w, r, bias, p):
            if part:
                part["f"] = -part["i"]
    g = "sigma" if functions[1] == "sigmoid" else "tanh"
    return Lstm(w, r, bias, p, None, g, clip=_clip(node))


def _gru(node: Node, of: Weights, functions: Sequence[str]) -> Gru:
    bias = {"r": of.bias("r"), "z": of.bias("z"), "nx": of.w_b["n"], "nr": of.r_b["n"]}
    return Gru(
        of.w, of.r, bias, resets_before=not node.get("linear_before_reset"), clip=_clip(node)
    )


def _rnn(node: Node, of: Weights, functions: Sequence[str]) -> Rnn:
    return Rnn(of.w, of.r, {"h": of.bias("h")}, functions[0], clip=_clip(node))


def _clip(node: Node) -> float:
    """The limit of what activations are given; 0 is onnxruntime's for none."""
    limit = float(node.get("clip", 0.0))
    if not 0 <= limit < np.inf:
        raise Unfollowed(f"its clip is {limit:g}", "is the model valid?")
    return limit or np.inf


KINDS = {
    "LSTM": Kind(("i", "o", "f", "g"), (("sigmoid",), ("tanh", "sigmoid"), ("tanh",)), ("y", "c"),
                 _lstm),
    "GRU": Kind(("z", "r", "n"), (("sigmoid",), ("tanh",)), ("y",), _gru),
    "RNN": Kind(("h",), (("tanh", "relu"),), ("y",), _rnn),
}  # fmt: skip
PEEPHOLES = ("i", "o", "f")


@rule("LSTM", "GRU", "RNN")
def _recurrent(f: OnnxFollower, node: Node, *operands: Any) -> list[Labels]:
    """Y, and Y_h and Y_c: see the page of the operator."""
    given = dict(zip(INPUTS, operands, strict=False))
    kind, flags = KINDS[node.op], _directions(node)
    hidden = _hidden_size(node, given, kind)
    functions = _functions(node, kind, len(flags))
    _check_lengths(f, node, given)
    if not isinstance(given["X"], Labels) or len(given["X"].shape) != 3:
        raise Unfollowed("its input is not an array of frames, (steps, sequences, inputs)")
    is_batchwise = bool(node.get("layout"))
    x = given["X"].moved(lambda part: part.swapaxes(0, 1)) if is_batchwise else given["X"]
    weights = _weights(node, kind, given, hidden, len(flags), x.shape[2])
    ys: list[Labels] = []
    finals: dict[str, list[Labels]] = {state: [] for state in kind.states}
    for index, is_reverse in enumerate(flags):
        cell = kind.make(node, weights[index], functions[index])
        initial = _initial(given, kind, index, (x.shape[1], hidden), is_batchwise)
        make = partial(reads_through, cell)
        y, final = recurrence(f.build, x, make, x.shape[2], initial, is_reverse, f.build.next_cell)
        ys.append(y)
        for state in kind.states:
            finals[state].append(final[state])
    f.build.next_cell += 1
    y = stacked(ys, axis=1)  # (steps, directions, lanes, hidden)
    if is_batchwise:
        y = y.moved(lambda part: part.transpose(2, 0, 1, 3))
    return [y, *(stacked(ones, axis=int(is_batchwise)) for ones in finals.values())]


def _directions(node: Node) -> tuple[bool, ...]:
    direction = node.get("direction", "forward")
    if direction not in DIRECTIONS:
        raise Unfollowed(f"its direction is {direction!r}", f"one of {', '.join(DIRECTIONS)}")
    return DIRECTIONS[direction]


def _hidden_size(node: Node, given: dict[str, Any], kind: Kind) -> int:
    """Cells of a direction. Raises Unfollowed where R or initial_c have another number."""
    for name in ("W", "R"):
        if constant(given[name], f"{name} (weights)").ndim != 3:
            raise Unfollowed(f"its {name} has not three axes", "is the model valid?")
    rows, columns = given["R"].shape[1:]
    hidden = int(node.get("hidden_size", columns))
    cells = given.get("initial_c")
    if cells is not None and cells.shape[-1:] != (hidden,):
        raise Unfollowed(
            f"its hidden_size is {hidden}, but its initial cell state has {cells.shape[-1]} "
            f"elements: {OF_PROJECTION}", PROJECTION_HINT,
        )  # fmt: skip
    if (rows, columns) != (len(kind.gates) * hidden, hidden):
        raise Unfollowed(
            f"its R is {rows} x {columns}, not {len(kind.gates) * hidden} x {hidden}: "
            f"{OF_PROJECTION}" if node.op == "LSTM" else
            f"its R is {rows} x {columns}, not {len(kind.gates) * hidden} x {hidden}",
            PROJECTION_HINT if node.op == "LSTM" else "is the model valid?",
        )  # fmt: skip
    return hidden


def _functions(node: Node, kind: Kind, directions: int) -> list[list[str]]:
    """The activations of every direction, in lower case."""
    count = len(kind.functions)
    defaults = [choices[0] for choices in kind.functions] * directions
    named = [str(name).lower() for name in node.get("activations", defaults)]
    for name, choices in zip(named, kind.functions * directions, strict=False):
        if name not in choices:
            supported = ", ".join("/".join(c.capitalize() for c in one) for one in kind.functions)
            raise Unfollowed(
                f"an activation is {name.capitalize()!r}; supported are {supported}",
                "train it with these activations, or run this layer on the host",
            )
    if len(named) != count * directions:
        raise Unfollowed(f"it has {len(named)} activations, not {count * directions}",
                         "is the model valid?")  # fmt: skip
    return [named[k * count : (k + 1) * count] for k in range(directions)]


def _check_lengths(f: OnnxFollower, node: Node, given: dict[str, Any]) -> None:
    """Refuse sequence_lens that cut sequences short."""
    lengths = given.get("sequence_lens")
    if lengths is None or isinstance(lengths, Lengths):
        return
    if isinstance(lengths, Labels):
        raise Unfollowed("its sequence_lens are computed from the input",
                         "make them an input of the graph")  # fmt: skip
    steps = given["X"].shape[1 if node.get("layout") else 0]
    if not set(np.ravel(lengths).tolist()) <= {steps, *f.whole}:
        raise Unfollowed("its sequence_lens are part of the model",
                         "make them an input of the graph: they are given to run")  # fmt: skip


def _weights(
    node: Node, kind: Kind, given: dict[str, Any], hidden: int, directions: int, inputs: int
) -> list[Weights]:
    rows, has_peepholes = len(kind.gates) * hidden, given.get("P") is not None
    shapes = {
        "W": (directions, rows, inputs), "R": (directions, rows, hidden),
        "B": (directions, 2 * rows), "P": (directions, len(PEEPHOLES) * hidden),
    }  # fmt: skip
    found = {}
    for name, shape in shapes.items():
        value = given.get(name)
        found[name] = np.zeros(shape) if value is None else constant(value, f"{name} (weights)")
        if found[name].shape != shape:
            raise Unfollowed(
                f"its {name} has the shape {list(found[name].shape)}, not {list(shape)}",
                "is the model valid?",
            )

    def by_gate(part: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(kind.gates, np.split(part, len(kind.gates)), strict=True))

    return [
        Weights(
            by_gate(found["W"][k]), by_gate(found["R"][k]),
            by_gate(found["B"][k, :rows]), by_gate(found["B"][k, rows:]),
            dict(zip(PEEPHOLES, np.split(found["P"][k], 3), strict=True)) if has_peepholes else {},
        )
        for k in range(directions)
    ]  # fmt: skip


def _initial(
    given: dict[str, Any], kind: Kind, index: int, shape: tuple[int, int], is_batchwise: bool
) -> dict[str, Labels]:
    """Where the states of a direction start: (lanes, n) each."""
    found = {}
    for state, name in zip(kind.states, ("initial_h", "initial_c"), strict=False):
        value = given.get(name)
        if value is None:
            found[state] = Labels.constants(np.zeros(shape))
            continue
        whole = labels_of(value)
        own = whole.moved(lambda part: part[:, index] if is_batchwise else part[index])
        if own.shape != shape:
            raise Unfollowed(
                f"its {name} has the shape {list(whole.shape)}, which is not that of "
                f"{shape[0]} sequences and {shape[1]} cells",
                "if the number of sequences is free in the input, it must be free here, too",
            )
        if own.is_constant.all() and own.shift.any():
            raise Unfollowed(
                f"its {name} is part of the model, and not zero",
                f"make {name} an input of the graph, and give its values with --state",
            )
        found[state] = own
    return found
