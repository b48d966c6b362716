"""Whole test sets in constant memory: some sequences at a time, and of long ones, some steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from penstock.arrays import StoredArray
from penstock.fixed import IntArray
from penstock.ir import Direction
from penstock.ir.saturation import Kind, Saturation, merged
from penstock_runtime.interpreter import Interpreter, RunResult
from penstock_runtime.saturated import warn_of
from penstock_runtime.states import given_state

SEQUENCES = 128
"""So many run at once: enough for all processors, and for 32 side by side in each."""
BYTES = 64 << 20
"""About what the frames and results of a piece take."""
COPIES = 4
"""Frames are held as they are, scaled, rounded and raw; results raw and real."""

Progress = Callable[[int, int], None]
"""Called with how many frames are done, and of how many."""


@dataclass(frozen=True)
class Piece:
    """Some steps of some sequences."""

    sequences: slice
    steps: slice
    frames: int  # of all its sequences, padding too


@dataclass(frozen=True)
class Finished:
    """What remains of a run. shape: of the results; state, counted: as of ``RunResult``."""

    shape: tuple[int, ...]
    state: dict[str, IntArray]
    counted: tuple[Saturation, ...]


def pieces(
    sequences: int, steps: int, frame_bytes: int, can_pause: bool, most_bytes: int = BYTES
) -> Iterator[Piece]:
    """How a run is divided, batch by batch, each from its first step on.

    frame_bytes: what one frame takes. can_pause: steps may be divided, too.
    """
    at_once = max(most_bytes // max(frame_bytes, 1), 1)  # frames
    longest = max(at_once // min(sequences, SEQUENCES), 1) if can_pause else steps
    batch = min(sequences, SEQUENCES, max(at_once // min(longest, steps), 1))
    for first in range(0, sequences, batch):
        for start in range(0, steps, longest):
            last, end = min(first + batch, sequences), min(start + longest, steps)
            yield Piece(slice(first, last), slice(start, end), (last - first) * (end - start))


def can_pause(interpreter: Interpreter) -> bool:
    """True if a run may end at any step and be taken up there: all that it knows is its state."""
    graph = interpreter.project.graph
    return not graph.captures() and set(graph.sweeps) == {Direction.FORWARD}


def run_in_pieces(
    interpreter: Interpreter,
    source: StoredArray,
    results: Results,
    lengths: Any = None,
    state: Any = None,
    raw_input: bool = False,
    progress: Progress = lambda done, of: None,
    most_bytes: int = BYTES,
) -> Finished:
    """``Interpreter.run`` of a file, whose results go to another one as they come.

    The same bits and the same counts as one run over all of it. Raises PenstockError; what has been
    written until then is the caller's to remove. Warns as ``Interpreter.run`` does.
    """
    project, reader = interpreter.project, interpreter.frames
    sequences, steps = reader.checked_shape(
        source.shape, source.dtype, reader.batch_first, raw_input
    )
    counts = reader.checked_lengths(lengths, sequences, steps)
    given = given_state(project, state, sequences)
    after = {name: own.copy() for name, own in given.state.items()}
    frame_bytes = 8 * COPIES * (project.inputs + project.outputs)
    counted: tuple[Saturation, ...] = ()
    done = 0
    for piece in pieces(sequences, steps, frame_bytes, can_pause(interpreter), most_bytes):
        part, own = _part(source, piece, reader.batch_first), piece.sequences
        left = np.clip(counts[own] - piece.steps.start, 0, part.shape[1])
        before = {name: values[own] for name, values in after.items()}
        result = interpreter.run_quietly(part, left, before, True, raw_input)
        for name, values in result.state.items():
            after[name][own] = values
        results.write(piece, result, source, (sequences, steps), reader.batch_first)
        counted = merged(counted, (one.later(piece.steps.start) for one in result.counted))
        done += piece.frames
        progress(done, sequences * steps)
    frames = [one for one in counted if one.kind is Kind.INPUT]
    counted = merged(frames, given.saturations, counted[len(frames) :])
    warn_of(counted, str(project.folder))
    return Finished(results.shape, after, counted)


def _part(source: StoredArray, piece: Piece, batch_first: bool) -> NDArray[Any]:
    """(sequences, steps, inputs), whatever the order in the file."""
    if len(source.shape) == 2:
        return source.part(piece.steps)[None]
    if batch_first:
        return source.part(piece.sequences, piece.steps)
    return source.part(piece.steps, piece.sequences).transpose(1, 0, 2)


class Results:
    """A .npy file that is written piece by piece, arranged as the frames are.

    shape: of all that it holds, once the first piece is written.
    """

    def __init__(self, file: IO[bytes], is_raw: bool) -> None:
        self._file, self._is_raw = file, is_raw
        self._start = 0
        self.shape: tuple[int, ...] = ()

    def write(
        self,
        piece: Piece,
        result: RunResult,
        source: StoredArray,
        whole: tuple[int, int],
        batch_first: bool,
    ) -> None:
        """The results of a piece. whole: (sequences, steps) of all frames."""
        values = result.arranged_raw if self._is_raw else result.values
        rows, columns = piece.sequences, piece.steps
        if values.shape[1] != columns.stop - columns.start:  # one of each sequence
            whole, columns = (whole[0], values.shape[1]), slice(0, values.shape[1])
        shape = (*whole, values.shape[2])
        if not batch_first and len(source.shape) == 3:
            values, rows, columns = values.transpose(1, 0, 2), columns, rows
            shape = (shape[1], shape[0], shape[2])
        if not self.shape:
            self.shape = shape[1:] if len(source.shape) == 2 else shape
            self._begin(values.dtype)
        self._put(np.ascontiguousarray(values), rows.start, columns.start, shape)

    def _begin(self, dtype: Any) -> None:
        described = npy.dtype_to_descr(dtype)
        header = {"descr": described, "fortran_order": False, "shape": self.shape}
        npy.write_array_header_1_0(self._file, header)
        self._start = self._file.tell()

    def _put(self, values: NDArray[Any], row: int, column: int, shape: tuple[int, ...]) -> None:
        """Written, not mapped: a full disk is then an error, and no more."""
        one = values.itemsize * shape[2]
        parts = [values] if values.shape[1] == shape[1] else values  # whole rows are one part
        for number, part in enumerate(parts):
            self._file.seek(self._start + ((row + number) * shape[1] + column) * one)
            self._file.write(part.tobytes())
