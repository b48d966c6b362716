"""The end of a computation that was followed: its results, and what the host makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.errors import PenstockError
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.finish import Result, argmax_of, finish, is_final_state
from penstock.frontend.follow.labels import MOST_ELEMENTS, Labels, Unfollowed
from penstock.model import RecurrentModel

HINT = "run this part on the host, or compile the layers around it"
Call = Callable[[Any], Any]
"""Array -> array: what the host computes with a result."""


@dataclass(frozen=True)
class End:
    """A result and what the host makes of it: nothing else may be computed with it.

    call: on an array of the values that ``labels`` stand for.
    """

    labels: Labels
    kind: str
    axis: int
    call: Call


@dataclass(frozen=True)
class Network:
    """The network of a program.

    results: for each result of the program, where it is in the network's, and what the host does
    with it; None for what is no result of the network (final states, constants). states: state ->
    (the input that it starts from, which of its elements).
    """

    model: RecurrentModel
    results: list[tuple[Result, Call | None] | None]
    states: dict[str, tuple[str, Any]]


@dataclass(frozen=True)
class Source:
    """What was followed. where: its name in errors; subject: what gives results; advice: how."""

    where: str
    subject: str
    advice: str


def finished(
    build: Builder, outputs: Sequence[Any], source: Source, name: str, is_time_major: bool
) -> Network:
    """The network of a program's outputs: Labels, Ends, or what does not depend on the input.

    Raises PenstockError.
    """
    wanted = [index for index, item in enumerate(outputs) if isinstance(item, Labels | End)]
    real = [index for index in wanted if not is_final_state(build, _labels_of(outputs[index]))]
    if real:  # the final states leave through the state port
        if len(real) < len(wanted):
            build.notes.append("the final states are read with --state-output")
        wanted = real
    if not wanted:
        raise PenstockError(
            f"{source.subject} gives no result that depends on its input",
            source.where,
            source.advice,
        )
    chosen = [outputs[index] for index in wanted]
    if any(0 in _labels_of(item).shape for item in chosen):
        raise PenstockError(
            f"{source.subject} gives a result without elements", source.where, source.advice
        )
    try:
        activation = argmax_of(build, chosen)
        model, results = finish(
            build, [_labels_of(item) for item in chosen], name, not is_time_major, activation
        )
    except Unfollowed as refusal:
        raise PenstockError(
            f"its result can't be compiled: {refusal}", source.where, refusal.hint or HINT
        ) from refusal
    if not model.places:
        raise PenstockError(
            f"{source.subject} gives its own input, or an embedding of it, and no layer",
            source.where,
            source.advice,
        )
    found: list[Any] = [None] * len(outputs)
    for index, item, result in zip(wanted, chosen, results, strict=True):
        found[index] = (result, item.call if isinstance(item, End) else None)
        if isinstance(item, End) and not (item.kind == "argmax" and activation == "argmax"):
            model.notes.append(f"{item.kind} of the result runs on the host")
    if build.states:
        given = ", ".join(dict.fromkeys(name for name, _ in build.states.values()))
        model.notes.append(f"the initial state ({given}) is given with --state; zero without")
    return Network(replace(model, table=build.table), found, build.states)


def check_input(title: str, shape: Sequence[int], where: str) -> None:
    """Raise PenstockError for an input of so many elements that it can't be followed."""
    if math.prod(shape) > MOST_ELEMENTS:
        raise PenstockError(
            f"input {title!r} has the shape {list(shape)}, which is too large to be followed",
            where,
            "export the model for fewer sequences and steps, or with free ones",
        )


def _labels_of(item: Any) -> Labels:
    labels: Labels = item.labels if isinstance(item, End) else item
    return labels
