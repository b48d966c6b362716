"""Rules about C++ that synthesis does not take, or takes for something else."""

from __future__ import annotations

from math import prod

from penstock_runtime.lint.evaluation import HEAP
from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.reader import Kernel
from penstock_runtime.lint.tree import (
    Assign,
    Binary,
    Call,
    Choice,
    Declare,
    Expr,
    Function,
    If,
    Name,
    Node,
    Type,
    Variable,
)
from penstock_runtime.lint.walk import changes_receiver, children, root_of, walk

SMALL_TABLE = 16
"""Entries up to which a table of AMD's types does no harm."""


def check_code(kernel: Kernel, findings: Findings) -> None:
    """Every function, and every variable that the kernel uses."""
    for function in kernel.functions.values():
        for node in walk(function.body):
            if isinstance(node, Call) and node.callee.origin == "other":
                findings.add(
                    "library-call", node.at, f"{node.callee.name} is not synthesised",
                    "debugging aids stand between #ifndef __SYNTHESIS__ and #endif",
                )  # fmt: skip
            if getattr(node, "what", "") in HEAP:
                findings.add("library-call", node.at, "new and delete are not synthesised")
            if isinstance(node, Declare):
                _check_table(node, findings)
        _Initialised(findings).block(function.body)
    _check_recursion(kernel, findings)
    for variable in kernel.variables.values():
        if not variable.is_vendors:
            _check_type(variable, findings)


def _check_type(variable: Variable, findings: Findings) -> None:
    own: Type = variable.type
    if own.is_volatile:
        findings.add("volatile", variable.at, f"{variable.name} is volatile")
    if own.is_variable_length:
        findings.add(
            "variable-length", variable.at, f"the length of {variable.name} is no constant"
        )
    if own.pointers > 1 or (own.pointers and own.dims):
        findings.add("pointer-to-pointer", variable.at, f"{variable.name} points to pointers")
    if own.name.startswith("std::"):
        findings.add("library-call", variable.at, f"{variable.name} is of {own.name}")


def _check_table(node: Declare, findings: Findings) -> None:
    own = node.variable.type
    is_table = node.variable.is_kept and own.is_const and node.init is not None
    if is_table and own.is_amd and prod(own.dims) > SMALL_TABLE:
        findings.add(
            "table-type", node.at,
            f"{node.variable.name} has {prod(own.dims)} entries of {own.name}",
            "native integers, brought to the type where they are used",
        )  # fmt: skip


def _check_recursion(kernel: Kernel, findings: Findings) -> None:
    for function in kernel.functions.values():
        met, waiting = set(), _called(function)
        while waiting:
            key = waiting.pop()
            if key == function.key:
                findings.add("recursion", function.at, f"{function.name} calls itself")
                break
            if key not in met and key in kernel.functions:
                met.add(key)
                waiting += _called(kernel.functions[key])


def _called(function: Function) -> list[str]:
    return [node.callee.key for node in walk(function.body) if isinstance(node, Call)]


class _Initialised:
    """Finds locals whose first use, in the order of execution, is an unconditional read."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._open: set[Variable] = set()
        self._conditions = 0

    def block(self, node: Node) -> None:
        """Follow a statement or an expression."""
        match node:
            case Declare(variable=variable, init=init):
                if init is not None:
                    self.block(init)
                elif self._can_be_open(variable):
                    self._open.add(variable)
            case If(test=test) | Choice(test=test):
                self.block(test)
                self._conditional([child for child in children(node) if child is not test])
            case Binary(op="&&" | "||", left=left, right=right):
                self.block(left)
                self._conditional([right])
            case Assign(op=op, target=target, value=value):
                self.block(value)
                self._target(target, is_read=bool(op))
            case Call():
                self._call(node)
            case Name(variable=variable):
                self._read(variable, node)
            case _:
                for child in children(node):
                    self.block(child)

    def _can_be_open(self, variable: Variable) -> bool:
        own = variable.type
        return variable.storage == "local" and not own.is_stream and not own.is_reference

    def _conditional(self, nodes: list[Node]) -> None:
        self._conditions += 1
        for node in nodes:
            self.block(node)
        self._conditions -= 1

    def _target(self, target: Expr, is_read: bool) -> None:
        """What is assigned to: its indices are read."""
        if is_read:
            self.block(target)
        elif not isinstance(target, Name):
            for child in children(target):
                if root_of(child) is not root_of(target) if isinstance(child, Expr) else False:
                    self.block(child)
        self._close(root_of(target))

    def _call(self, call: Call) -> None:
        pairs = list(zip(call.callee.parameters, call.arguments, strict=False))
        if len(pairs) < len(call.arguments):  # an operator as a method
            for argument in call.arguments:
                self.block(argument)
        written = [argument for parameter, argument in pairs if parameter.is_written]
        for _, argument in pairs:
            if argument not in written:
                self.block(argument)
        for argument in written:
            self._close(root_of(argument))
        if call.receiver is not None:
            if changes_receiver(call):
                self._close(root_of(call.receiver))
            else:
                self.block(call.receiver)

    def _close(self, variable: Variable | None) -> None:
        if variable is not None:
            self._open.discard(variable)

    def _read(self, variable: Variable, node: Node) -> None:
        if variable in self._open:
            if not self._conditions:
                self._findings.add(
                    "uninitialised", node.at, f"{variable.name} is read before it is written",
                    "C simulation may find a zero where hardware does not",
                )  # fmt: skip
            self._open.discard(variable)
