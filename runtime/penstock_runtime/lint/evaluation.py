"""Expressions of a kernel, followed with values that are known in part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.pragmas import Place
from penstock_runtime.lint.state import Array, Memory, Spot, State
from penstock_runtime.lint.tree import (
    Assign,
    Binary,
    Call,
    Choice,
    Const,
    Construct,
    Convert,
    Element,
    Expr,
    Literal,
    Member,
    Name,
    Type,
    Unary,
    Unknown,
    Variable,
)
from penstock_runtime.lint.values import Value, added
from penstock_runtime.lint.walk import changes_receiver, is_part

HEAP = {"cxx new expr", "cxx delete expr"}
"""Told by a rule of its own."""
STREAM_READS = {"read", "read_nb", "operator>>"}
STREAM_WRITES = {"write", "write_nb", "operator<<"}
STREAM_LOOKS = {"empty", "full", "size", "capacity", "read_dep", "write_dep"}


class Evaluator:
    """Follows expressions; ``call`` follows functions of the kernel (see Execution)."""

    def __init__(self, state: State) -> None:
        self.state, self.atoms = state, state.atoms
        self.environment: dict[Variable, Spot] = {}
        self.instance: tuple[int, ...] = ()
        self._kept: dict[tuple[Variable, tuple[int, ...]], Memory] = {}
        self._values: dict[type[Expr], Callable[[Any], Value]] = {
            Const: lambda expr: Value(expr.value),
            Literal: lambda expr: self.atoms.fresh("literal"),
            Unary: self._unary,
            Binary: self._binary,
            Assign: self._assign,
            Choice: self._choice,
            Convert: self._convert,
            Construct: self._construct,
            Call: self.call,
            Unknown: self._unknown,
        }

    @property
    def findings(self) -> Findings:
        """Where findings go."""
        return self.state.findings

    def call(self, expr: Call) -> Value:
        """The result of a call."""
        raise NotImplementedError

    def value(self, expr: Expr) -> Value:
        """What an expression is; all that it reads and writes is noted."""
        if isinstance(expr, Name | Element | Member):
            spot = self.spot(expr)
            if spot is None:
                return self.atoms.fresh("member")
            is_row = not expr.type.is_value and len(spot.indices) < len(spot.dims)
            return self.atoms.fresh("address") if is_row else self.state.read(spot, expr.at)
        return self._values[type(expr)](expr)

    def bind(self, variable: Variable) -> Memory:
        """A memory for a variable that is declared; a static one has the same each time."""
        if not variable.is_kept:
            memory = self.state.memory(variable)
        else:
            key = (variable, self.instance if variable.type.is_const else ())
            if key not in self._kept:
                self._kept[key] = self.state.memory(variable)
            memory = self._kept[key]
        self.environment[variable] = Spot(Array(memory), variable.type.dims)
        return memory

    def spot(self, expr: Expr) -> Spot | None:
        """What an expression names; None if it is a value that has no name."""
        match expr:
            case Name(variable=variable):
                if variable not in self.environment:
                    self.bind(variable)
                return self.environment[variable]
            case Element(base=base, index=index):
                return self._element(base, index)
            case Member(base=base, field=name):
                return self._member(base, name, expr.type)
            case Convert(value=value):
                return self.spot(value)
            case Binary(op="+" | "-", left=left) if left.type.pointers or left.type.dims:
                return self._moved(expr)
            case Unary(op="&", operand=operand):
                return self._address(operand)
            case Assign(target=target):
                self.value(expr)
                return self.spot(target)
            case Call(receiver=receiver) if receiver is not None and is_part(expr):
                return self.spot(receiver)
        return None

    def _element(self, base: Expr, index: Expr) -> Spot | None:
        found, at = self.spot(base), self.value(index)
        if found is None:
            self._skip(base, "element of what has no name")
            return None
        if found.offset is not None:
            at = added(at, found.offset)
        return found.at(at)

    def _member(self, base: Expr, name: str, own: Type) -> Spot | None:
        found = self.spot(base)
        if found is None:
            self.value(base)
            return None
        array = Array(found.array.memory, (*found.array.fields, name))
        return Spot(array, (*found.dims, *own.dims), found.indices)

    def _moved(self, expr: Binary) -> Spot | None:
        found, by = self.spot(expr.left), self.value(expr.right)
        if found is None:
            return None
        if expr.op == "-":
            by = self.atoms.unary("-", by)
        offset = added(found.offset, by) if found.offset is not None else by
        return Spot(found.array, found.dims, found.indices, offset)

    def _address(self, operand: Expr) -> Spot | None:
        found = self.spot(operand)
        if found is None or not found.indices:
            return found
        return Spot(found.array, found.dims, found.indices[:-1], found.indices[-1])

    def store(self, target: Expr, value: Value, at: Place) -> None:
        """Write what an expression names. To write some bits of an element is to read it, too."""
        found = self.spot(target)
        if found is None:
            self._skip(target, "assignment to what has no name")
            return
        if isinstance(target, Call):
            for argument in target.arguments:
                self.value(argument)
            old = self.state.read(found, at)
            value = self.atoms.of("part", old, value, self.atoms.fresh())
        self.state.write(found, value, at)

    def _unary(self, expr: Unary) -> Value:
        if expr.op == "&":
            self.spot(expr.operand)
            return self.atoms.fresh("address")
        return self.atoms.unary(expr.op, self.value(expr.operand))

    def _binary(self, expr: Binary) -> Value:
        left = self.value(expr.left)
        if expr.op not in ("&&", "||"):
            return self.atoms.binary(expr.op, left, self.value(expr.right))
        if left.known is not None and bool(left.known) == (expr.op == "||"):
            return Value(int(bool(left.known)))
        guards = self.atoms.guards(left, expr.op == "&&") if left.terms else ()
        with self.state.where(guards):
            right = self.value(expr.right)
        return self.atoms.binary(expr.op, left, right)

    def _assign(self, expr: Assign) -> Value:
        value = self.value(expr.value)
        if expr.op:
            value = self.atoms.binary(expr.op, self.value(expr.target), value)
        self.store(expr.target, value, expr.at)
        return value

    def _choice(self, expr: Choice) -> Value:
        test = self.value(expr.test)
        if test.known is not None:
            return self.value(expr.then if test.known else expr.other)
        with self.state.where(self.atoms.guards(test, True)):
            then = self.value(expr.then)
        with self.state.where(self.atoms.guards(test, False)):
            other = self.value(expr.other)
        return then if then == other else self.atoms.of("?:", test, then, other)

    def _convert(self, expr: Convert) -> Value:
        value, bits = self.value(expr.value), expr.type.bits or 1
        known = value.known
        if known is not None and -(1 << bits - 1) <= known < 1 << bits - 1:
            return value
        return self.atoms.of("convert", expr.type.name, value)

    def _construct(self, expr: Construct) -> Value:
        values = tuple(self.value(argument) for argument in expr.arguments)
        return self.atoms.of("construct", expr.type.name, *values)

    def _unknown(self, expr: Unknown) -> Value:
        if expr.what not in HEAP:
            self._skip(expr, expr.what)
        for part in expr.parts:
            self.value(part)
        return self.atoms.fresh()

    def _skip(self, expr: Expr, what: str) -> None:
        self.findings.add("not-analysed", expr.at, what, "write it in simpler C++")

    def call_of_stream(self, stream: Expr, name: str, arguments: tuple[Expr, ...]) -> Value:
        """A method of a stream, which is accessed like a memory."""
        found, at = self.spot(stream), stream.at
        if found is None or name not in STREAM_READS | STREAM_WRITES | STREAM_LOOKS:
            self._skip(stream, f"{name} of a stream")
            return self.atoms.fresh()
        if name in STREAM_WRITES:
            for argument in arguments:
                self.value(argument)
        if name not in STREAM_LOOKS:
            self.state.record(found, name in STREAM_WRITES, at)
        if name in STREAM_READS:
            for argument in arguments:
                self.store(argument, self.atoms.fresh("from stream"), at)
        return self.atoms.fresh("from stream")

    def call_of_vendor(self, expr: Call) -> Value:
        """A function of AMD's headers."""
        callee, receiver, values = expr.callee, expr.receiver, []
        for parameter, argument in zip(callee.parameters, expr.arguments, strict=False):
            is_result = parameter.is_written and callee.name != "operator,"
            if is_result and self.spot(argument) is not None:
                self.store(argument, self.atoms.fresh("result"), expr.at)
            else:
                values.append(self.value(argument))
        if receiver is None:
            return self.atoms.of("call", callee.name, *values, self.atoms.fresh())
        own = self.value(receiver)
        if callee.name.startswith("to_"):
            return own
        if changes_receiver(expr) and self.spot(receiver) is not None:
            self.store(receiver, self.atoms.fresh("changed"), expr.at)
        return self.atoms.of("method", callee.name, own, *values)
