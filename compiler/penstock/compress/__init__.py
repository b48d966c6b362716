"""Training for hardware: pruning, inside the user's own training loop.

What needs PyTorch is imported when it is first asked for: ``import penstock`` does without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.calibration import Ranges, calibrate
from penstock.compress.patterns import (
    PATTERNS,
    BankBalanced,
    BankInterleaved,
    ColumnBalanced,
    Pattern,
    PeBalanced,
    Unstructured,
    pe_balanced_mask,
)
from penstock.compress.schedules import Cubic, OneShot, Schedule
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.compress.masks import finalize
    from penstock.compress.pruner import MatrixSummary, Pruner
    from penstock.compress.qat import QuantizedNetwork
    from penstock.compress.recipe import Recipe, run_recipe
    from penstock.compress.sensitivity import Sensitivity, measure_sensitivity
    from penstock.compress.training import Score

__all__ = [
    "PATTERNS", "BankBalanced", "BankInterleaved", "ColumnBalanced", "Cubic", "MatrixSummary",
    "OneShot", "Pattern", "PeBalanced", "Pruner", "QuantizedNetwork", "Ranges", "Recipe",
    "Schedule", "Score", "Sensitivity", "Unstructured", "calibrate", "finalize",
    "measure_sensitivity", "pe_balanced_mask", "run_recipe",
]  # fmt: skip

_NEEDS_TORCH = {
    "MatrixSummary": "pruner", "Pruner": "pruner", "QuantizedNetwork": "qat", "Recipe": "recipe",
    "Score": "training", "Sensitivity": "sensitivity", "finalize": "masks",
    "measure_sensitivity": "sensitivity", "run_recipe": "recipe",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
    except ModuleNotFoundError as missing:
        if missing.name != "torch":
            raise
        hint = "install penstock[torch]"
        raise PenstockError(f"penstock.compress.{name} needs PyTorch", hint=hint) from None
