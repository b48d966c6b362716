"""The bit-true interpreter of a project: floats or raw integers in, the kernel's very bits out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penstock.arrays import as_array
from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.ir.engine import Engine
from penstock.ir.saturation import Kind, Saturation, counted, reals_outside
from penstock_runtime.agreement import frames
from penstock_runtime.engines import engine_of
from penstock_runtime.project import Project, load_project
from penstock_runtime.saturated import warn_of
from penstock_runtime.states import complete, fits, given_state, hidden, quantized, saved


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
        each; frames beyond may hold anything. state: what a run left; or PyTorch's (h_0, c_0), or
        h_0 alone of a network without cells, each (layers * directions, sequences, n). Raises
        PenstockError for anything else. Warns if more values were out of range than
        ``penstock.thresholds`` takes for outliers, or any of ``state``.
        """
        result = self.run_quietly(x, lengths, state, batch_first, raw_input)
        warn_of(result.counted, str(self.project.folder))
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
        given = given_state(self.project, state, len(frames.raw))
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
        return GivenFrames(quantized(dtype, frames), counts, (lost,))

    def hidden(self, state: dict[str, IntArray]) -> tuple[FloatArray, ...]:
        """A state as PyTorch has it: (h_n, c_n), or (h_n,) of a network without cells.

        Each is of real numbers, (layers * directions, sequences, n). Raises PenstockError for
        layers of different sizes, whose states are not one array.
        """
        return hidden(self.project, state)

    def saved_state(self, state: dict[str, IntArray]) -> dict[str, FloatArray]:
        """A state as the arrays of a file, which ``state_from_arrays`` reads.

        ``h_n`` and ``c_n`` as PyTorch has them; each by its name where layers differ in size, or
        where a state is of another kind. Raises PenstockError for a network without states.
        """
        return saved(self.project, state)

    def state_from_arrays(self, arrays: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The initial state in a file, as ``run`` takes it: name -> (sequences, n).

        arrays: ``h_0`` and ``c_0`` (or ``h_n`` and ``c_n``), each (layers * directions, sequences,
        n); or each state by its name. Raises PenstockError.
        """
        return complete(self.project, arrays, where)

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
            is_buffered = bool(frames(project.graph))
            raise PenstockError(
                f"{x.shape[1]} steps are more than the {longest} that the kernel can "
                + ("buffer" if is_buffered else "sum up exactly"),
                where,
                "compile with a larger --max-steps" if is_buffered else "give shorter sequences",
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
        if not fits(dtype, x):
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
