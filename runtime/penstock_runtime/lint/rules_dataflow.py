"""Rules about dataflow regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock_runtime.lint.effects import READ, WRITE, EffectsOf, Touched
from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.pragmas import Place
from penstock_runtime.lint.reader import Kernel
from penstock_runtime.lint.tree import (
    Assign,
    Binary,
    Block,
    Call,
    Const,
    Declare,
    Do,
    Expr,
    Function,
    Loop,
    Name,
    Statement,
    Variable,
)
from penstock_runtime.lint.walk import walk

CANONICAL = "declare channels, then call functions one after the other"


@dataclass(frozen=True)
class Use:
    """A process that touches a channel. order: its number in the region."""

    order: int
    name: str
    touched: Touched
    kind: str
    at: Place


def check_dataflow(kernel: Kernel, findings: Findings) -> None:
    """Every dataflow region is in canonical form; every stream has a depth."""
    effects = EffectsOf(kernel.functions)
    for function in kernel.functions.values():
        for loop, block in _regions(function):
            if loop is not None:
                _check_counter(loop, findings)
            _check_region(kernel, function, block, effects, findings)
        _check_streams(function, findings)


def _regions(function: Function) -> Iterator[tuple[Loop | None, Block]]:
    if function.body.pragma("DATAFLOW"):
        yield None, function.body
    for node in walk(function.body):
        if isinstance(node, Loop) and node.body.pragma("DATAFLOW"):
            yield node, node.body


def _check_counter(loop: Loop, findings: Findings) -> None:
    setup, test, step = loop.setup, loop.test, loop.step
    from_zero = (
        isinstance(setup, Declare) and isinstance(setup.init, Const) and not setup.init.value
    )
    counter = loop.counter
    by_one = (
        isinstance(step, Assign) and step.op == "+" and _is(step.target, counter)
        and isinstance(step.value, Const) and step.value.value == 1
    )  # fmt: skip
    below = isinstance(test, Binary) and test.op == "<" and _is(test.left, counter)
    if not (from_zero and by_one and below):
        findings.add(
            "dataflow-counter", loop.at, "the loop of a dataflow region does not count from 0 by 1",
            "for (unsigned n = 0; n < count; ++n)",
        )  # fmt: skip


def _is(expr: Expr, variable: Variable | None) -> bool:
    return isinstance(expr, Name) and expr.variable is variable


def _check_region(
    kernel: Kernel, function: Function, block: Block, effects: EffectsOf, findings: Findings
) -> None:
    channels, calls = [], []
    for item in block.items:
        if isinstance(item, Declare) and _is_channel(item):
            channels.append(item.variable)
        elif isinstance(item, Do) and isinstance(item.expr, Call):
            calls.append(item.expr)
        else:
            _tell_body(item, findings)
            inner = [node for node in walk(item) if isinstance(node, Call)]
            calls += [call for call in inner if call.callee.key in kernel.functions]
    for call in calls:
        own = kernel.functions.get(call.callee.key)
        if own is None:
            _tell_body(call, findings)
        elif not own.is_void:
            findings.add("dataflow-void", call.at, f"{own.name} returns a value",
                         "write it to a channel")  # fmt: skip
    uses = [
        Use(order, call.callee.name, touched, kind, call.at)
        for order, call in enumerate(calls)
        for touched, kind in sorted(effects.call(call), key=lambda one: (one[0].name, one[1]))
    ]
    for channel in channels:
        _check_channel(channel, uses, findings)
    for port in function.parameters:
        if port.type.dims:
            _check_rows(port, uses, findings)
        elif port.type.pointers or port.type.is_stream:
            _check_users(port, uses, findings)


def _is_channel(item: Declare) -> bool:
    return item.variable.type.is_stream or (bool(item.variable.type.dims) and item.init is None)


def _tell_body(item: Statement | Expr, findings: Findings) -> None:
    findings.add(
        "dataflow-body", item.at, "neither a channel nor a call of a function of the kernel",
        CANONICAL,
    )  # fmt: skip


def _check_channel(channel: Variable, uses: list[Use], findings: Findings) -> None:
    """By row, where the processes name rows."""
    own = [use for use in uses if use.touched.variable is channel]
    rows = {use.touched for use in own}
    finest = [row for row in rows if not any(row.meets(one) and len(one.row) > len(row.row)
                                             for one in rows)]  # fmt: skip
    for row in sorted(finest or [Touched(channel)], key=lambda one: one.row):
        ends = {
            kind: {use.order: use for use in own if use.kind == kind and use.touched.meets(row)}
            for kind in (WRITE, READ)
        }
        _check_ends(row, ends[WRITE], ends[READ], findings)


def _check_ends(
    row: Touched, writers: dict[int, Use], readers: dict[int, Use], findings: Findings
) -> None:
    for count, what in ((len(writers), "producers"), (len(readers), "consumers")):
        if count != 1:
            findings.add(
                "dataflow-channel", row.variable.at, f"{row.name} has {count} {what}",
                "one process writes a channel, one reads it",
            )  # fmt: skip
    if len(writers) == len(readers) == 1:
        writer, reader = next(iter(writers.values())), next(iter(readers.values()))
        if reader.order <= writer.order:
            findings.add(
                "dataflow-feedback", reader.at,
                f"{reader.name} reads {row.name}, which {writer.name} writes later",
                "keep feedback within one process",
            )  # fmt: skip


def _check_users(port: Variable, uses: list[Use], findings: Findings) -> None:
    users = {use.order: use for use in uses if use.touched.variable is port}
    if len(users) > 1:
        names = " and ".join(use.name for use in users.values())
        findings.add(
            "dataflow-channel", port.at, f"the port {port.name} is used by {names}",
            "one process a port",
        )  # fmt: skip


def _check_rows(array: Variable, uses: list[Use], findings: Findings) -> None:
    """An array from outside: no two processes have elements of it in common."""
    own = [use for use in uses if use.touched.variable is array]
    for index, use in enumerate(own):
        for other in own[:index]:
            if other.order != use.order and other.touched.meets(use.touched):
                findings.add(
                    "dataflow-channel", use.at,
                    f"{use.touched.name} is used by {other.name} and {use.name}",
                    "give each process an array, or a row of one, of its own",
                )  # fmt: skip
                return


def _check_streams(function: Function, findings: Findings) -> None:
    told = {
        pragma.variable
        for node in walk(function.body)
        if isinstance(node, Block)
        for pragma in node.pragmas
        if pragma.name == "STREAM" and "depth" in pragma.options
    }
    for node in walk(function.body):
        if not isinstance(node, Declare) or not node.variable.type.is_stream:
            continue
        name = node.variable.name
        if name not in told:
            findings.add(
                "stream-depth", node.at, f"{name} has no STREAM pragma with a depth",
                f"#pragma HLS STREAM variable={name} depth=...",
            )  # fmt: skip
