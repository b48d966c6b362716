"""Ways through a function's tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from penstock_runtime.lint.tree import (
    Assign,
    Binary,
    Call,
    Convert,
    Element,
    Expr,
    Member,
    Name,
    Node,
    Unary,
    Variable,
)

_NAMES: dict[str, tuple[str, ...]] = {}


def _names(node: Node) -> tuple[str, ...]:
    """The fields of a kind of node."""
    kind = type(node).__name__
    if kind not in _NAMES:
        _NAMES[kind] = tuple(own.name for own in fields(node))
    return _NAMES[kind]


def children(node: Node) -> Iterator[Node]:
    """The statements and expressions directly in one, in the order in which they are executed."""
    values = [getattr(node, name) for name in _names(node)]
    if isinstance(node, Assign):
        values = [node.value, node.target]
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (part for part in value if isinstance(part, Node))


def walk(node: Node) -> Iterator[Node]:
    """A node and all in it."""
    yield node
    for child in children(node):
        yield from walk(child)


def root_of(expr: Expr) -> Variable | None:
    """The variable whose memory an expression names: ``a`` of ``a[i].b[k].range(7, 0)``."""
    match expr:
        case Name(variable=variable):
            return variable
        case Element(base=base) | Member(base=base):
            return root_of(base)
        case Convert(value=value):
            return root_of(value)
        case Binary(left=left) if left.type.pointers or left.type.dims:
            return root_of(left)
        case Unary(op="&", operand=operand):
            return root_of(operand)
        case Call(receiver=receiver) if receiver is not None and is_part(expr):
            return root_of(receiver)
        case _:
            return None


PARTS = {"range", "operator()", "operator[]", "bit", "get_bit"}
"""Methods of AMD's types that name some bits, to be read or written."""
READING = {"length", "sign", "is_neg", "is_zero", "iszero", "test", "get", "countLeadingZeros"}
"""Other methods of AMD's types that only read."""


def changes_receiver(call: Call) -> bool:
    """Whether a method may write its object. Of AMD's, some that only read are not const."""
    name = call.callee.name
    reads = name in READING or name.startswith("to_") or name.endswith("_reduce")
    return not (call.callee.is_const or is_part(call) or reads)


def is_part(expr: Expr) -> bool:
    """Whether an expression names some bits of a value of AMD's types."""
    return isinstance(expr, Call) and expr.callee.origin == "vendor" and expr.callee.name in PARTS
