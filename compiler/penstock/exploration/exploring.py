"""``penstock.explore``: a design space of a network, and its Pareto front."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from penstock.calibration import Ranges
from penstock.entry import load
from penstock.errors import PenstockError
from penstock.exploration.cluster import Cluster
from penstock.exploration.local import Local
from penstock.exploration.network import Network
from penstock.exploration.result import Constraints, Exploration
from penstock.exploration.search import Progress, Search
from penstock.exploration.space import Base, Point
from penstock.exploration.store import Store
from penstock.exploration.study import study_of
from penstock.exploration.trainings import Trainings
from penstock.fidelity import Validation
from penstock.fixed import FloatArray, IntArray
from penstock.frontend import HeadOptions
from penstock.frontend.given import check_arguments
from penstock.settings import Hardware, Precision


def explore(
    module: Any,
    axes: Mapping[str, Any] | None = None,
    calibration: FloatArray | Ranges | None = None,
    hardware: Hardware | None = None,
    precision: Precision | None = None,
    head: HeadOptions | None = None,
    *,
    key: str | None = None,
    only: Sequence[str] = (),
    calibration_lengths: IntArray | None = None,
    calibration_states: Any = None,
    validation: Validation | None = None,
    regression: bool = False,
    batch_first: bool = True,
    target_us: float | None = None,
    fit: str | None = None,
    max_error: float | None = None,
    max_loss: float | None = None,
    jobs: int | None = 1,
    scheduler: str | None = None,
    store: str | PathLike[str] | None = None,
    progress: Progress = lambda work, done, of: None,
) -> Exploration:
    """Price every combination of the axes' values, as ``compile`` would, and find the best.

    module, and what is not named here: as in ``compile``; or ``Trainings``, which train a network
    for each density and weight width. axes: names of settings (fields of ``Hardware`` and
    ``Precision``, and ``density``) -> values; None stands for the compiler's choice. Without any,
    some numbers of PEs and, if they are free, of weight bits. Other settings are those of
    ``hardware`` and ``precision``.

    target_us: of a step, at most. fit: a board, which all points are built for and must fit for
    certain. max_error: RMS error of the outputs over their RMS. max_loss: of accuracy (0.01 is one
    point), R2 or mean squared error, against the float network; needs labels in ``validation``, or
    a training.

    jobs: processes, for which a script needs the usual ``if __name__ == "__main__":``; None: as
    many as there are processors. scheduler: the address of a
    dask.distributed scheduler, whose workers take their place. store: an SQLite file in which
    results are kept and found again. progress: called with what is done, how much of it, and of how
    much.

    Points that are refused or do not fit are part of the result. Raises PenstockError for anything
    that concerns all points.
    """
    check_arguments({
        "hardware": (hardware, Hardware), "precision": (precision, Precision),
        "head": (head, HeadOptions), "validation": (validation, Validation),
    })  # fmt: skip
    constraints = _constraints(target_us, fit, max_error, max_loss)
    given = dict(axes or {})
    if fit is not None:
        _take_board(given, hardware, fit)
    trains = isinstance(module, Trainings)
    if max_loss is not None and not trains and (validation is None or validation.y is None):
        raise PenstockError(
            "nothing says what a loss is measured by", "--max-loss",
            "give labels: --validate FILE.npz with x and y",
        )  # fmt: skip
    if trains:
        _refuse_what_trainings_have({
            "calibration": calibration, "precision": precision, "validation": validation,
            "head": head, "key": key, "only": only or None, "regression": regression or None,
            "calibration_lengths": calibration_lengths, "calibration_states": calibration_states,
            "batch_first": None if batch_first else False,
        })  # fmt: skip

    def read(wanted: Precision | None) -> tuple[Network, Precision | None]:
        loaded = load(
            module, calibration, wanted, head, key=key, only=only, batch_first=batch_first,
            regression=regression,
        )  # fmt: skip
        network = Network.of(loaded, calibration_lengths, calibration_states, validation)
        return network, loaded.precision

    with Store(None if store is None else Path(store)) as kept, _pool(jobs, scheduler) as pool:
        if trains:
            study = module.study(given, Base.of(hardware, None), kept, progress)
        else:
            name = str(module) if isinstance(module, str | PathLike) else type(module).__name__
            study = study_of(name, given, hardware, precision, read)
        _refuse_settings(study.points)
        search = Search(
            study.points, study.networks, study.trainings, constraints, kept, pool, progress
        )
        nearest = search.nearest(search.run())
        return Exploration(
            study.name, study.axes, study.base, constraints, tuple(search.found()), nearest,
            study.models,
        )  # fmt: skip


def _refuse_settings(points: Sequence[Point]) -> None:
    """What is wrong with the settings of all points is no property of any."""
    refusals = {point.refusal for point in points}
    if len(refusals) == 1 and (refusal := refusals.pop()) is not None:
        raise PenstockError(refusal.what, refusal.where, refusal.hint)


def _refuse_what_trainings_have(given: Mapping[str, Any]) -> None:
    """A training has data and number formats of its own, and a module that says what it computes.

    given: arguments by name, None where they say nothing. Raises PenstockError.
    """
    vain = [name for name, value in given.items() if value is not None]
    if vain:
        raise PenstockError(
            f"a network that is trained takes no {vain[0]}: its own data, module and number "
            "formats say it", "explore", f"leave out {', '.join(vain)}",
        )  # fmt: skip


def _constraints(
    target_us: float | None, fit: str | None, max_error: float | None, max_loss: float | None
) -> Constraints:
    for name, value in (("target_us", target_us), ("max_error", max_error)):
        if value is not None and not value > 0:
            raise PenstockError(f"{name} is {value:g}", "constraints", "give more than 0")
    if max_loss is not None and max_loss != max_loss:
        raise PenstockError("max_loss is no number", "constraints", "such as 0.01")
    return Constraints(target_us, fit is not None, max_error, max_loss)


def _take_board(given: dict[str, Any], hardware: Hardware | None, fit: str) -> None:
    """``fit`` is the board of all points."""
    own = hardware or Hardware()
    if "board" in given or "part" in given or own.names_device:
        raise PenstockError(
            "fit names the board that all points are built for", "--fit",
            "leave out --board and --part, or fit",
        )  # fmt: skip
    given["board"] = fit


def _pool(jobs: int | None, scheduler: str | None) -> Local | Cluster:
    if jobs is not None and jobs < 1:
        raise PenstockError(f"{jobs} jobs", "--jobs", "give 1 or more")
    if scheduler is not None:
        return Cluster(scheduler)
    return Local(jobs or os.cpu_count() or 1)
