"""What ``penstock.compile`` may be given -> RecurrentModel, and the types of its arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from penstock.errors import PenstockError, kind_of
from penstock.frontend.checkpoint import arrays
from penstock.frontend.module import from_module
from penstock.frontend.nested import network_in
from penstock.frontend.pt2 import from_program
from penstock.frontend.state_dict import HeadOptions, from_state_dict
from penstock.frontend.torch_file import FLOATS
from penstock.model import RecurrentModel

GIVE = "give a torch.nn.Module, its state dict, or the path of a checkpoint"
QUANTIZED = re.compile(r"torch\.(ao\.)?nn\.(intrinsic\.)?(quantizable|quantized|qat)\b")
"""The packages of modules that compute in a quantization of their own."""


def model_of(
    given: Any, head: HeadOptions | None = None, calibration: NDArray[Any] | None = None
) -> RecurrentModel:
    """A live module, its state dict, an exported program, or a network. Raises PenstockError.

    calibration: what the module and its network are compared on.
    """
    if isinstance(given, RecurrentModel):
        return given
    if isinstance(given, Mapping):
        where = "state dict"
        if not given:
            raise PenstockError("it contains no tensors", where, "give model.state_dict()")
        return from_state_dict(arrays(network_in(given, where), where), where, head)
    if _is_a(given, "ExportedProgram"):
        return from_program(given, head, calibration)
    _check_module(given)
    return from_module(given, head, calibration)


def _is_a(given: Any, kind: str) -> bool:
    return any(base.__name__ == kind for base in type(given).__mro__)


def _check_module(given: Any) -> None:
    """Raise PenstockError for what is no module, and for one that can't be followed as a whole."""
    kind = type(given).__name__
    if isinstance(given, type):
        raise PenstockError(
            f"{given.__name__} is a class", "compile", f"give one of it: {given.__name__}(...)"
        )
    if not hasattr(given, "named_modules"):
        raise PenstockError(f"{kind_of(given)} can't be compiled", "compile", GIVE)
    for name, part in given.named_modules():
        where = getattr(given, "original_name", kind)
        called = f"layer {name or '(the module itself)'}"
        if _is_a(part, "ScriptModule"):
            raise PenstockError(
                f"{called} is TorchScript, whose forward can't be inspected",
                where,
                "compile the module that was scripted or traced, or its state_dict()",
            )
        if QUANTIZED.match(type(part).__module__) or _is_a(part, "FakeQuantizeBase"):
            raise PenstockError(
                f"{called} is {kind_of(part)} of torch.ao's quantization", where, FLOATS
            )


def check_arguments(kinds: Mapping[str, tuple[Any, type]]) -> None:
    """Refuse an argument that is neither None nor of its type. kinds: name -> (argument, type)."""
    for name, (value, kind) in kinds.items():
        if value is not None and not isinstance(value, kind):
            raise PenstockError(
                f"{name} is {kind_of(value)}",
                "compile",
                f"give a penstock.{kind.__name__}",
            )
