"""The bit-true interpreter of a project: floats or raw integers in, the kernel's very bits out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penstock.arrays import as_array
from penstock.errors import PenstockError
from penstock.fixed import Fixed, FloatArray, IntArray
from penstock.ir import Node
from penstock.ir.engine import Engine
from penstock.ir.evaluate import initial_state
from penstock.ir.saturation import Kind, Saturation, counted, reals_outside
from penstock_runtime.engines import engine_of
from penstock_runtime.project import Project, load_project
from penstock_runtime.saturated import warn


@dataclass(frozen=True)
class RunResult:
    """What a run gives.

    raw: (sequences, frames, outputs) integers; values: the same as real numbers, arranged as the
    input was, as is arranged_raw; state: name -> (sequences, n) raw integers, for the next run.
    counted: of the input frames, the given state and every tensor that can be out of range, how
    many values were; frames and states that were given as raw integers are not among them.
    """

    raw: IntArray
    values: FloatArray
    arranged_raw: IntArray
    state: dict[str, IntArray]
    counted: tuple[Saturation, ...] = ()

    @property
    def saturations(self) -> list[Saturation]:
        """The tensors of which values were out of range, and so were saturated or wrapped."""
        return [one for one in self.counted if one.count]


@dataclass(frozen=True)
class GivenFrames:
    """Frames as the network takes them, (sequences, steps, inputs) raw; lengths: (sequences).

    saturations: one, unless they were given as raw integers.
    """

    raw: IntArray
    lengths: IntArray
    saturations: tuple[Saturation, ...] = ()


@dataclass(frozen=True)
class GivenState:
    """A state as the network takes it, name -> (sequences, n) raw.

    saturations: of every state that was given as real numbers.
    """

    state: dict[str, IntArray]
    saturations: tuple[Saturation, ...] = ()


class Interpreter:
    """Runs a project folder.

    engine: what computes; its name, or one of the caller's own. All give the same bits; an unknown
    name is a PenstockError. Takes any number of sequences at once: lanes are a matter of the
    hardware, not of the result.
    """

    def __init__(self, project: Project | str | Path, engine: Engine | str = "numpy") -> None:
        chosen = engine_of(engine)
        self.project = project if isinstance(project, Project) else load_project(project)
        self._executable = chosen.prepare(self.project.graph)

    def run(
        self,
        x: Any,
        lengths: Any = None,
        state: Any = None,
        batch_first: bool | None = None,
        raw_input: bool = False,
    ) -> RunResult:
        """Run sequences from ``state`` (default: zero).

        x: (steps, inputs) for one sequence, else (sequences, steps, inputs), or (steps, sequences,
        inputs) if not ``batch_first`` (default: as the source model had it). Floats are quantized
        to the input type, those of input j divided by 2**k_j if the manifest has input_exponents;
        with ``raw_input`` they are integers, its raw values already. lengths: (sequences) steps of
        each; frames beyond may hold anything. state: what a run left, or PyTorch's (h_0, c_0), each
        (layers * directions, sequences, n). Raises PenstockError for anything else. Warns if more
        values were out of range than ``penstock.thresholds`` takes for outliers, or any of
        ``state``.
        """
        result = self.run_quietly(x, lengths, state, batch_first, raw_input)
        warn(result.counted, str(self.project.folder), stacklevel=2)
        return result

    def run_quietly(
        self,
        x: Any,
        lengths: Any = None,
        state: Any = None,
        batch_first: bool | None = None,
        raw_input: bool = False,
    ) -> RunResult:
        """``run`` without its warnings."""
        x = self._array(x, "input")
        first = self.project.manifest.interface.batch_first if batch_first is None else batch_first
        frames = self.given_frames(x, lengths, first, raw_input)
        given = self.given_state(state, len(frames.raw))
        result = self._executable.run(frames.raw, frames.lengths, given.state)
        arranged = result.y
        if x.ndim == 2:
            arranged = arranged[0]
        elif not first:
            arranged = arranged.transpose(1, 0, 2)
        values = self.project.output_type.to_float(arranged)
        counted = (*frames.saturations, *given.saturations, *result.saturations)
        return RunResult(result.y, values, arranged, result.state, counted)

    def quantize(
        self,
        x: Any,
        lengths: Any = None,
        batch_first: bool | None = None,
        raw_input: bool = False,
    ) -> tuple[IntArray, IntArray]:
        """What ``run`` makes of its arguments: raw (sequences, steps, inputs), and lengths."""
        given = self.given_frames(x, lengths, batch_first, raw_input)
        return given.raw, given.lengths

    def given_frames(
        self,
        x: Any,
        lengths: Any = None,
        batch_first: bool | None = None,
        raw_input: bool = False,
    ) -> GivenFrames:
        """What ``run`` makes of its arguments, and how many frames' values it had to cut off."""
        first = self.project.manifest.interface.batch_first if batch_first is None else batch_first
        frames = self._frames(self._array(x, "input"), first, raw_input)
        counts, dtype = self._lengths(lengths, frames), self.project.input_type
        is_valid = np.arange(frames.shape[1]) < counts[:, None]
        frames = self._scaled(np.where(is_valid[:, :, None], frames, np.zeros((), frames.dtype)))
        if frames.dtype.kind != "f":
            return GivenFrames(frames.astype(np.int64), counts)
        outside = reals_outside(dtype, frames)
        (source,) = self.project.graph.of_kind("input")
        lost = counted(source.name, Kind.INPUT, outside, counts)
        return GivenFrames(_quantized(dtype, frames), counts, (lost,))

    def hidden(self, state: dict[str, IntArray]) -> tuple[FloatArray, FloatArray]:
        """A state as PyTorch's (h_n, c_n): real numbers, (layers * directions, sequences, n).

        Without an LSTM there are no layers in c_n. Raises PenstockError for layers of different
        sizes, whose states are not one array.
        """
        for part in ("y", "c"):
            lengths = [state[name].shape[1] for name in self._names(part)]
            if len(set(lengths)) > 1:
                raise PenstockError(
                    f"layers of {lengths} elements can't share one array of states",
                    str(self.project.folder),
                    "take them by name, from Interpreter.run",
                )
        return self._stacked(state, "y"), self._stacked(state, "c")

    def _stacked(self, state: dict[str, IntArray], part: str) -> FloatArray:
        states, names = self.project.graph.states(), self._names(part)
        if not names:
            return np.zeros((0, len(next(iter(state.values()), ())), 0))
        return np.stack([states[name].read.tensor.type.to_float(state[name]) for name in names])

    def state_from_arrays(self, arrays: dict[str, Any], where: str) -> dict[str, IntArray]:
        """PyTorch's initial state, as ``run`` takes it.

        arrays: ``h_0`` and ``c_0`` (or ``h_n`` and ``c_n``), each (layers * directions, sequences,
        n); ``c_0`` is not needed where no layer is an LSTM. Raises PenstockError.
        """
        state: dict[str, IntArray] = {}
        for part, letter in (("y", "h"), ("c", "c")):
            names = self._names(part)
            given = arrays.get(f"{letter}_0", arrays.get(f"{letter}_n"))
            if given is None and not names:
                continue
            given = None if given is None else as_array(given, where)
            if given is None or given.ndim != 3 or len(given) != len(names):
                raise PenstockError(
                    f"the initial state needs {letter}_0 of shape ({len(names)}, sequences, n)",
                    where,
                    "save it with numpy.savez(file, h_0=..., c_0=...)",
                )
            state.update(zip(names, given, strict=True))
        return state

    def _names(self, part: str) -> list[str]:
        states = self.project.manifest.interface.states
        return [name for name in states if name.endswith(f".{part}")]

    def _frames(self, x: Any, batch_first: bool, raw_input: bool) -> Any:
        """Frames of the right kind and shape, the sequences first."""
        project, inputs = self.project, self.project.inputs
        where = f"input for {project.folder}"
        _check_kind(x.dtype, raw_input, where)
        if x.ndim not in (2, 3) or x.shape[-1] != inputs or 0 in x.shape:
            raise PenstockError(
                f"frames of shape {x.shape} do not fit a network of {inputs} inputs",
                where,
                f"give (steps, {inputs}) or (sequences, steps, {inputs})",
            )
        if x.ndim == 2:
            x = x[None]
        elif not batch_first:
            x = x.transpose(1, 0, 2)
        longest = project.manifest.interface.max_steps
        if longest is not None and x.shape[1] > longest:
            raise PenstockError(
                f"{x.shape[1]} steps are more than the {longest} that the kernel can buffer",
                where,
                "compile with a larger --max-steps",
            )
        return x

    def _scaled(self, x: Any) -> Any:
        """Frames as the input type holds them: finite real numbers, scaled, or raw integers."""
        dtype, where = self.project.input_type, f"input for {self.project.folder}"
        if x.dtype.kind == "f":
            if not np.isfinite(x).all():
                raise PenstockError("a frame has NaN or infinite values", where, "clean the data")
            exponents = self.project.manifest.interface.input_exponents
            return np.ldexp(x.astype(np.float64), -np.array(exponents)) if exponents else x
        if not _fits(dtype, x):
            raise PenstockError(
                f"raw integers outside {dtype.raw_min}..{dtype.raw_max}",
                where,
                f"the input type is {dtype}; give floats to have them quantized",
            )
        return x

    def _lengths(self, lengths: Any, raw: Any) -> IntArray:
        if lengths is None:
            return np.full(len(raw), raw.shape[1])
        found = self._array(lengths, "lengths")
        if (
            found.shape != (len(raw),)
            or found.dtype.kind not in "iu"
            or found.min() < 0
            or found.max() > raw.shape[1]
        ):
            raise PenstockError(
                f"lengths must be {len(raw)} integers from 0 to {raw.shape[1]}",
                f"lengths for {self.project.folder}",
                "give one length for each sequence",
            )
        return np.asarray(found, dtype=np.int64)

    def _array(self, values: Any, what: str) -> Any:
        return as_array(values, f"{what} for {self.project.folder}")

    def checked_state(self, state: Any, lanes: int) -> dict[str, IntArray]:
        """What ``run`` makes of its state: name -> (sequences, n) raw integers."""
        return self.given_state(state, lanes).state

    def given_state(self, state: Any, lanes: int) -> GivenState:
        """The same, and how many of its values had to be cut off."""
        zero = initial_state(self.project.graph, lanes)
        if state is None:
            return GivenState(zero)
        where = f"initial state for {self.project.folder}"
        given = self._named_states(state, where)
        if given.keys() != zero.keys():
            raise PenstockError(
                f"the states are {sorted(zero)}, not {sorted(map(str, given))}",
                where,
                "name each of them",
            )
        states = self.project.graph.states()
        arrays = {name: as_array(given[name], where) for name in zero}
        raw = {
            name: _raw_state(name, values, states[name].read, lanes, where)
            for name, values in arrays.items()
        }
        lost = [
            _state_saturation(name, values, states[name].read.tensor.type)
            for name, values in arrays.items()
            if values.dtype.kind == "f"
        ]
        return GivenState(raw, tuple(lost))

    def _named_states(self, state: Any, where: str) -> Mapping[str, Any]:
        """A state by names, from what a run left or from PyTorch's (h_0, c_0)."""
        if isinstance(state, tuple | list) and len(state) == 2:
            both = (as_array(part, where) for part in state)
            parts = [part[:, None] if part.ndim == 2 else part for part in both]
            return self.state_from_arrays(dict(zip(("h_0", "c_0"), parts, strict=True)), where)
        if isinstance(state, Mapping):
            return state
        raise PenstockError(
            f"a {type(state).__name__} is not a state", where, "give (h_0, c_0) as in torch"
        )


def _check_kind(dtype: Any, raw_input: bool, where: str) -> None:
    """Integers could be real numbers as well as raw ones: only who gives them knows."""
    if dtype.kind not in "fiu":
        raise PenstockError(
            f"frames of type {dtype} are not numbers", where, "give floats or raw integers"
        )
    if dtype.kind == "f" and raw_input:
        raise PenstockError(
            f"frames of type {dtype} are no raw integers", where, "leave out --raw-input"
        )
    if dtype.kind != "f" and not raw_input:
        raise PenstockError(
            f"the frames are integers ({dtype})",
            where,
            "give floats, or --raw-input if these are raw integers",
        )


def _raw_state(name: str, given: Any, read: Node, lanes: int, where: str) -> IntArray:
    """One state's values as raw integers: floats are quantized, integers must lie in the type."""
    dtype, shape = read.tensor.type, (lanes, read.tensor.length)
    if given.dtype.kind not in "fiu":
        raise PenstockError(
            f"state {name} is of type {given.dtype}, not numbers",
            where,
            "give floats or raw integers",
        )
    if given.shape != shape:
        raise PenstockError(
            f"state {name} has shape {given.shape}, not {shape}",
            where,
            "give (sequences, elements)",
        )
    if not np.isfinite(given).all():
        raise PenstockError(f"state {name} has NaN or infinite values", where, "reset the state")
    raw = _quantized(dtype, given) if given.dtype.kind == "f" else given
    if not _fits(dtype, raw):
        raise PenstockError(f"state {name} is outside {dtype}", where, "give raw integers")
    return raw.astype(np.int64)


def _state_saturation(name: str, values: Any, dtype: Fixed) -> Saturation:
    count = int(np.count_nonzero(reals_outside(dtype, values)))
    return Saturation(name, Kind.STATE, count, values.size, 0 if count else None)


def _quantized(dtype: Fixed, values: Any) -> IntArray:
    with np.errstate(over="ignore"):  # what is far out of range saturates or wraps as the rest does
        return dtype.quantize(values)


def _fits(dtype: Fixed, raw: Any) -> bool:
    """Integers of any NumPy type: int64 does not hold all of them."""
    return dtype.raw_min <= int(raw.min()) and int(raw.max()) <= dtype.raw_max
