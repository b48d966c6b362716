"""From whatever holds a network, a module, a program or a checkpoint, to its project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from penstock.arrays import as_array
from penstock.calibration import Ranges
from penstock.choices import Network
from penstock.compress.network_text import NetworkText
from penstock.compress.saved import Formats, load_formats
from penstock.config import Origin, Source
from penstock.driver import Compiled, compile_model
from penstock.errors import PenstockError, kind_of
from penstock.fidelity import Validation
from penstock.fixed import FloatArray, IntArray
from penstock.frontend import (
    HeadOptions,
    from_onnx,
    from_pt2,
    from_state_dict,
    is_of_torch,
    is_onnx,
    is_pt2,
    read_checkpoint,
)
from penstock.frontend.given import check_arguments, model_of
from penstock.frontend.module import with_head_options
from penstock.model import RecurrentModel
from penstock.settings import Balance, Hardware, Precision
from penstock.stages import Tell, tell_nobody, tell_stage


def compile(
    module: Any,
    calibration: FloatArray | Ranges | None = None,
    hardware: Hardware | None = None,
    precision: Precision | None = None,
    head: HeadOptions | None = None,
    *,
    key: str | None = None,
    only: Sequence[str] = (),
    calibration_lengths: IntArray | None = None,
    calibration_states: Any = None,
    validation: Validation | None = None,
    strict: bool = False,
    regression: bool = False,
) -> Compiled:
    """Compile a live ``torch.nn.Module``, its state dict, a checkpoint's path or a RecurrentModel.

    calibration: typical frames, (steps, inputs) or (sequences, steps, inputs), in the order of the
    module's own; or the ranges found on some. key, only: of a checkpoint's path, see
    ``compile_checkpoint``. calibration_lengths, calibration_states, validation, strict: see
    ``compile_model``. regression: the outputs are quantities, and the greatest decides nothing.
    The result's ``write(folder)`` makes the project. Raises PenstockError.
    """
    more: dict[str, Any] = {
        "calibration_lengths": calibration_lengths, "calibration_states": calibration_states,
        "validation": validation, "strict": strict,
    }  # fmt: skip
    if isinstance(module, str | PathLike):
        more |= {"key": key, "only": only, "regression": regression}
        return compile_checkpoint(module, calibration, hardware, precision, head, **more)
    _check_settings(hardware, precision, head, validation)
    found = load(module, calibration, precision, head, key=key, only=only, regression=regression)
    origin = Origin(
        network=_network(head, regression=regression, strict=strict),
        precision=precision or Precision(),
        libraries=() if isinstance(module, RecurrentModel) else ("torch",),
    )
    return compile_model(
        found.model, found.calibration, hardware, found.precision, **more, origin=origin
    )


@dataclass(frozen=True)
class Loaded:
    """A network as ``compile_model`` takes it, with what a checkpoint says itself.

    name: what errors call its frames. has_formats: the checkpoint has number formats of its own.
    """

    model: RecurrentModel
    calibration: FloatArray | Ranges | None
    precision: Precision | None
    balanced_for: Balance | None = None
    name: str = "calibration"
    has_formats: bool = False


def load(
    module: Any,
    calibration: FloatArray | Ranges | None = None,
    precision: Precision | None = None,
    head: HeadOptions | None = None,
    *,
    key: str | None = None,
    only: Sequence[str] = (),
    batch_first: bool = True,
    regression: bool = False,
) -> Loaded:
    """The network of whatever ``compile`` takes. batch_first: of a checkpoint. Raises
    PenstockError.
    """
    if isinstance(module, str | PathLike):
        return load_checkpoint(
            module, calibration, precision, head, batch_first=batch_first, key=key, only=only,
            regression=regression,
        )  # fmt: skip
    if key is not None or only:
        raise PenstockError(
            "key and only choose in a checkpoint file", type(module).__name__, "leave them out"
        )
    frames = calibration
    if frames is not None and not isinstance(frames, Ranges):
        frames = as_array(frames, "calibration")
    model = model_of(module, head, None if isinstance(frames, Ranges) else frames)
    model = replace(model, is_regression=regression or model.is_regression)
    return Loaded(model, frames, precision)


def _network(head: HeadOptions | None, **more: Any) -> Network:
    at, activation = (None, None) if head is None else (head.at, head.activation)
    return Network(head=at, head_activation=activation, **more)


def _check_settings(hardware: Any, precision: Any, head: Any, validation: Any) -> None:
    check_arguments({
        "hardware": (hardware, Hardware), "precision": (precision, Precision),
        "head": (head, HeadOptions), "validation": (validation, Validation),
    })  # fmt: skip


def compile_checkpoint(
    path: str | PathLike[str],
    calibration: FloatArray | Ranges | None = None,
    hardware: Hardware | None = None,
    precision: Precision | None = None,
    head: HeadOptions | None = None,
    *,
    batch_first: bool = True,
    name: str | None = None,
    calibration_name: str | None = None,
    key: str | None = None,
    only: Sequence[str] = (),
    calibration_lengths: IntArray | None = None,
    calibration_states: Any = None,
    validation: Validation | None = None,
    strict: bool = False,
    regression: bool = False,
    sources: Mapping[str, Source] | None = None,
    tell: Tell = tell_nobody,
) -> Compiled:
    """Compile a checkpoint file. One that ``penstock compress`` saved carries its number formats.

    Where PEs are left open, they are those that it is balanced for, if they fit; so are the banks
    of the dataflow bank, where none are much faster. key: which of the
    dictionaries in the file. only: the prefixes of what is compiled. The program of an .onnx or
    .pt2 file says itself how its arrays are ordered. sources: the files that the arrays were read
    from, by the names of ``choices.Files``: with them the project can be made again from its
    penstock.toml. tell: see ``compile_model``. The rest is as in ``compile``. Raises PenstockError,
    also for formats given to a checkpoint that has its own.
    """
    _check_settings(hardware, precision, head, validation)
    tell_stage(tell, "reading the network")
    found = load_checkpoint(
        path, calibration, precision, head, batch_first=batch_first, name=name,
        calibration_name=calibration_name, key=key, only=only, regression=regression,
    )  # fmt: skip
    path, sources = Path(path), dict(sources or {})
    arrays = {
        "calibration": calibration, "calibration_lengths": calibration_lengths,
        "calibration_state": calibration_states, "validate": validation,
    }  # fmt: skip
    is_named = name is not None and "model" not in sources
    origin = Origin(
        network=_network(
            head, key=key, only=tuple(only), time_first=not batch_first, regression=regression,
            strict=strict,
        ),
        precision=None if found.has_formats else precision or Precision(),
        is_whole=not is_named and sources.keys() >= {
            key for key, value in arrays.items() if value is not None
        },
    )  # fmt: skip
    return compile_model(
        found.model, found.calibration, hardware, found.precision, found.name,
        calibration_lengths, calibration_states, validation, strict, found.balanced_for,
        _of_files(origin, path, sources), tell,
    )  # fmt: skip


def load_checkpoint(
    path: str | PathLike[str],
    calibration: FloatArray | Ranges | None = None,
    precision: Precision | None = None,
    head: HeadOptions | None = None,
    *,
    batch_first: bool = True,
    name: str | None = None,
    calibration_name: str | None = None,
    key: str | None = None,
    only: Sequence[str] = (),
    regression: bool = False,
) -> Loaded:
    """The network of a checkpoint file: see ``compile_checkpoint``. Raises PenstockError."""
    if not isinstance(path, str | PathLike):
        raise PenstockError(
            f"{kind_of(path)} is not a path", "compile_checkpoint", "use penstock.compile"
        )
    path = Path(path)
    where = calibration_name or str(path)
    if is_program(path):
        _refuse_choices(path, batch_first, key, only, "a program")
        frames = calibration
        if frames is not None and not isinstance(frames, Ranges):
            frames = as_array(frames, calibration_name or "calibration")
        model = follow_program(path, head, None if isinstance(frames, Ranges) else frames, name)
        model = replace(model, is_regression=regression)
        return Loaded(model, frames, precision, None, where)
    formats = load_formats(path)
    if formats is not None:
        if calibration is not None or precision is not None:
            raise PenstockError(
                "the checkpoint carries the number formats it was trained for",
                str(path),
                "leave out --calibration and the options for bits and tables",
            )
        calibration, precision = formats.ranges, formats.precision
    tensors = read_checkpoint(path, key, keeps_narrow=True)
    model = model_of_tensors(
        tensors, path, formats, head, batch_first=batch_first, name=name, only=only
    )
    model = replace(model, is_regression=regression or model.is_regression)
    balanced_for = None if formats is None else Balance(formats.pes, formats.banks)
    return Loaded(model, calibration, precision, balanced_for, where, formats is not None)


def _of_files(origin: Origin, path: Path, sources: Mapping[str, Source]) -> Origin:
    """With the files: the network's own, which could be read, first."""
    model = sources["model"] if "model" in sources else Source.of(path)
    libraries: tuple[str, ...] = ("onnx",)
    if not is_onnx(path):
        libraries = ("torch",) if is_pt2(path) or is_of_torch(path) else ()
    return replace(origin, files={"model": model, **sources}, libraries=libraries)


def is_program(path: Path) -> bool:
    """True for a file that says what is computed; the others are tensors by name."""
    return is_onnx(path) or is_pt2(path)


def follow_program(
    path: Path,
    head: HeadOptions | None = None,
    frames: FloatArray | None = None,
    name: str | None = None,
) -> RecurrentModel:
    """The network of an .onnx or .pt2 file: see ``from_onnx`` and ``from_pt2``."""
    follow = from_onnx if is_onnx(path) else from_pt2
    return follow(path, head, frames, name)


def model_of_tensors(
    tensors: dict[str, FloatArray],
    path: Path,
    formats: Formats | None = None,
    head: HeadOptions | None = None,
    *,
    batch_first: bool = True,
    name: str | None = None,
    only: Sequence[str] = (),
) -> RecurrentModel:
    """The network of a checkpoint's tensors. formats: what it says beside them.

    Raises PenstockError for what can't be compiled or could be read in more ways than one.
    """
    title = name or path.stem
    if formats is not None and isinstance(formats.network, NetworkText):
        _refuse_choices(path, batch_first, None, only, "a network")
        model = formats.network.to_model(tensors, title, str(path))
        model = model if head is None else with_head_options(model, head, str(path), "the network")
    else:
        head = _completed(head, formats.head) if formats is not None else head
        model = from_state_dict(tensors, str(path), head, batch_first, title, only)
    return replace(model, is_regression=formats is not None and formats.is_regression)


def _refuse_choices(
    path: Path, batch_first: bool, key: str | None, only: Sequence[str], what: str
) -> None:
    """What says itself what is computed leaves nothing to choose. Raises PenstockError."""
    if not batch_first:
        raise PenstockError(
            "the file says itself how its arrays are ordered", str(path), "leave out --time-first"
        )
    if key is not None or only:
        raise PenstockError(
            f"key and only choose in a state dict, and the file holds {what}",
            str(path),
            "leave them out",
        )


def _completed(head: HeadOptions | None, saved: HeadOptions | None) -> HeadOptions | None:
    """What is said of the head, and what a checkpoint says where that says nothing."""
    if head is None or saved is None or head.at is not None:
        return head or saved
    return replace(head, at=saved.at)
