"""``penstock lint``: what of Vitis's rules a kernel breaks, seen in its syntax tree by libclang."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_runtime.lint.finding import Finding, Findings
    from penstock_runtime.lint.ports import Row
    from penstock_runtime.lint.reader import Kernel


@dataclass(frozen=True)
class Report:
    """findings: by place. table: each array of each pipeline, its accesses and its ports."""

    findings: list[Finding]
    table: list[Row]


def is_available() -> bool:
    """Whether libclang can be imported."""
    try:
        return importlib.util.find_spec("clang.cindex") is not None
    except ModuleNotFoundError:
        return False


def lint(folder: Path) -> Report:
    """Look at the kernel of a project.

    Raises PenstockError if there is none, or libclang or AMD's headers are not installed.
    """
    from penstock_runtime.lint.finding import Findings
    from penstock_runtime.lint.reader import Kernel

    kernel, findings = Kernel(folder), Findings()
    for error in kernel.errors:
        findings.add("parse", error.at, error.what)
    table = _check(kernel, findings) if not kernel.errors else []
    return Report(findings.sorted(), table)


def broken_rules(folder: Path) -> list[str]:
    """The rule of each finding.

    A kernel without any is not looked at again, unless more than its comments has changed, or lint
    itself. Raises PenstockError as ``lint`` does.
    """
    from penstock_runtime import cache

    known_by = _identity(folder)
    if cache.noted("clean", known_by):
        return []
    found = [finding.rule for finding in lint(folder).findings]
    if not found:
        cache.note("clean", known_by)
    return found


def _identity(folder: Path) -> str:
    """Of a kernel, of these modules, and of what both need."""
    from penstock_runtime.compiling import contents, digest_of
    from penstock_runtime.lint.libclang import identity

    own = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return digest_of([identity().encode(), *own, *contents(folder, ("kernel",))])


def _check(kernel: Kernel, findings: Findings) -> list[Row]:
    """All rules. A kernel that calls itself is not followed."""
    from penstock_runtime.lint.execution import Execution
    from penstock_runtime.lint.libclang import TOP
    from penstock_runtime.lint.ports import check_bindings, check_counts, table_of
    from penstock_runtime.lint.pragmas import Place
    from penstock_runtime.lint.reader import TOP_FUNCTION
    from penstock_runtime.lint.rules_axis import check_axis
    from penstock_runtime.lint.rules_code import check_code
    from penstock_runtime.lint.rules_dataflow import check_dataflow
    from penstock_runtime.lint.rules_interface import check_interface
    from penstock_runtime.lint.rules_pragmas import check_pragmas

    if kernel.top is None:
        findings.add("parse", Place(TOP, 1), f"there is no function {TOP_FUNCTION}")
        return []
    check_interface(kernel, kernel.top, findings)
    check_axis(kernel, kernel.top, findings)
    check_dataflow(kernel, findings)
    check_pragmas(kernel, findings)
    check_code(kernel, findings)
    if "recursion" in findings:
        return []
    run = Execution(kernel, findings)
    run.run(kernel.top)
    check_counts(run, findings)
    check_bindings(run, findings)
    return table_of(run, findings)
