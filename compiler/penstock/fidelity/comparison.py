"""Run the float network and the graph on the same frames, and add up where they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fidelity.decisions import Answers, Rule, answers_of, delivered, rule_of
from penstock.fidelity.errors import ErrorSum, Histogram, Tally, TensorError
from penstock.fidelity.trial import Trial
from penstock.fidelity.verdict import Fidelity, Targets
from penstock.fixed import BoolArray, FloatArray, IntArray
from penstock.ir import Graph, Node
from penstock.ir.engine import Executable
from penstock.ir.evaluate import ReferenceEngine
from penstock.ir.saturation import Kind, Saturation, counted, merged, reals_outside
from penstock.model import RecurrentModel

MOST_VALUES = 8_000_000
"""Values of tensors kept at a time: 64 MB for each of the two networks."""
TENSORS = 8
"""Tensors that a layer shows, of the width of its output."""


def measure(model: RecurrentModel, graph: Graph, trial: Trial) -> Fidelity:
    """Compare the float network with the graph that it became.

    Tensors of one name are paired; steps beyond a sequence's length never count. Raises
    PenstockError for labels that do not fit.
    """
    comparison = _Comparison(model, graph, rule_of(model), ReferenceEngine().prepare(graph))
    answers = None
    if trial.labels is not None:
        frames = 1 if model.is_once(model.outputs[0]) else trial.frames.shape[1]
        answers = answers_of(
            trial.labels, (trial.sequences, frames), comparison.outputs.columns,
            comparison.rule, trial.where,
        )  # fmt: skip
        if not answers.is_label:  # of quantities, the greatest decides nothing
            comparison.rule = comparison.tally = None
    for part in _parts(model, trial):
        comparison.run(trial.frames[part], trial.lengths[part], _part_of(answers, part))
    return comparison.result(trial)


def _parts(model: RecurrentModel, trial: Trial) -> Iterator[slice]:
    """Sequences that are run at once."""
    widths = sum(place.layer.outputs for place in model.places) * TENSORS + model.inputs
    count = max(MOST_VALUES // (widths * trial.frames.shape[1]), 1)
    for start in range(0, trial.sequences, count):
        yield slice(start, start + count)


def _part_of(answers: Answers | None, part: slice) -> Answers | None:
    return None if answers is None else replace(answers, values=answers.values[part])


Pieces = dict[str, list[tuple[int, NDArray[Any]]]]
"""Name -> (step, rows), as they come."""


@dataclass
class _Comparison:
    """Sums over all runs. ``outputs``: of each output."""

    model: RecurrentModel
    graph: Graph
    rule: Rule | None
    executable: Executable
    tensors: dict[str, TensorError] = field(default_factory=dict)
    saturations: tuple[Saturation, ...] = ()
    outputs: ErrorSum = field(init=False)
    tally: Tally | None = None
    targets: Targets | None = None

    def __post_init__(self) -> None:
        (output,) = self.graph.of_kind("output")
        self.outputs = ErrorSum(output.tensor.length)
        self.tally = Tally(self.rule.words) if self.rule is not None else None

    def run(self, frames: FloatArray, lengths: IntArray, answers: Answers | None) -> None:
        """Both networks on frames (sequences, steps, inputs)."""
        longest = max(int(lengths.max()), 1)
        frames = frames[:, :longest]
        if answers is not None and answers.values.shape[1] > 1:
            answers = replace(answers, values=answers.values[:, :longest])
        real: Pieces = {}
        with np.errstate(over="ignore", invalid="ignore"):
            y = self.model.run(
                frames, lengths,
                lambda name, t, rows: real.setdefault(name, []).append((t, rows)),
            )  # fmt: skip
        names = {name for name in real if self._is_paired(name)}
        fixed: Pieces = {}

        def observe(name: str, t: int, raw: IntArray, counts: BoolArray) -> None:
            if name in names:
                fixed.setdefault(name, []).append((t, raw[counts]))

        (source,) = self.graph.of_kind("input")
        dtype = source.tensor.type
        result = self.executable.run(dtype.quantize(frames), lengths, None, observe)
        lost = counted(source.name, Kind.INPUT, reals_outside(dtype, frames), lengths)
        self.saturations = merged(self.saturations, [lost, *result.saturations])
        for name in real:
            if name in fixed:
                self._add(self.graph[name], real[name], fixed[name])
        self._add_outputs(y, result.y, lengths, answers)

    def _is_paired(self, name: str) -> bool:
        return name in self.graph and self.graph[name].tensor.constant is None

    def _add(self, node: Node, real: Any, fixed: Any) -> None:
        """Rows of both in the order of the steps."""
        values, raw = (
            np.concatenate([rows for _, rows in sorted(pieces, key=lambda piece: piece[0])])
            for pieces in (real, fixed)
        )
        if values.shape != raw.shape:
            return
        is_chosen = node.op.kind in ("input", "requant", "mean")
        found = self.tensors.setdefault(
            node.name,
            TensorError(
                node.name, node.tensor.type,
                histogram=Histogram(node.tensor.type) if is_chosen else None,
            ),
        )  # fmt: skip
        found.add(values, raw)

    def _add_outputs(
        self, y: FloatArray, raw: IntArray, lengths: IntArray, answers: Answers | None
    ) -> None:
        (output,) = self.graph.of_kind("output")
        valid = np.arange(raw.shape[1]) < lengths[:, None]  # of one step, where it comes once
        real, fixed = delivered(self.model, y)[valid], output.tensor.type.to_float(raw)[valid]
        self.outputs.add(real, fixed)
        right = None if answers is None else answers.values[valid]
        if self.rule is not None and self.tally is not None:
            labels = right if answers is not None and answers.is_label else None
            self.tally.add(self.rule.decide(real), self.rule.decide(fixed), labels)
        if right is not None and answers is not None and not answers.is_label:
            self.targets = self.targets or Targets()
            self.targets.add(real, fixed, right)

    def result(self, trial: Trial) -> Fidelity:
        """All that was found."""
        return Fidelity(
            trial.source, trial.sequences, trial.steps, trial.of_sequences, trial.of_steps,
            self.outputs, self.tally, self.targets, tuple(self.tensors.values()), self.saturations,
            self._logits(),
        )  # fmt: skip

    def _logits(self) -> TensorError | None:
        """What labels are made of: the error of a label says nothing."""
        (output,) = self.graph.of_kind("output")
        (source, *more) = self.graph.inputs(output)
        if more or source.op.kind != "argmax":
            return None
        return self.tensors.get(source.inputs[0])
