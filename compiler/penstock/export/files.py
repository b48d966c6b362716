"""A network as a file: what kind of file, its name says."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING

from safetensors.numpy import save as tensors_to_bytes

from penstock.atomic import write_files
from penstock.errors import PenstockError, kind_of
from penstock.export.network import Exportable
from penstock.export.state_dict import to_state_dict

if TYPE_CHECKING:
    from onnx import ModelProto

SUFFIXES = (".safetensors", ".onnx")


@dataclass(frozen=True)
class Saved:
    """What a file holds. lines: its tensors, or what goes in and out; notes: a sentence each."""

    lines: list[str]
    notes: list[str] = field(default_factory=list)


def save(
    network: Exportable,
    path: str | PathLike[str],
    *,
    like: str | PathLike[str] | None = None,
    lengths: bool = False,
    states: bool = False,
) -> Saved:
    """Write the network to ``path``: ``.safetensors`` for its weights, ``.onnx`` for all of it.

    network: what ``penstock.compile`` gave, or ``penstock_runtime.load_project(folder)``. like: the
    checkpoint that was compiled, whose names the weights shall have. lengths, states: see
    ``to_onnx``. An ONNX model is compared with the interpreter first, if onnxruntime is there.
    Never half a file. Raises PenstockError.
    """
    if not isinstance(path, str | PathLike):
        raise PenstockError(f"{kind_of(path)} is not a path", "export", "give a file's name")
    path = check_name(Path(path), lengths or states, like is not None)
    if path.suffix == ".onnx":
        content, saved = _onnx(network, lengths, states)
    else:
        content, saved = _weights(network, like)

    def write(file: IO[bytes]) -> None:
        file.write(content)

    write_files({path: write})
    return saved


def check_name(path: Path, has_ends: bool = False, has_names: bool = False) -> Path:
    """Refuse a name of no known kind, or of another kind than what was asked for is for.

    has_ends: lengths or states, of ONNX; has_names: those of a checkpoint, of weights.
    """
    if path.suffix not in SUFFIXES:
        raise PenstockError(
            f"a network can't be exported as {path.suffix or 'a file without a suffix'}", str(path),
            f"name it {path.stem}.safetensors for the weights, or {path.stem}.onnx for all of it",
        )  # fmt: skip
    if has_ends and path.suffix != ".onnx":
        raise PenstockError(
            "weights take no lengths and no states", str(path), "leave them out, or export .onnx"
        )
    if has_names and path.suffix == ".onnx":
        raise PenstockError(
            "an ONNX model names its weights as the project does", str(path),
            "leave out --like, or export .safetensors",
        )  # fmt: skip
    return path


def to_onnx(network: Exportable, lengths: bool = False, states: bool = False) -> ModelProto:
    """The network as an ONNX model that gives the interpreter's values: x -> y.

    lengths: it takes the ``lengths`` of the sequences, int64, too. states: for each state NAME of
    the network, it takes NAME_0 and gives NAME_n, (sequences, n). Real numbers are float32, or
    float64 where that can't hold a type. Raises PenstockError without the package onnx, and for
    values of more bits than float64 holds.
    """
    if find_spec("onnx") is None:
        raise PenstockError(
            "writing ONNX files needs the package onnx", network.graph.name,
            "pip install 'penstock[onnx]'",
        )  # fmt: skip
    from penstock.export.onnx_network import model_of

    return model_of(network, lengths, states)


def _onnx(network: Exportable, lengths: bool, states: bool) -> tuple[bytes, Saved]:
    model = to_onnx(network, lengths, states)
    from penstock.export.onnx_check import comparison

    ends = {"takes": model.graph.input, "gives": model.graph.output}
    lines = [f"{end} {', '.join(map(_described, values))}" for end, values in ends.items()]
    return model.SerializeToString(deterministic=True), Saved(lines, [comparison(network, model)])


def _weights(network: Exportable, like: str | PathLike[str] | None) -> tuple[bytes, Saved]:
    found = to_state_dict(network)
    tensors, notes = found.tensors, found.notes
    if like is not None:
        from penstock.export.own_names import under_names_of

        (source,) = network.graph.of_kind("input")
        tensors, more = under_names_of(tensors, Path(like), source.tensor.length)
        notes = [*notes, *more]
    lines = [f"{name} ({' x '.join(map(str, values.shape)) or 'a number'}, {values.dtype})"
             for name, values in tensors.items()]  # fmt: skip
    return tensors_to_bytes(tensors), Saved(lines, notes)


def _described(value: object) -> str:
    """``x (sequences, steps, 12)``."""
    kind = value.type.tensor_type  # type: ignore[attr-defined]
    axes = (axis.dim_param or str(axis.dim_value) for axis in kind.shape.dim)
    return f"{value.name} ({', '.join(axes)})"  # type: ignore[attr-defined]
