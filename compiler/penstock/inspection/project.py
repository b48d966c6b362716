"""A compiled project: what its report and its graph say."""

from __future__ import annotations

import shlex
from typing import Any

from penstock.inspection.values import Inspection, MatrixRow, Outcome, banks_of, nonzeros_of
from penstock.ir import Graph
from penstock.ir.matrix import Matrix


def inspect_project(folder: str, graph: Graph, report: dict[str, Any]) -> Inspection:
    """Of a folder, its graph and its report.json. Matrices are those that were packed."""
    network, outcome = report["network"], Outcome.of(report)
    packed = {
        node.name: node.tensor.constant
        for node in graph.of_kind("const")
        if isinstance(node.tensor.constant, Matrix)
    }
    return Inspection(
        folder, "project", True, network["inputs"], network["outputs"],
        {str(node.op.reads): node.tensor.length for node in graph.of_kind("state_read")},
        network["layers"],
        [MatrixRow.of(name, found, outcome.pes) for name, found in nonzeros_of(packed).items()],
        banks_of(graph, packed), outcome=outcome, notes=report["notes"],
        command=shlex.join(["penstock", "check", folder]),
    )  # fmt: skip
