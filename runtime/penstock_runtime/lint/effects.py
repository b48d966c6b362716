"""What calls read and write, as far as names tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock_runtime.lint.evaluation import STREAM_LOOKS, STREAM_READS, STREAM_WRITES
from penstock_runtime.lint.tree import (
    Assign,
    Block,
    Call,
    Const,
    Declare,
    Do,
    Element,
    Expr,
    Function,
    Name,
    Node,
    Variable,
)
from penstock_runtime.lint.walk import changes_receiver, children, root_of, walk


@dataclass(frozen=True)
class Touched:
    """A variable, or one row of an array of them, by constant indices from the left."""

    variable: Variable
    row: tuple[int, ...] = ()

    def meets(self, other: Touched) -> bool:
        """Whether both have elements in common."""
        shared = min(len(self.row), len(other.row))
        return self.variable is other.variable and self.row[:shared] == other.row[:shared]

    @property
    def name(self) -> str:
        """As in C++."""
        return self.variable.name + "".join(f"[{index}]" for index in self.row)


READ, WRITE = "read", "write"
Effects = frozenset[tuple[Touched, str]]


def touched_by(expr: Expr) -> Touched | None:
    """What an argument names."""
    row: list[int] = []
    while isinstance(expr, Element):
        if isinstance(expr.index, Const):
            row.insert(0, expr.index.value)
        else:
            row = []
        expr = expr.base
    variable = root_of(expr)
    return None if variable is None else Touched(variable, tuple(row))


class EffectsOf:
    """The effects of functions of a kernel, each looked at once."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._known: dict[str, Effects] = {}

    def function(self, key: str) -> Effects:
        """What a function does to its parameters and to what outlives it."""
        if key not in self._known:
            self._known[key] = frozenset()  # of a recursive call, which has a rule of its own
            body = self._functions[key].body
            aliases = _aliases(body)
            self._known[key] = frozenset(
                (Touched(aliases.get(one.variable, one).variable, one.row), kind)
                for one, kind in self._of(body)
                if aliases.get(one.variable, one).variable.storage != "local"
            )
        return self._known[key]

    def call(self, call: Call) -> Effects:
        """What a call does to what its caller knows: its arguments, static and global variables."""
        function = self._functions.get(call.callee.key)
        if function is None:
            return frozenset(self._of(call))
        given = dict(zip(function.parameters, call.arguments, strict=True))
        found = set()
        for one, kind in self.function(function.key):
            if one.variable not in given:
                found.add((one, kind))
                continue
            outer = touched_by(given[one.variable])
            if outer is not None:
                found.add((Touched(outer.variable, outer.row + one.row), kind))
        return frozenset(found)

    def _of(self, node: Node) -> Iterator[tuple[Touched, str]]:
        """The effects of what stands in a node."""
        if isinstance(node, Assign):
            yield from self._written(node.target)
            if node.op:
                yield from self._of(node.target)
            yield from self._of(node.value)
        elif isinstance(node, Call):
            yield from self._of_call(node)
        elif isinstance(node, Declare) and node.variable.type.is_reference:
            if isinstance(node.init, Element):  # another name of it is no access
                yield from self._of(node.init.index)
        elif isinstance(node, Element | Name):
            yield from self._read(node)
        else:
            for child in children(node):
                yield from self._of(child)

    def _read(self, node: Element | Name) -> Iterator[tuple[Touched, str]]:
        one = touched_by(node)
        if one is not None:
            yield one, READ
        while isinstance(node, Element):
            yield from self._of(node.index)
            if not isinstance(node.base, Element | Name):
                yield from self._of(node.base)
                return
            node = node.base

    def _written(self, target: Expr) -> Iterator[tuple[Touched, str]]:
        one = touched_by(target) or _root(target)
        if one is not None:
            yield one, WRITE
        if isinstance(target, Element):
            yield from self._of(target.index)

    def _of_call(self, call: Call) -> Iterator[tuple[Touched, str]]:
        if call.callee.key in self._functions:
            yield from self.call(call)
            for argument in call.arguments:
                if argument.type.is_value:
                    yield from self._of(argument)
            return
        arguments = list(call.arguments)
        receiver = call.receiver
        if receiver is None and arguments and arguments[0].type.is_stream:
            receiver = arguments.pop(0)
        if receiver is not None:
            yield from self._of_method(call, receiver)
        parameters = call.callee.parameters[-len(arguments) :] if arguments else ()
        for argument, parameter in zip(arguments, parameters, strict=False):
            yield from self._written(argument) if parameter.is_written else self._of(argument)

    def _of_method(self, call: Call, receiver: Expr) -> Iterator[tuple[Touched, str]]:
        one = touched_by(receiver)
        name, is_stream = call.callee.name, receiver.type.is_stream
        if one is None:
            yield from self._of(receiver)
        elif is_stream and name in STREAM_LOOKS | STREAM_READS:
            yield one, READ
        elif is_stream and name in STREAM_WRITES:
            yield one, WRITE
        else:
            yield one, READ
            if changes_receiver(call):
                yield one, WRITE


def _root(target: Expr) -> Touched | None:
    variable = root_of(target)
    return None if variable is None else Touched(variable)


def _aliases(body: Block) -> dict[Variable, Touched]:
    """References that are declared in a body, and what they refer to."""
    found: dict[Variable, Touched] = {}
    for node in walk(body):
        if isinstance(node, Declare) and node.variable.type.is_reference and node.init is not None:
            one = touched_by(node.init)
            if one is not None:
                found[node.variable] = found.get(one.variable, one)
    return found


def calls_of(function: Function) -> list[Call]:
    """The calls that are statements of a function, in order."""
    return [
        node.expr
        for node in walk(function.body)
        if isinstance(node, Do) and isinstance(node.expr, Call)
    ]


def shared_arrays(
    functions: Mapping[str, Function], first: Call, second: Call
) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Arrays and streams that two calls of one function both touch, with what each does to them:
    ``{"acc[0]": ({"read"}, {"write"})}``. Empty: the two can run side by side.
    """
    effects = EffectsOf(functions)
    own, other = effects.call(first), effects.call(second)
    found: dict[str, tuple[set[str], set[str]]] = {}
    for one, _ in own:
        for two, _ in other:
            if one.meets(two) and not one.variable.type.is_value:
                name = max(one.name, two.name, key=len)
                first_kinds = {kind for it, kind in own if it.meets(one)}
                second_kinds = {kind for it, kind in other if it.meets(one)}
                found[name] = (first_kinds, second_kinds)
    return {name: (frozenset(a), frozenset(b)) for name, (a, b) in sorted(found.items())}
