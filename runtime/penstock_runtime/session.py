"""Streaming: frames as they come, the state carried from call to call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penstock.arrays import as_array
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.ir import Direction
from penstock.ir.saturation import Kind, Saturation, merged
from penstock_runtime.interpreter import Interpreter
from penstock_runtime.project import Project
from penstock_runtime.saturated import is_alarming, warn_of
from penstock_runtime.states import given_state


class Session:
    """A project at work on a stream: the same bits as one run over the whole sequence.

    sequences: how many independent streams advance together. state: where they begin, as
    ``Interpreter.run`` takes it; default: zero. Raises PenstockError for a network
    that can't stream: a backward direction begins at a sequence's end, a mean, a maximum or the
    first step is of a whole sequence. Warns, once for each tensor,
    as ``Interpreter.run`` does. Examples: docs/python.md.
    """

    def __init__(
        self,
        project: Interpreter | Project | str | Path,
        sequences: int = 1,
        state: Any = None,
    ) -> None:
        interpreter = project if isinstance(project, Interpreter) else Interpreter(project)
        self._interpreter, self.sequences = interpreter, sequences
        graph, where = interpreter.project.graph, str(interpreter.project.folder)
        if Direction.BACKWARD in graph.sweeps:
            raise PenstockError(
                "a bidirectional network can't stream: its first result follows its last input",
                where,
                "run whole sequences, with Interpreter.run",
            )
        taken = {node.op.when for node in graph.of_kind("capture")} - {"last"}
        if taken:
            raise PenstockError(
                "a network that pools over time can't stream: its result is of a whole sequence",
                where,
                "run whole sequences, with Interpreter.run",
            )
        self._frames, self._where = interpreter.frames, where
        self._unit = interpreter.project.output_type.step
        self._given: tuple[Saturation, ...] = ()  # states, and frames that lost something
        self._warned: set[tuple[str, Kind]] = set()
        self._steps = self._lost = self._reals = 0
        self.reset(state)

    @property
    def saturations(self) -> list[Saturation]:
        """The tensors of which values were out of range since the session began or was reset.

        first_step: of the session.
        """
        return [one for one in self._counted() if one.count]

    def step(self, frame: Any, raw_input: bool = False) -> FloatArray:
        """Take one frame, (inputs) or (sequences, inputs), and give one: (outputs) or (sequences,
        outputs). A head on the last step, or on the final state, takes this frame for the last.
        raw_input: see ``Interpreter.run``.

        Raises PenstockError for a frame that does not fit.
        """
        frame = as_array(frame, f"session of {self._where}")
        rows = frame[None] if frame.ndim == 1 and self.sequences == 1 else frame
        if rows.ndim != 2 or len(rows) != self.sequences:
            raise PenstockError(
                f"a frame of shape {frame.shape} is not one of {self.sequences} sequences",
                f"session of {self._where}",
                f"give ({self.sequences}, {self._frames.inputs})",
            )
        raw, lost = self._frames.step(rows, raw_input)
        values = np.multiply(self._stream.step(raw), self._unit, dtype=np.float64)
        self._reals += 0 if raw_input else raw.size
        if lost is not None:
            self._given = merged(self._given, [lost.later(self._steps)])
        self._steps += 1
        if lost is not None or self._stream.lost != self._lost:
            self._lost = self._stream.lost
            self._warn()
        return values[0] if frame.ndim == 1 else values

    def reset(self, state: Any = None) -> None:
        """Begin anew, from ``state`` or from zero. Raises PenstockError if it does not fit."""
        given = given_state(self._interpreter.project, state, self.sequences)
        self._stream = self._interpreter.stream(self.sequences, given.state)
        self._given = given.saturations
        self._steps = self._lost = self._reals = 0
        self._warned.clear()
        self._warn()

    def _counted(self) -> tuple[Saturation, ...]:
        """As ``RunResult.counted`` of one run."""
        states = [one for one in self._given if one.kind is not Kind.INPUT]
        frames = [replace(one, of=self._reals) for one in self._given if one.kind is Kind.INPUT]
        return (*frames, *states, *self._stream.saturations())

    def _warn(self) -> None:
        alarming = [one for one in self._counted() if is_alarming(one)]
        new = [one for one in alarming if (one.name, one.kind) not in self._warned]
        self._warned.update((one.name, one.kind) for one in new)
        warn_of(new, self._where)
