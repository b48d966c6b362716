"""Following a program of torch.export: every ATen operation by its name, on labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.frontend.follow.network import HINT, End
from penstock.frontend.follow.rules import (
    Operand,
    added,
    clamped,
    function_of,
    joined,
    matrix_product,
    multiplied,
    normalized,
    reads_through,
    stacked,
)
from penstock.layers import Cell, Gru, Lstm, Relu, Rnn
from penstock.layers.lstm import G_FUNCTION_CODE
from penstock.layers.rnn import NONLINEARITY_CODE

MOVES = frozenset({
    "_reshape_alias", "_unsafe_view", "alias", "broadcast_to", "chunk", "clone", "contiguous",
    "detach", "diagonal", "dropout", "dropout_", "expand", "expand_as", "feature_dropout",
    "flatten", "flip", "gather", "hsplit", "index", "index_select", "lift_fresh_copy", "mT",
    "movedim", "narrow", "narrow_copy", "numpy_T", "permute", "repeat", "repeat_interleave",
    "reshape", "reshape_as", "resolve_conj", "resolve_neg", "roll", "rot90", "select",
    "select_copy", "select_scatter", "slice", "slice_copy", "slice_scatter", "split",
    "split_with_sizes", "squeeze", "swapaxes", "t", "take_along_dim", "tensor_split", "tile",
    "transpose", "unbind", "unflatten", "unfold", "unsqueeze", "unsqueeze_copy", "view",
    "view_as", "view_copy",
})  # fmt: skip
"""Operations that only move elements: done to the labels themselves."""
COPIES = frozenset({"_to_copy", "to", "type_as", "float", "double", "alpha_dropout",
                    "native_dropout", "identity", "_assert_tensor_metadata"})  # fmt: skip
"""Operations that change no value in inference."""
WHY_NOT = {
    "layer_norm": "LayerNorm has no layer here",
    "scaled_dot_product_attention": "attention has no layer here",
    "conv1d": "a convolution has no layer here",
    "conv2d": "a convolution has no layer here",
    "exp": "there is no table of it",
    "sqrt": "there is no table of it",
    "gelu": "there is no table of it",
    "elu": "there is no table of it",
    "softplus": "there is no table of it",
    "cumsum": "it adds up along an axis, step by step",
    "avg_pool1d": "it pools over windows of steps",
    "max_pool1d": "it pools over windows of steps",
    "sort": "where an element goes depends on its value",
}
LIKE = frozenset({"new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like",
                  "full_like", "empty_like", "new_empty_strided"})  # fmt: skip
"""Operations that take no more than the shape of their operand."""
JOINS = frozenset({"cat", "concat", "concatenate", "stack", "hstack", "vstack"})


@dataclass
class AtenFollower:
    """Runs the operations of a graph on labels and constants.

    A value in ``env`` is Labels, a torch tensor (a constant), a plain value, or a sequence of them.
    """

    build: Builder
    where: str
    env: dict[str, Any] = field(default_factory=dict)
    table: FloatArray | None = None
    """Of the embedding that stays on the host."""

    def run(self, nodes: Any) -> list[Any]:
        """All nodes; what the output node lists."""
        for node in nodes:
            if node.op == "output":
                return list(node.args[0])
            if node.op == "call_function":
                self.env[node.name] = self._call(node)
        raise AssertionError("a graph has an output")

    def value(self, argument: Any) -> Any:
        """An argument of a node, its references looked up."""
        if isinstance(argument, torch.fx.Node):
            return self.env[argument.name]
        if isinstance(argument, list | tuple):
            return type(argument)(self.value(part) for part in argument)
        return argument

    def _call(self, node: Any) -> Any:
        args = [self.value(argument) for argument in node.args]
        kwargs = {name: self.value(argument) for name, argument in node.kwargs.items()}
        operands = _flat([args, list(kwargs.values())])
        ends = any(isinstance(part, End) for part in operands)
        if not ends and not any(isinstance(part, Labels) for part in operands):
            return self._constant(node, args, kwargs)
        name = _name_of(node.target)
        try:
            if ends:
                return self._after_end(node.target, name, args, kwargs)
            return self._computed(node, name, args, kwargs)
        except Unfollowed as refusal:
            raise PenstockError(
                f"{_place_of(node)}{name} can't be compiled: {refusal}",
                self.where,
                refusal.hint or HINT,
            ) from refusal

    def _constant(self, node: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        with torch.no_grad():
            return node.target(*args, **kwargs)

    def _computed(self, node: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if name == "getitem":
            return args[0][args[1]]
        if name in COPIES:
            return args[0]
        if name in LIKE:
            return node.target(torch.zeros(args[0].shape), *args[1:], **kwargs)
        if name in MOVES:
            return self._move(node.target, args, kwargs)
        if name in JOINS:
            return self._join(node.target, args, kwargs)
        if name.startswith("sym_size") or name == "size":
            return args[0].shape[args[1]] if len(args) > 1 else list(args[0].shape)
        if node.target is torch.ops.penstock.lstm.default:
            name = "penstock_lstm"
        rule = RULES.get(name) or RULES.get(name.rstrip("_"))
        if rule is None:
            raise Unfollowed(_why_not(name))
        return rule(self, _title_of(node, name), *args, **kwargs)

    def _after_end(self, target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> End:
        end = args[0]
        if not isinstance(end, End) or name not in MOVES | COPIES:
            raise Unfollowed(
                f"it computes with the result of a {_end_of(args)}, which can only be at the end"
            )
        before = end.call
        return replace(end, call=_on_array(lambda x: target(x, *args[1:], **kwargs), before))

    def _move(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Do to each of the label arrays what is done to the tensor."""
        if _name_of(target) in ("dropout", "dropout_", "feature_dropout"):
            return args[0]
        if "scatter" in _name_of(target):
            return self._scatter(target, args, kwargs)
        if any(isinstance(part, Labels) for part in _flat([args[1:], list(kwargs.values())])):
            raise Unfollowed("where it takes its elements from depends on the input")
        results = [target(torch.from_numpy(np.ascontiguousarray(part)), *args[1:], **kwargs)
                   for part in args[0].parts]  # fmt: skip
        if isinstance(results[0], list | tuple):
            return [
                Labels(*(part.numpy() for part in parts)) for parts in zip(*results, strict=True)
            ]
        return Labels(*(part.contiguous().numpy() for part in results))

    def _scatter(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Labels:
        """The elements of one array put into another."""
        whole, part = _labels(args[0]), _labels(args[1])
        results = (
            target(
                torch.from_numpy(np.array(a)), torch.from_numpy(np.array(b)), *args[2:], **kwargs
            )
            for a, b in zip(whole.parts, part.parts, strict=True)
        )
        return Labels(*(result.numpy() for result in results))

    def _join(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Labels:
        parts = [_labels(part) for part in args[0]]
        joined = (
            target(
                [torch.from_numpy(np.ascontiguousarray(one)) for one in ones], *args[1:], **kwargs
            )
            for ones in zip(*(part.parts for part in parts), strict=True)
        )
        return Labels(*(part.numpy() for part in joined))


def _on_array(
    call: Callable[[Any], Any], before: Callable[[Any], Any] = lambda values: values
) -> Callable[[Any], Any]:
    """A function of a tensor as one of an array, behind another."""
    return lambda values: call(torch.from_numpy(np.asarray(before(values)))).numpy()


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _flat(part)]
    return [value]


def _end_of(args: list[Any]) -> str:
    return next(part.kind for part in _flat(args) if isinstance(part, End))


def _labels(value: Any) -> Labels:
    """A tensor as labels: of constants, if it is one."""
    if isinstance(value, Labels):
        return value
    return Labels.constants(_numbers(value))


def _operand(value: Any) -> Operand:
    return value if isinstance(value, Labels) else _numbers(value)


def _numbers(value: Any) -> FloatArray:
    if isinstance(value, Labels):
        raise Unfollowed("a value of the network stands where a constant is needed")
    if isinstance(value, torch.Tensor):
        return np.asarray(value.detach().cpu().to(torch.float64).numpy())
    return np.asarray(value, dtype=np.float64)


def _name_of(target: Any) -> str:
    """``aten.select.int`` -> ``select``."""
    text = getattr(target, "_schema", None)
    name = (
        text.name.split("::")[-1] if text is not None else getattr(target, "__name__", str(target))
    )
    return str(name)


def _place_of(node: Any) -> str:
    """Where in the user's model an operation stands: layer, source line."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = list(stack.values())[-1] if stack else ("", "")
    path = _own_path(path)
    layer = f"layer {path} ({str(kind).rsplit('.', 1)[-1]}), " if path else ""
    own = [
        (file, line, text)
        for file, line, text in re.findall(
            r'File "([^"]+)", line (\d+), in [^\n]+\n\s*([^\n]*)',
            node.meta.get("stack_trace") or "",
        )
        if "/torch/" not in file and "/penstock/" not in file
    ]
    if not own:
        return layer
    file, line, text = own[-1]
    return f"{layer}{file.rsplit('/', 1)[-1]} line {line}, `{text.strip()[:80]}`: "


def _own_path(path: str) -> str:
    """Of a layer in the user's module, which is the part ``module`` of what is traced."""
    return path.removeprefix("module").removeprefix(".")


def _title_of(node: Any, name: str) -> str:
    """What a layer made of this operation is called: as its module, else as the operation."""
    stack = node.meta.get("nn_module_stack") or {}
    path = _own_path(str(list(stack.values())[-1][0])) if stack else ""
    title = re.sub(r"[^A-Za-z0-9_]+", "_", path.split(".")[-1]).strip("_")
    return title if title and not title.isdigit() else name


def _why_not(name: str) -> str:
    return WHY_NOT.get(name, "there is no layer for it")


def _end(kind: str, target: Any) -> Callable[..., End]:
    def rule(f: AtenFollower, title: str, x: Labels, dim: int, *rest: Any, **named: Any) -> End:
        return End(x, kind, dim, _on_array(lambda values: target(values, dim)))

    return rule


Rule = Callable[..., Any]
OneRule = TypeVar("OneRule", bound=Rule)
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[OneRule], OneRule]:
    """Makes a function the rule of ATen operations: (follower, title, *arguments) -> result."""

    def register(function: OneRule) -> OneRule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


RULES["softmax"] = RULES["_softmax"] = _end("softmax", torch.softmax)
RULES["log_softmax"] = RULES["_log_softmax"] = _end("log_softmax", torch.log_softmax)


@rule("argmax")
def _argmax(f: AtenFollower, title: str, x: Labels, dim: Any = None, keepdim: bool = False) -> End:
    if dim is None:
        raise Unfollowed("argmax over all sequences")
    return End(x, "argmax", dim, _on_array(lambda values: torch.argmax(values, dim, keepdim)))


@rule("embedding")
def _embedding(f: AtenFollower, title: str, weight: Any, tokens: Labels, *rest: Any) -> Labels:
    f.table = _numbers(weight)
    f.build.notes.append(
        f"{title} is an embedding of {len(f.table)} entries: the look-up stays on the host"
    )
    return f.build.embedded(tokens, f.table.shape[1])


@rule("linear")
def _linear(f: AtenFollower, title: str, x: Any, weight: Any, bias: Any = None) -> Labels:
    return f.build.linear(
        _labels(x), _numbers(weight), None if bias is None else _numbers(bias), title
    )


@rule("matmul", "mm", "bmm")
def _matmul(f: AtenFollower, title: str, a: Any, b: Any) -> Labels:
    return matrix_product(f.build, _operand(a), _operand(b), title)


@rule("addmm")
def _addmm(
    f: AtenFollower, title: str, bias: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1
) -> Labels:
    return _add(
        f, title, _matmul(f, title, a, b).scaled(float(alpha)), _labels(bias).scaled(float(beta))
    )


@rule("einsum")
def _einsum(f: AtenFollower, title: str, equation: str, operands: Any, path: Any = None) -> Labels:
    found = re.fullmatch(r"([a-z]*)([a-z]),([a-z])([a-z])->\1([a-z])", equation.replace(" ", ""))
    if not found or len(operands) != 2 or not isinstance(operands[0], Labels):
        raise Unfollowed(f"einsum {equation!r} is not a Linear layer")
    _, own, rows, columns, out = found.groups()
    weight = _numbers(operands[1])
    if (own, out) == (rows, columns):
        weight = weight.T
    elif (own, out) != (columns, rows):
        raise Unfollowed(f"einsum {equation!r} is not a Linear layer")
    return f.build.linear(operands[0], weight, None, title)


@rule("add", "add_", "__add__")
def _add(f: AtenFollower, title: str, a: Any, b: Any, alpha: Any = 1) -> Labels:
    b = b * alpha if not isinstance(b, Labels) else b.scaled(float(alpha))
    return added(f.build, _operand(a), _operand(b))


@rule("rsub")
def _rsub(f: AtenFollower, title: str, a: Any, b: Any, alpha: Any = 1) -> Labels:
    return _sub(f, title, b, a, alpha)


@rule("sub")
def _sub(f: AtenFollower, title: str, a: Any, b: Any, alpha: Any = 1) -> Labels:
    negated = b.scaled(-float(alpha)) if isinstance(b, Labels) else -b * alpha
    return _add(f, title, a, negated)


@rule("neg")
def _neg(f: AtenFollower, title: str, x: Labels) -> Labels:
    return x.scaled(-1.0)


@rule("mul")
def _mul(f: AtenFollower, title: str, a: Any, b: Any) -> Labels:
    return multiplied(f.build, _operand(a), _operand(b))


@rule("div")
def _div(f: AtenFollower, title: str, a: Any, b: Any, rounding_mode: Any = None) -> Labels:
    if isinstance(b, Labels) or rounding_mode is not None:
        raise Unfollowed("it divides by a value of the network, or rounds")
    return _labels(a).scaled(1.0 / _numbers(b))


@rule("square")
def _square(f: AtenFollower, title: str, x: Labels) -> Labels:
    return f.build.product(x, x)


@rule("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm")
def _batch_norm(
    f: AtenFollower, title: str, x: Labels, weight: Any, bias: Any, mean: Any, var: Any, *rest: Any
) -> Any:
    is_plain = len(rest) == 4
    if is_plain and rest[0]:
        raise Unfollowed("BatchNorm takes the statistics of the batch", "call model.eval() first")
    eps = float(rest[2] if is_plain else rest[-1])
    if mean is None or var is None:
        raise Unfollowed("BatchNorm has no running statistics")
    scale = 1.0 if weight is None else _numbers(weight)
    y = normalized(
        x, scale, 0.0 if bias is None else _numbers(bias), _numbers(mean), _numbers(var), eps
    )
    return y if is_plain else (y, None, None)


@rule("relu")
def _relu(f: AtenFollower, title: str, x: Labels) -> Labels:
    return f.build.elementwise(x, "relu", Relu)


@rule("sigmoid")
def _sigmoid(f: AtenFollower, title: str, x: Labels) -> Labels:
    return function_of(f.build, x, "sigma")


@rule("tanh")
def _tanh(f: AtenFollower, title: str, x: Labels) -> Labels:
    return function_of(f.build, x, "tanh")


@rule("hardtanh", "clamp", "relu6", "clip")
def _clamp(f: AtenFollower, title: str, x: Labels, low: Any = None, high: Any = None) -> Labels:
    if title == "relu6" or (low is None and high is None):
        low, high = (0.0, 6.0) if title == "relu6" else (-1.0, 1.0)
    low = -np.inf if low is None else float(low)
    high = np.inf if high is None else float(high)
    return clamped(f.build, x, low, high)


@rule("clamp_min")
def _clamp_min(f: AtenFollower, title: str, x: Labels, low: Any) -> Labels:
    return _clamp(f, title, x, low, None)


@rule("clamp_max")
def _clamp_max(f: AtenFollower, title: str, x: Labels, high: Any) -> Labels:
    return _clamp(f, title, x, None, high)


@rule("hardsigmoid")
def _hardsigmoid(f: AtenFollower, title: str, x: Labels) -> Labels:
    return _clamp(f, title, x.scaled(1 / 6).shifted(0.5), 0.0, 1.0)


@rule("hardswish")
def _hardswish(f: AtenFollower, title: str, x: Labels) -> Labels:
    return f.build.product(x, _hardsigmoid(f, title, x))


@rule("silu")
def _silu(f: AtenFollower, title: str, x: Labels) -> Labels:
    return f.build.product(x, _sigmoid(f, title, x))


@rule("glu")
def _glu(f: AtenFollower, title: str, x: Labels, dim: int = -1) -> Labels:
    a, b = (x.moved(lambda part, k=k: np.split(part, 2, axis=dim)[k]) for k in range(2))
    return f.build.product(a, _sigmoid(f, title, b))


def _axes(x: Labels, dim: Any) -> list[int]:
    dims = (
        range(len(x.shape))
        if dim is None or dim == []
        else dim
        if isinstance(dim, list | tuple)
        else [dim]
    )
    return [axis % len(x.shape) for axis in dims]


@rule("mean")
def _mean(
    f: AtenFollower,
    title: str,
    x: Labels,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Labels:
    return f.build.pool(x, _axes(x, dim), "mean", keepdim)


@rule("sum")
def _sum(
    f: AtenFollower,
    title: str,
    x: Labels,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Labels:
    return f.build.pool(x, _axes(x, dim), "sum", keepdim)


@rule("amax")
def _amax(f: AtenFollower, title: str, x: Labels, dim: Any = None, keepdim: bool = False) -> Labels:
    return f.build.pool(x, _axes(x, dim), "max", keepdim)


@rule("max")
def _max(f: AtenFollower, title: str, x: Labels, dim: Any = None, keepdim: bool = False) -> Any:
    pooled = f.build.pool(x, _axes(x, dim), "max", keepdim)
    return pooled if dim is None else (pooled, None)


@rule("adaptive_avg_pool1d")
def _average_pool(f: AtenFollower, title: str, x: Labels, size: Any) -> Labels:
    return _pool_to_one(f, x, size, "mean")


@rule("adaptive_max_pool1d")
def _max_pool(f: AtenFollower, title: str, x: Labels, size: Any) -> Any:
    return _pool_to_one(f, x, size, "max"), None


def _pool_to_one(f: AtenFollower, x: Labels, size: Any, how: str) -> Labels:
    if list(size) != [1]:
        raise Unfollowed("it pools to more than one frame")
    return f.build.pool(x, [len(x.shape) - 1], how, True)


@rule("penstock_lstm")
def _our_lstm(
    f: AtenFollower, title: str, x: Labels, h: Any, c: Any, weights: Sequence[Any], kinds: str,
    layers: int, directions: int, g_function: str,
) -> Any:  # fmt: skip
    y, finals = _stack(f, x, None, weights, kinds.split(","), Lstm, {"y": h, "c": c}, layers,
                       directions, False, {G_FUNCTION_CODE: g_function})  # fmt: skip
    return y, finals["y"], finals["c"]


@rule("lstm")
def _lstm(f: AtenFollower, title: str, x: Labels, *args: Any) -> Any:
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
    y, finals = _stack(f, x, sizes, params, kinds, Lstm, {"y": hx[0], "c": hx[1]}, layers,
                       directions, batch_first)  # fmt: skip
    return y, finals["y"], finals["c"]


@rule("gru")
def _gru(f: AtenFollower, title: str, x: Labels, *args: Any) -> Any:
    return _one_state(f, x, args, Gru, {})


@rule("rnn_tanh")
def _rnn_tanh(f: AtenFollower, title: str, x: Labels, *args: Any) -> Any:
    return _one_state(f, x, args, Rnn, {NONLINEARITY_CODE: "tanh"})


@rule("rnn_relu")
def _rnn_relu(f: AtenFollower, title: str, x: Labels, *args: Any) -> Any:
    return _one_state(f, x, args, Rnn, {NONLINEARITY_CODE: "relu"})


def _one_state(
    f: AtenFollower, x: Labels, args: Sequence[Any], cell: type[Cell], codes: Mapping[str, str]
) -> Any:
    if isinstance(args[1], list | tuple):
        hx, params, has_biases, layers, _, _, both, batch_first = args
        sizes = None
    else:
        sizes, hx, params, has_biases, layers, _, _, both = args
        batch_first = False
    kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if has_biases else ()))
    y, finals = _stack(f, x, sizes, params, kinds, cell, {"y": hx}, layers, 2 if both else 1,
                       batch_first, codes)  # fmt: skip
    return y, finals["y"]


def _stack(
    f: AtenFollower, x: Labels, sizes: Any, params: Sequence[Any], kinds: Sequence[str],
    cell: type[Cell], initial: Mapping[str, Any], layers: int, directions: int, batch_first: bool,
    codes: Mapping[str, str] | None = None,
) -> tuple[Labels, dict[str, Labels]]:  # fmt: skip
    """All layers of a recurrent module; the final states are (layers * directions, lanes, n)."""
    choices = {name: of[0] for name, of in cell.torch.codes.items()} | dict(codes or {})
    build, is_packed = f.build, sizes is not None
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
            tensors = {kind: _numbers(value) for kind, value in zip(kinds, own, strict=True)}
            made = cell.from_torch(tensors, choices)
            y, final = build.recurrence(
                x, partial(reads_through, made), tensors["weight_ih"].shape[1],
                {state: _labels(value).moved(lambda part, p=place: part[p])
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
def _lstm_cell(f: AtenFollower, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    after = _cell(f, x, Lstm, {"y": hx[0], "c": hx[1]}, weights, {})
    return after["y"], after["c"]


@rule("gru_cell")
def _gru_cell(f: AtenFollower, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    return _cell(f, x, Gru, {"y": hx}, weights, {})["y"]


@rule("rnn_tanh_cell")
def _rnn_tanh_cell(f: AtenFollower, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    return _cell(f, x, Rnn, {"y": hx}, weights, {NONLINEARITY_CODE: "tanh"})["y"]


@rule("rnn_relu_cell")
def _rnn_relu_cell(f: AtenFollower, title: str, x: Labels, hx: Any, *weights: Any) -> Any:
    return _cell(f, x, Rnn, {"y": hx}, weights, {NONLINEARITY_CODE: "relu"})["y"]


def _cell(
    f: AtenFollower, x: Labels, cell: type[Cell], states: Mapping[str, Any],
    weights: Sequence[Any], codes: Mapping[str, str],
) -> dict[str, Labels]:  # fmt: skip
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    given = {kind: value for kind, value in zip(kinds, weights, strict=False) if value is not None}
    tensors = {kind: _numbers(value) for kind, value in given.items()}
    choices = {name: of[0] for name, of in cell.torch.codes.items()} | dict(codes)
    key = (cell, *(value.data_ptr() for value in given.values()))
    own = {name: _labels(value) for name, value in states.items()}
    inputs = tensors["weight_ih"].shape[1]
    return f.build.cell_step(
        key, x, partial(reads_through, cell.from_torch(tensors, choices)), inputs, own
    )
