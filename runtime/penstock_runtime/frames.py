"""Frames as users give them, and as the network takes them: raw integers of the input type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.arrays import as_array
from penstock.errors import PenstockError
from penstock.fixed import IntArray
from penstock.ir.saturation import (
    Kind,
    Saturation,
    counted,
    plainly_quantized,
    reals_outside,
)
from penstock_runtime.agreement import frames as buffered
from penstock_runtime.project import Project
from penstock_runtime.states import fits, quantized


@dataclass(frozen=True)
class GivenFrames:
    """Frames as the network takes them, (sequences, steps, inputs) raw; lengths: (sequences).

    saturations: one, unless they were given as raw integers.
    """

    raw: IntArray
    lengths: IntArray
    saturations: tuple[Saturation, ...] = ()


class FrameReader:
    """Checks and quantizes the frames of a project. Whatever does not fit is a PenstockError."""

    def __init__(self, project: Project) -> None:
        interface = project.manifest.interface
        (source,) = project.graph.of_kind("input")
        self.name, self.inputs, self.type = source.name, source.tensor.length, source.tensor.type
        self.batch_first = interface.batch_first
        self._project = project
        self._exponents = interface.input_exponents
        self._max_steps = interface.max_steps

    def read(
        self, x: Any, lengths: Any, batch_first: bool | None = None, raw_input: bool = False
    ) -> GivenFrames:
        """See ``Interpreter.run``."""
        x = self._array(x, "input")
        first = self.batch_first if batch_first is None else batch_first
        sequences, steps = self.checked_shape(x.shape, x.dtype, first, raw_input)
        frames = x.transpose(1, 0, 2) if x.ndim == 3 and not first else x.reshape(-1, *x.shape[-2:])
        counts = self.checked_lengths(lengths, sequences, steps)
        if int(counts.min()) < frames.shape[1]:
            is_valid = np.arange(frames.shape[1]) < counts[:, None]
            frames = np.where(is_valid[:, :, None], frames, np.zeros((), frames.dtype))
        if frames.dtype.kind != "f":
            return GivenFrames(self._integers(frames), counts)
        raw, lost = self._quantized(frames, counts)
        return GivenFrames(raw, counts, (lost,))

    def step(self, rows: Any, raw_input: bool) -> tuple[IntArray, Saturation | None]:
        """One frame of every sequence, (sequences, inputs). -> the same raw, and what it lost."""
        is_plain = rows.dtype.kind == "f" and not raw_input and not self._exponents
        if is_plain and rows.shape[1] == self.inputs:
            raw = plainly_quantized(self.type, rows)
            if raw is not None:
                return raw, None
        given = self.read(rows[:, None], None, True, raw_input)
        lost = given.saturations[0] if given.saturations else None
        return given.raw[:, 0], lost if lost is not None and lost.count else None

    def _quantized(self, frames: Any, counts: IntArray) -> tuple[IntArray, Saturation]:
        real = self._real(frames)
        raw = plainly_quantized(self.type, real)
        if raw is not None:
            of = int(counts.sum()) * self.inputs
            return raw, Saturation(self.name, Kind.INPUT, 0, of)
        outside = reals_outside(self.type, real)
        return quantized(self.type, real), counted(self.name, Kind.INPUT, outside, counts)

    def checked_shape(
        self, shape: tuple[int, ...], dtype: Any, batch_first: bool, raw_input: bool
    ) -> tuple[int, int]:
        """(sequences, steps) of frames of the right kind and shape."""
        where = self._where("input")
        _check_kind(dtype, raw_input, where)
        if len(shape) not in (2, 3) or shape[-1] != self.inputs or 0 in shape:
            raise PenstockError(
                f"frames of shape {shape} do not fit a network of {self.inputs} inputs",
                where,
                f"give (steps, {self.inputs}) or (sequences, steps, {self.inputs})",
            )
        sequences, steps = (1, *shape)[-3:-1] if batch_first or len(shape) == 2 else shape[1::-1]
        if self._max_steps is not None and steps > self._max_steps:
            is_buffered = bool(buffered(self._project.graph))
            raise PenstockError(
                f"{steps} steps are more than the {self._max_steps} that the kernel can "
                + ("buffer" if is_buffered else "sum up exactly"),
                where,
                "compile with a larger --max-steps" if is_buffered else "give shorter sequences",
            )
        return sequences, steps

    def _real(self, x: Any) -> Any:
        """Finite real numbers, scaled as the input type holds them."""
        if not np.isfinite(x).all():
            raise PenstockError(
                "a frame has NaN or infinite values", self._where("input"), "clean the data"
            )
        if not self._exponents:
            return x
        return np.ldexp(x.astype(np.float64), -np.array(self._exponents))

    def _integers(self, x: Any) -> IntArray:
        """Raw integers of the input type."""
        if not fits(self.type, x):
            raise PenstockError(
                f"raw integers outside {self.type.raw_min}..{self.type.raw_max}",
                self._where("input"),
                f"the input type is {self.type}; give floats to have them quantized",
            )
        return np.asarray(x, dtype=np.int64)

    def checked_lengths(self, lengths: Any, sequences: int, steps: int) -> IntArray:
        """Steps of each sequence; default: all."""
        if lengths is None:
            return np.full(sequences, steps)
        found = self._array(lengths, "lengths")
        if (
            found.shape != (sequences,)
            or found.dtype.kind not in "iu"
            or found.min() < 0
            or found.max() > steps
        ):
            raise PenstockError(
                f"lengths must be {sequences} integers from 0 to {steps}",
                self._where("lengths"),
                "give one length for each sequence",
            )
        return np.asarray(found, dtype=np.int64)

    def _array(self, values: Any, what: str) -> Any:
        return as_array(values, self._where(what))

    def _where(self, what: str) -> str:
        return f"{what} for {self._project.folder}"


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
