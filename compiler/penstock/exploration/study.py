"""What an exploration is of: points, and the network of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.exploration.axes import Axis, axes_of
from penstock.exploration.evaluate import Workshop
from penstock.exploration.network import Network
from penstock.exploration.rows import Training
from penstock.exploration.space import Base, Point, points_of, usual_axes
from penstock.settings import Hardware, Precision


@dataclass(frozen=True)
class Study:
    """networks, trainings: by the points' numbers. models: trained checkpoints, by the values that
    they were trained for.
    """

    name: str
    axes: tuple[Axis, ...]
    base: Base
    points: list[Point]
    networks: Mapping[int, Network]
    trainings: Mapping[int, Training] = field(default_factory=dict)
    models: Mapping[tuple[Any, ...], Path] = field(default_factory=dict)


def study_of(
    name: str,
    given: Mapping[str, Any],
    hardware: Hardware | None,
    precision: Precision | None,
    read: Callable[[Precision | None], tuple[Network, Precision | None]],
) -> Study:
    """Of a network that is there. given: the axes by name; a board alone leaves the usual ones.

    read: takes the number formats that are asked for, and gives the network, with its own formats
    if it carries any. Raises PenstockError.
    """
    axes = axes_of(given)
    if any(axis.field.of == "recipe" for axis in axes):
        raise PenstockError(
            "a density is an axis only of a training", "density",
            "give the data to train on (--data), or leave it out",
        )  # fmt: skip
    has_formats = any(axis.field.of == "precision" for axis in axes)
    wanted = precision or (Precision() if has_formats else None)
    network, own = read(wanted)
    fixed = own if wanted is None else None
    if not given.keys() - {"board", "part"}:
        rows = Workshop(network).most_rows(own or Precision())
        axes = axes_of({**given, **usual_axes(rows, own is None)})
    base = Base.of(hardware, precision)
    points = points_of(axes, base, fixed)
    return Study(name, axes, base, points, {point.number: network for point in points})
