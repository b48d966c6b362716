"""A live torch module -> the network that its ``forward`` computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from penstock.errors import PenstockError
from penstock.frontend.checkpoint import arrays, read_checkpoint
from penstock.frontend.state_dict import HeadOptions
from penstock.layers import DenseHead
from penstock.model import HEAD, RecurrentModel


def from_module(
    module: Any, head: HeadOptions | None = None, calibration: NDArray[Any] | None = None
) -> RecurrentModel:
    """Follow ``forward`` with torch.export, and compare the network with the module in numbers.

    calibration: frames as the module takes them, to compare on; without, random ones. head: what
    follows a Linear layer at the end; where it runs is forward's business. Raises PenstockError for
    what can't be compiled, by layer, operation and source line.
    """
    from penstock.frontend.follow.module import follow_module

    where = type(module).__name__
    if calibration is not None and calibration.dtype.kind not in "fiu":
        raise PenstockError(
            f"frames of type {calibration.dtype} are not numbers", "calibration",
            "save floats or integers",
        )  # fmt: skip
    if calibration is not None:
        _check_shape(calibration)
    arrays(module.state_dict(), where)  # damaged values are named here
    model = follow_module(module, calibration)
    return model if head is None else with_head_options(model, head, where)


def _check_shape(frames: NDArray[Any]) -> None:
    shapes = (2, 3) if frames.dtype.kind == "f" else (1, 2, 3)
    if frames.ndim not in shapes or not frames.size:
        raise PenstockError(
            f"frames of shape {frames.shape} are no sequences", "calibration",
            "give (steps, inputs) or (sequences, steps, inputs); of tokens, (sequences, steps)",
        )  # fmt: skip


def with_head_options(
    model: RecurrentModel, head: HeadOptions, where: str, says: str = "forward"
) -> RecurrentModel:
    """A network with what follows its head; says: what it came from. Raises PenstockError."""
    found = model.find(HEAD)
    if not isinstance(found, DenseHead):
        raise PenstockError(
            "there is no Linear head to apply the head options to", where, "leave them out"
        )
    if head.at is not None and (head.at == "step") == model.is_once(HEAD):
        runs = "once a sequence" if model.is_once(HEAD) else "at every step"
        raise PenstockError(
            f"the head is said to run at {head.at!r}, but in {says} it runs {runs}", where,
            f"leave it out: {says} says where the head runs",
        )  # fmt: skip
    activation = found.activation if head.activation == "none" else head.activation
    return model.with_layers({HEAD: replace(found, activation=activation)})


def load_weights(module: Any, path: Path) -> None:
    """Fill ``module`` with a checkpoint's tensors. Raises PenstockError for another model's."""
    import torch

    tensors = {name: torch.from_numpy(values) for name, values in read_checkpoint(path).items()}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise PenstockError(
            f"the weights belong to another model: {first}", str(path), "check the factory"
        ) from error
