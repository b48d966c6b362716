"""Penstock: trained, pruned recurrent networks -> sparse FPGA accelerators, proven bit-true."""

from penstock.driver import Compiled
from penstock.entry import compile, compile_checkpoint
from penstock.errors import PenstockError
from penstock.fidelity import Validation
from penstock.fixed import Fixed, Overflow, Rounding
from penstock.frontend import HeadOptions
from penstock.settings import Hardware, Precision
from penstock.version import __version__

__all__ = [
    "Compiled", "Fixed", "Hardware", "HeadOptions", "Overflow", "PenstockError", "Precision",
    "Rounding", "Validation", "__version__", "compile", "compile_checkpoint",
]  # fmt: skip
