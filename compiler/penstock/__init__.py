"""Penstock: trained, pruned recurrent networks -> sparse FPGA accelerators, proven bit-true.

A name is imported when it is first asked for: who only runs a project (``penstock_runtime``), or
asks the command line for help, does not load the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError
from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.driver import Compiled
    from penstock.entry import compile, compile_checkpoint
    from penstock.exploration import explore
    from penstock.fidelity import Validation
    from penstock.fixed import Fixed, Overflow, Rounding
    from penstock.frontend import HeadOptions
    from penstock.settings import Hardware, Precision

__all__ = [
    "Compiled", "Fixed", "Hardware", "HeadOptions", "Overflow", "PenstockError", "Precision",
    "Rounding", "Validation", "__version__", "compile", "compile_checkpoint", "explore",
]  # fmt: skip

_MODULES = {
    "Compiled": "driver", "Fixed": "fixed", "Hardware": "settings", "HeadOptions": "frontend",
    "Overflow": "fixed", "Precision": "settings", "Rounding": "fixed", "Validation": "fidelity",
    "compile": "entry", "compile_checkpoint": "entry", "explore": "exploration",
}  # fmt: skip
_PACKAGES = (
    "compress", "driver", "entry", "exploration", "export", "fidelity", "frontend", "ir", "layers",
    "model", "ops",
)  # fmt: skip
"""Those that are there after ``import penstock`` alone, as if they had been imported."""


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
