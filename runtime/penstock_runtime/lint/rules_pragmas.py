"""Rules about the pragmas themselves."""

from __future__ import annotations

from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.pragmas import NAMES, Pragma
from penstock_runtime.lint.reader import Kernel
from penstock_runtime.lint.scopes import number_of, variables_of
from penstock_runtime.lint.storage import partition_kind
from penstock_runtime.lint.tree import (
    Block,
    Function,
    Loop,
    Variable,
)
from penstock_runtime.lint.walk import walk

WITH_TYPE = {"BIND_STORAGE", "BIND_OP"}
OF_LOOPS = {"UNROLL", "LOOP_TRIPCOUNT", "LOOP_FLATTEN", "PIPELINE"}


def check_pragmas(kernel: Kernel, findings: Findings) -> None:
    """Names, spelling, numbers; whether each stands where it means something."""
    for pragma in kernel.pragmas:
        _check_spelling(pragma, findings)
        if pragma.name == "DEPENDENCE":
            _check_dependence(pragma, findings)
        if pragma.name in ("ARRAY_PARTITION", "ARRAY_RESHAPE"):
            _check_factor(kernel, pragma, findings)
    for function in kernel.functions.values():
        known = variables_of(function, kernel.globals)
        bodies = {id(node.body) for node in walk(function.body) if isinstance(node, Loop)}
        for node in walk(function.body):
            if isinstance(node, Block):
                is_loop = id(node) in bodies
                _check_block(kernel, function, node, is_loop, known, findings)


def _check_spelling(pragma: Pragma, findings: Findings) -> None:
    if pragma.name not in NAMES:
        findings.add("pragma-name", pragma.at, f"{pragma.name or 'nothing'} is no HLS pragma")
    if pragma.name == "INTERFACE" and "mode" in pragma.options:
        findings.add("pragma-dialect", pragma.at, f"INTERFACE with mode={pragma.options['mode']}",
                     "the mode by position, which every version knows")  # fmt: skip
    if "type" in pragma.options and pragma.name in NAMES - WITH_TYPE - {"DEPENDENCE"}:
        value = pragma.options["type"]
        findings.add(
            "pragma-dialect", pragma.at, f"{pragma.name} with type={value}",
            f"{value} by position, which every version knows",
        )  # fmt: skip


def _check_dependence(pragma: Pragma, findings: Findings) -> None:
    named = [name for name in ("type", "direction", "dependent") if name in pragma.options]
    if named:
        findings.add(
            "dependence", pragma.at, f"{'= and '.join(named)}= in a DEPENDENCE",
            "variable=x inter RAW distance=4 true",
        )  # fmt: skip
    elif not {"true", "false"} & set(pragma.words):
        findings.add("dependence", pragma.at, "neither true nor false, which means false")
    elif "distance" in pragma.options and "true" not in pragma.words:
        findings.add("dependence", pragma.at, "a distance without true")


def _check_factor(kernel: Kernel, pragma: Pragma, findings: Findings) -> None:
    kind = partition_kind(pragma)
    if kind == "complete":
        if "factor" in pragma.options:
            findings.add("partition-factor", pragma.at, "a complete partition with a factor")
        return
    factor = number_of(pragma.options.get("factor", "0"), kernel.constants)
    if factor is None:
        _tell_unknown(pragma, "factor", findings)
    elif factor < 2:
        what = f"factor={factor}" if "factor" in pragma.options else "no factor"
        findings.add("partition-factor", pragma.at, f"{kind} with {what}", "leave the pragma out")


def _tell_unknown(pragma: Pragma, option: str, findings: Findings) -> None:
    what = f"{option}={pragma.options[option]} is no constant of file scope"
    findings.add("not-analysed", pragma.at, what, "write the number")


def _check_block(
    kernel: Kernel, function: Function, block: Block, is_loop: bool, known: dict[str, Variable],
    findings: Findings,
) -> None:  # fmt: skip
    is_body = block is function.body
    for pragma in block.pragmas:
        is_allowed = is_loop or (is_body and pragma.name == "PIPELINE")
        if pragma.name in OF_LOOPS and not is_allowed:
            findings.add(
                "pragma-place", pragma.at, f"{pragma.name} stands in no loop's body",
                "put it behind the loop's opening brace",
            )  # fmt: skip
        if pragma.name == "INTERFACE":
            continue
        name = pragma.variable.split(".")[0]
        if name and name not in known:
            findings.add("pragma-variable", pragma.at, f"{function.name} knows no variable {name}")
        elif name and "dim" in pragma.options:
            _check_dim(kernel, pragma, known[name], findings)


def _check_dim(kernel: Kernel, pragma: Pragma, variable: Variable, findings: Findings) -> None:
    dim, rank = number_of(pragma.options["dim"], kernel.constants), len(variable.type.dims)
    if dim is None:
        _tell_unknown(pragma, "dim", findings)
    elif dim > rank and "." not in pragma.variable:
        findings.add(
            "pragma-variable", pragma.at, f"{variable.name} has {rank} dimensions, and no {dim}"
        )
