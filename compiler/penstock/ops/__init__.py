"""The operations.

Adding one: a module here, its twin in templates/hls/ops, a line below, a test.
"""

from typing import Any

from penstock.ops.eltwise import Add, Mul, Scale
from penstock.ops.lut import Lut
from penstock.ops.matvec import MatVec
from penstock.ops.output import ArgMax, Capture, Output
from penstock.ops.requant import Requant
from penstock.ops.source import Const, Input
from penstock.ops.state import StateRead, StateWrite

ALL: tuple[type[Any], ...] = (
    Input, Const, StateRead, MatVec, Add, Mul, Scale, Requant, Lut, StateWrite, Capture, ArgMax,
    Output,
)  # fmt: skip
REGISTRY: dict[str, type[Any]] = {op.kind: op for op in ALL}

__all__ = [
    "ALL", "REGISTRY", "Add", "ArgMax", "Capture", "Const", "Input", "Lut", "MatVec", "Mul",
    "Output", "Requant", "Scale", "StateRead", "StateWrite",
]  # fmt: skip
