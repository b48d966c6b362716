"""Following a program of torch.export: every ATen operation by its name, on labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from penstock.errors import PenstockError
from penstock.frontend.follow import aten_cells, aten_functions
from penstock.frontend.follow.aten_rules import RULES, WHY_NOT, labels, on_array
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.frontend.follow.network import HINT, End

assert {"lstm", "relu"} <= RULES.keys(), (aten_cells, aten_functions)  # they register them

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
        return rule(self.build, _title_of(node, name), *args, **kwargs)

    def _after_end(self, target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> End:
        end = args[0]
        if not isinstance(end, End) or name not in MOVES | COPIES:
            raise Unfollowed(
                f"it computes with the result of a {_end_of(args)}, which can only be at the end"
            )
        before = end.call
        return replace(end, call=on_array(lambda x: target(x, *args[1:], **kwargs), before))

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
        whole, part = labels(args[0]), labels(args[1])
        results = (
            target(
                torch.from_numpy(np.array(a)), torch.from_numpy(np.array(b)), *args[2:], **kwargs
            )
            for a, b in zip(whole.parts, part.parts, strict=True)
        )
        return Labels(*(result.numpy() for result in results))

    def _join(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Labels:
        parts = [labels(part) for part in args[0]]
        joined = (
            target(
                [torch.from_numpy(np.ascontiguousarray(one)) for one in ones], *args[1:], **kwargs
            )
            for ones in zip(*(part.parts for part in parts), strict=True)
        )
        return Labels(*(part.numpy() for part in joined))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _flat(part)]
    return [value]


def _end_of(args: list[Any]) -> str:
    return next(part.kind for part in _flat(args) if isinstance(part, End))


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
