"""Rules about AXI streams."""

from __future__ import annotations

from collections.abc import Iterator

from penstock_runtime.lint.effects import READ, WRITE, EffectsOf
from penstock_runtime.lint.evaluation import STREAM_READS, STREAM_WRITES
from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.reader import Kernel
from penstock_runtime.lint.tree import (
    Assign,
    Block,
    Call,
    Declare,
    Do,
    Expr,
    Function,
    Loop,
    Member,
    Name,
    Variable,
)
from penstock_runtime.lint.walk import walk

SIGNALS = ("data", "keep", "strb", "last")


def check_axis(kernel: Kernel, top: Function, findings: Findings) -> None:
    """AXI streams are ports, each in one direction, and their beats are whole."""
    ports = [variable for variable in top.parameters if variable.type.is_stream]
    _check_modes(ports, top, findings)
    _check_packets(kernel, ports, findings)
    _check_directions(kernel, ports, top, findings)
    for function in kernel.functions.values():
        _check_loops(function, findings)
        for call, beat in _written(function):
            _check_beat(function, call, beat, findings)


def _check_modes(ports: list[Variable], top: Function, findings: Findings) -> None:
    names = {port.name for port in ports}
    for pragma in top.body.pragmas:
        port, mode = pragma.options.get("port"), pragma.options.get("mode")
        mode = mode or next(iter(pragma.words), "")
        if pragma.name == "INTERFACE" and port in names and mode != "axis":
            findings.add(
                "axis-mixed", pragma.at, f"{port} is a stream with INTERFACE {mode}",
                "INTERFACE axis alone",
            )  # fmt: skip


def _check_packets(kernel: Kernel, ports: list[Variable], findings: Findings) -> None:
    for port in ports:
        if not port.type.is_axis:
            findings.add(
                "axis-packet", port.at, f"{port.name} carries no ap_axiu: it has no TLAST",
                "hls::stream<ap_axiu<BITS, 0, 0, 0> >",
            )  # fmt: skip
    for function in kernel.functions.values():
        for node in walk(function.body):
            if isinstance(node, Declare) and node.variable.type.is_axis:
                own = node.variable
                if own.type.is_stream or own.type.dims:
                    findings.add(
                        "axis-packet", node.at, f"{own.name} holds ap_axiu within the kernel",
                        "keep the data alone",
                    )  # fmt: skip


def _check_directions(
    kernel: Kernel, ports: list[Variable], top: Function, findings: Findings
) -> None:
    done = EffectsOf(kernel.functions).function(top.key)
    for port in ports:
        if {READ, WRITE} <= {kind for touched, kind in done if touched.variable is port}:
            findings.add(
                "axis-direction",
                port.at,
                f"{port.name} is read and written",
                "one stream a direction",
            )


def _check_loops(function: Function, findings: Findings) -> None:
    for outer in walk(function.body):
        for inner in outer.body.items if isinstance(outer, Loop) else ():
            if isinstance(inner, Loop) and inner.body.pragma("PIPELINE") and _reads(inner):
                flatten = inner.body.pragma("LOOP_FLATTEN")
                if flatten is None or "off" not in flatten.words:
                    findings.add(
                        "axis-flatten", inner.at, "what reads an AXI stream may be flattened",
                        "#pragma HLS LOOP_FLATTEN off",
                    )  # fmt: skip


def _reads(loop: Loop) -> bool:
    """Whether an AXI stream is read in it."""
    return any(
        isinstance(node, Call) and node.callee.name in STREAM_READS
        and node.receiver is not None and node.receiver.type.is_axis
        for node in walk(loop)
    )  # fmt: skip


def _written(function: Function) -> Iterator[tuple[Call, Expr]]:
    """What is written to AXI streams."""
    for node in walk(function.body):
        if not isinstance(node, Call) or node.callee.name not in STREAM_WRITES:
            continue
        parts = [*([node.receiver] if node.receiver is not None else []), *node.arguments]
        if len(parts) == 2 and parts[0].type.is_stream and parts[0].type.is_axis:
            yield node, parts[1]


def _check_beat(function: Function, call: Call, beat: Expr, findings: Findings) -> None:
    """Each signal is set by a statement that stands, without a condition, where the beat leaves."""
    signals: set[str] = set()
    if isinstance(beat, Name):
        for block in walk(function.body):
            if isinstance(block, Block) and any(node is call for node in walk(block)):
                signals |= set(_set_in(block, beat.variable))
    missing = [signal for signal in SIGNALS if signal not in signals]
    if missing:
        findings.add(
            "axis-beat", call.at, f"a beat is written without its {' and '.join(missing)}",
            "declare it, set each of its signals, write it",
        )  # fmt: skip


def _set_in(block: Block, beat: Variable) -> Iterator[str]:
    for item in block.items:
        match item:
            case Do(expr=Assign(op="", target=Member(base=Name(variable=variable), field=field))):
                if variable is beat:
                    yield field
