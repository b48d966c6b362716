"""Names: which variables a function knows, which a loop changes, what a pragma's number is."""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from functools import cache

from penstock_runtime.lint.tree import (
    Assign,
    Call,
    Declare,
    Function,
    Node,
    Variable,
)
from penstock_runtime.lint.walk import changes_receiver, root_of, walk

OPERATIONS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.floordiv, ast.Mod: operator.mod,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift,
}  # fmt: skip


def number_of(text: str, constants: Mapping[str, int]) -> int | None:
    """The integer that a pragma's option is: a literal, a constant, or both in operations."""
    try:
        return _number(ast.parse(text.strip(), mode="eval").body, constants)
    except (ArithmeticError, KeyError, SyntaxError, TypeError, ValueError):
        return None


def _number(tree: ast.expr, constants: Mapping[str, int]) -> int:
    match tree:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return constants[name]
        case ast.BinOp(left=left, op=op, right=right):
            result: int = OPERATIONS[type(op)](_number(left, constants), _number(right, constants))
            return result
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, constants)
    raise ValueError


def variables_of(function: Function, shared: Mapping[str, Variable]) -> dict[str, Variable]:
    """By name: the function's parameters, its locals, and ``shared`` ones of file scope."""
    declared = [node.variable for node in walk(function.body) if isinstance(node, Declare)]
    own = {variable.name: variable for variable in (*function.parameters, *declared)}
    return {**shared, **own}


@cache
def assigned_in(node: Node) -> frozenset[Variable]:
    """The variables that a statement may change."""
    found: set[Variable | None] = set()
    for one in walk(node):
        if isinstance(one, Assign):
            found.add(root_of(one.target))
        elif isinstance(one, Call):
            pairs = zip(one.callee.parameters, one.arguments, strict=False)
            found |= {root_of(argument) for parameter, argument in pairs if parameter.is_written}
            if one.receiver is not None and changes_receiver(one):
                found.add(root_of(one.receiver))
    return frozenset(variable for variable in found if variable is not None)
