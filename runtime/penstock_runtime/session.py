"""Streaming: frames as they come, the state carried from call to call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penstock.arrays import as_array
from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
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
    as ``Interpreter.run`` does.
    """

    def __init__(
        self,
        project: Interpreter | Project | str | Path,
        sequences: int = 1,
        state: Any = None,
    ) -> None:
        self._interpreter = project if isinstance(project, Interpreter) else Interpreter(project)
        self.sequences = sequences
        graph = self._interpreter.project.graph
        if Direction.BACKWARD in graph.sweeps:
            raise PenstockError(
                "a bidirectional network can't stream: its first result follows its last input",
                str(self._interpreter.project.folder),
                "run whole sequences, with Interpreter.run",
            )
        taken = {node.op.when for node in graph.of_kind("capture")} - {"last"}
        if taken:
            raise PenstockError(
                "a network that pools over time can't stream: its result is of a whole sequence",
                str(self._interpreter.project.folder),
                "run whole sequences, with Interpreter.run",
            )
        self._state: dict[str, IntArray] = {}
        self._counted: tuple[Saturation, ...] = ()
        self._steps = 0
        self._warned: set[tuple[str, Kind]] = set()
        self.reset(state)

    @property
    def saturations(self) -> list[Saturation]:
        """The tensors of which values were out of range since the session began or was reset.

        first_step: of the session.
        """
        return [one for one in self._counted if one.count]

    def step(self, frame: Any, raw_input: bool = False) -> FloatArray:
        """Take one frame, (inputs) or (sequences, inputs), and give one: (outputs) or (sequences,
        outputs). A head on the last step, or on the final state, takes this frame for the last.
        raw_input: see ``Interpreter.run``.

        Raises PenstockError for a frame that does not fit.
        """
        frame = as_array(frame, f"session of {self._interpreter.project.folder}")
        rows = frame[None] if frame.ndim == 1 and self.sequences == 1 else frame
        if rows.ndim != 2 or len(rows) != self.sequences:
            raise PenstockError(
                f"a frame of shape {frame.shape} is not one of {self.sequences} sequences",
                f"session of {self._interpreter.project.folder}",
                f"give ({self.sequences}, {self._interpreter.project.inputs})",
            )
        result = self._interpreter.run_quietly(
            rows[:, None], state=self._state, batch_first=True, raw_input=raw_input
        )
        self._state = result.state
        self._count(one.later(self._steps) for one in result.counted)
        self._steps += 1
        dtype = self._interpreter.project.output_type
        values: FloatArray = dtype.to_float(result.raw[:, 0])
        return values[0] if frame.ndim == 1 else values

    def reset(self, state: Any = None) -> None:
        """Begin anew, from ``state`` or from zero. Raises PenstockError if it does not fit."""
        given = given_state(self._interpreter.project, state, self.sequences)
        self._state, self._steps, self._counted = given.state, 0, ()
        self._warned.clear()
        self._count(given.saturations)

    def _count(self, more: Iterable[Saturation]) -> None:
        self._counted = merged(self._counted, more)
        alarming = [one for one in self._counted if is_alarming(one)]
        new = [one for one in alarming if (one.name, one.kind) not in self._warned]
        self._warned.update((one.name, one.kind) for one in new)
        warn_of(new, str(self._interpreter.project.folder))
