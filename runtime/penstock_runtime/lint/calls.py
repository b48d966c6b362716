"""Calls of the kernel's functions, followed as if they stood where they are called."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

from penstock_runtime.lint.evaluation import Evaluator
from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.reader import Kernel
from penstock_runtime.lint.state import Array, Spot, State
from penstock_runtime.lint.tree import Call, Expr, Function, Variable
from penstock_runtime.lint.values import Value


class Caller(Evaluator):
    """Follows calls; ``body`` follows what a function does (see Execution).

    Outside of pipelines a function is followed once for the same arrays: calls share its hardware.
    """

    def __init__(self, kernel: Kernel, findings: Findings) -> None:
        super().__init__(State(findings))
        self.kernel = kernel
        self.function_name = ""
        self.returned: list[Value] = []
        self._done: set[tuple[Hashable, ...]] = set()
        self._numbers = itertools.count()

    def body(self, function: Function) -> None:
        """What a function does, its parameters being bound."""
        raise NotImplementedError

    def call(self, expr: Call) -> Value:
        """The result of a call; a function of the kernel is followed."""
        callee, arguments = expr.callee, expr.arguments
        receiver = expr.receiver
        is_operator = receiver is None and callee.name in ("operator>>", "operator<<")
        if is_operator and arguments and arguments[0].type.is_stream:
            return self.call_of_stream(arguments[0], callee.name, arguments[1:])
        if receiver is not None and receiver.type.is_stream:
            return self.call_of_stream(receiver, callee.name, arguments)
        if callee.origin == "kernel" and receiver is None and callee.key in self.kernel.functions:
            return self._call(self.kernel.functions[callee.key], arguments)
        if callee.origin == "vendor":
            return self.call_of_vendor(expr)
        if callee.origin == "kernel":
            self._skip(expr, f"method {callee.name} of a class of the kernel's own")
        for argument in arguments:
            self.value(argument)
        return self.atoms.fresh("call")

    def _call(self, function: Function, arguments: tuple[Expr, ...]) -> Value:
        with self.state.scope():
            return self._called(function, arguments)

    def _called(self, function: Function, arguments: tuple[Expr, ...]) -> Value:
        given = [
            self._argument(function, variable, argument)
            for variable, argument in zip(function.parameters, arguments, strict=True)
        ]
        if self.state.pipeline is None:
            key = (function.key, *map(_signature, zip(given, map(self._known, given), strict=True)))
            if key in self._done and function.is_void:
                self._forget_written(function, given)
                return Value(0)
            self._done.add(key)
        return self._follow(function, given)

    def _known(self, spot: Spot) -> int | None:
        return self.state.content(spot.array).known if not spot.indices else None

    def _argument(self, function: Function, variable: Variable, argument: Expr) -> Spot:
        """What a parameter stands for: the argument itself, or a copy of its value."""
        own = variable.type
        is_shared = own.is_reference or not own.is_value or (own.is_record and own.is_const)
        spot = self.spot(argument) if is_shared else None
        if spot is not None:
            if spot.array.memory.is_port and not function.is_inline and _is_moved(spot):
                self.findings.add(
                    "port-offset", argument.at,
                    f"an address within {spot.array.name} goes into {function.name}, which is not "
                    "inlined", "give the port itself, and the offset beside it",
                )  # fmt: skip
            return spot
        value = self.value(argument)
        array = Array(self.state.memory(variable))
        self.state.set_content(array, value)
        return Spot(array, own.dims)

    def _follow(self, function: Function, given: list[Spot]) -> Value:
        returned, self.returned = self.returned, []
        name, self.function_name = self.function_name, function.name
        instance, environment = self.instance, self.environment
        self.environment = {
            variable: spot
            for variable, spot in environment.items()
            if variable.is_kept and not variable.type.is_const
        }
        self.environment.update(zip(function.parameters, given, strict=True))
        if self.state.pipeline is not None and not function.is_inline:
            self.instance = (*instance, next(self._numbers))
        self.body(function)
        results, self.returned = self.returned, returned
        self.environment, self.instance, self.function_name = environment, instance, name
        if len(set(results)) == 1:
            return results[0]
        return self.atoms.of("returned", *results) if results else Value(0)

    def _forget_written(self, function: Function, given: list[Spot]) -> None:
        for variable, spot in zip(function.parameters, given, strict=True):
            if not variable.type.is_const:
                self.state.forget(spot.array.memory)


def _is_moved(spot: Spot) -> bool:
    return spot.offset is not None and spot.offset.known != 0


def _signature(given: tuple[Spot, int | None]) -> tuple[Hashable, ...]:
    """What two calls must share to be the same hardware; rows of one array are alike."""
    spot, known = given
    if spot.array.memory.variable.type.is_record and not spot.array.memory.variable.type.dims:
        return (spot.array.memory.variable.type.name,)
    if spot.array.memory.variable.storage == "parameter" and not spot.dims and not spot.indices:
        return (spot.array.memory.variable, known)
    return (spot.array.memory.number, spot.array.fields, len(spot.indices))
