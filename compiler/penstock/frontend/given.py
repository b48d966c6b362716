"""What ``penstock.compile`` may be given -> RecurrentModel, and the types of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from penstock.errors import PenstockError
from penstock.frontend.checkpoint import arrays
from penstock.frontend.module import from_module
from penstock.frontend.nested import network_in
from penstock.frontend.state_dict import HeadOptions, from_state_dict
from penstock.model import RecurrentModel


def model_of(
    given: Any, head: HeadOptions | None = None, calibration: NDArray[Any] | None = None
) -> RecurrentModel:
    """A live module, its state dict, or a RecurrentModel, as it is. Raises PenstockError.

    calibration: what the module and its network are compared on.
    """
    if isinstance(given, RecurrentModel):
        return given
    if isinstance(given, Mapping):
        where = "state dict"
        if not given:
            raise PenstockError("it contains no tensors", where, "give model.state_dict()")
        return from_state_dict(arrays(network_in(given, where), where), where, head)
    kind = given.__name__ if isinstance(given, type) else type(given).__name__
    if isinstance(given, type) or not hasattr(given, "named_modules"):
        raise PenstockError(
            f"a {kind} can't be compiled",
            "compile",
            "give a torch.nn.Module, its state dict, or the path of a checkpoint",
        )
    for name, part in given.named_modules():
        if any(base.__name__ == "ScriptModule" for base in type(part).__mro__):
            called = f"layer {name or '(the module itself)'}"
            raise PenstockError(
                f"{called} is TorchScript, whose forward can't be inspected",
                getattr(given, "original_name", kind),
                "compile the module that was scripted or traced, or its state_dict()",
            )
    return from_module(given, head, calibration)


def check_arguments(kinds: Mapping[str, tuple[Any, type]]) -> None:
    """Refuse an argument that is neither None nor of its type. kinds: name -> (argument, type)."""
    for name, (value, kind) in kinds.items():
        if value is not None and not isinstance(value, kind):
            raise PenstockError(
                f"{name} is a {type(value).__name__}", "compile", f"give a penstock.{kind.__name__}"
            )
