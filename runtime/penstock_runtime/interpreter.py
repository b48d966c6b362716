"""The bit-true interpreter of a project: floats or raw integers in, the kernel's very bits out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.arrays import as_array
from penstock.fixed import FloatArray, IntArray
from penstock.ir.engine import Engine, Stream
from penstock.ir.evaluate import stream
from penstock.ir.saturation import Saturation
from penstock_runtime.engines import preparation
from penstock_runtime.frames import FrameReader
from penstock_runtime.project import Project, load_project
from penstock_runtime.saturated import warn_of
from penstock_runtime.shown import result_line, result_table
from penstock_runtime.states import complete, given_state, hidden, saved


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return result_line(self)

    def _repr_html_(self) -> str:
        """Of a notebook."""
        return result_table(self)


class Interpreter:
    """Runs a project folder.

    engine: what computes; a name of ``engines.ENGINES``, or one of the caller's own. All give the
    same bits. "auto" is the fast one, or, with a note, the reference where that can't be had; any
    other name that is unknown, or can't be had, is a PenstockError. Takes any number of sequences
    at once: lanes are a matter of the hardware, not of the result.

    project: the project that is run. engine: the name of what computes it, executable: its graph
    in it. frames: what reads the frames given to ``run``. Examples: docs/python.md.
    """

    def __init__(self, project: Project | str | Path, engine: Engine | str = "auto") -> None:
        prepare = preparation(engine)
        self.project = project if isinstance(project, Project) else load_project(project)
        self.frames = FrameReader(self.project)
        self.engine, self.executable = prepare(self.project.graph)

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
        x = as_array(x, f"input for {self.project.folder}")
        first = self.frames.batch_first if batch_first is None else batch_first
        frames = self.frames.read(x, lengths, first, raw_input)
        given = given_state(self.project, state, len(frames.raw))
        result = self.executable.run(frames.raw, frames.lengths, given.state)
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
        given = self.frames.read(x, lengths, batch_first, raw_input)
        return given.raw, given.lengths

    def stream(self, lanes: int, state: dict[str, IntArray]) -> Stream:
        """``lanes`` sequences that advance step by step, in raw integers, from ``state``."""
        return stream(self.executable, lanes, state)

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
