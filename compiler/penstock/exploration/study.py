"""What an exploration is of: points, and the network of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from penstock.calibration import Ranges
from penstock.entry import load
from penstock.errors import PenstockError
from penstock.exploration.axes import Axis, axes_of
from penstock.exploration.evaluate import Workshop
from penstock.exploration.network import Network
from penstock.exploration.rows import Training
from penstock.exploration.space import Base, Point, points_of, usual_axes
from penstock.fidelity import Validation
from penstock.fixed import FloatArray, IntArray
from penstock.frontend import HeadOptions
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
    module: Any,
    given: Mapping[str, Any],
    hardware: Hardware | None,
    precision: Precision | None,
    head: HeadOptions | None,
    key: str | None,
    only: Sequence[str],
    regression: bool,
    batch_first: bool,
    calibration: FloatArray | Ranges | None,
    lengths: IntArray | None,
    states: Any,
    validation: Validation | None,
) -> Study:
    """Of a network that is there. given: the axes by name; a board alone leaves the usual ones.

    Raises PenstockError, also for number formats given to a checkpoint that carries its own.
    """
    axes = axes_of(given)
    if any(axis.field.of == "recipe" for axis in axes):
        raise PenstockError(
            "a density is an axis only of a training", "density",
            "give the data to train on (--data), or leave it out",
        )  # fmt: skip
    has_formats = any(axis.field.of == "precision" for axis in axes)
    wanted = precision or (Precision() if has_formats else None)
    loaded = load(
        module, calibration, wanted, head, key=key, only=only, batch_first=batch_first,
        regression=regression,
    )  # fmt: skip
    network = Network.of(loaded, lengths, states, validation)
    fixed = loaded.precision if wanted is None else None
    if not given.keys() - {"board", "part"}:
        rows = Workshop(network).most_rows(loaded.precision or Precision())
        axes = axes_of({**given, **usual_axes(rows, loaded.precision is None)})
    base = Base.of(hardware, precision)
    points = points_of(axes, base, fixed)
    name = str(module) if isinstance(module, str | PathLike) else type(module).__name__
    return Study(name, axes, base, points, {point.number: network for point in points})
