"""The operations.

Adding one: a class here, its twin in templates/hls/ops, a line below, its rule for training in
compress/rules.py and for ONNX in export/onnx_ops.py, a case in tests/ops/test_twins.py. Tests tell
what is missing.
"""

from typing import Any

from penstock.ops.capture import CAPTURES, Capture, Mean
from penstock.ops.eltwise import Add, Clamp, Mul, Relu, Scale, Sub
from penstock.ops.lut import Lut
from penstock.ops.matvec import MatVec
from penstock.ops.output import ArgMax, Output
from penstock.ops.requant import Requant
from penstock.ops.source import Const, Input
from penstock.ops.state import StateRead, StateWrite

ALL: tuple[type[Any], ...] = (
    Input, Const, StateRead, MatVec, Add, Sub, Mul, Scale, Relu, Clamp, Requant, Lut, StateWrite,
    Capture, Mean, ArgMax, Output,
)  # fmt: skip
REGISTRY: dict[str, type[Any]] = {op.kind: op for op in ALL}

__all__ = [
    "ALL", "CAPTURES", "REGISTRY", "Add", "ArgMax", "Capture", "Clamp", "Const", "Input", "Lut",
    "MatVec", "Mean", "Mul", "Output", "Relu", "Requant", "Scale", "StateRead", "StateWrite", "Sub",
]  # fmt: skip
