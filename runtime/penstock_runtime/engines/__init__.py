"""The engines that an interpreter can run on, by name. All give the bits of the reference."""

from __future__ import annotations

import functools
from collections.abc import Callable

from penstock.errors import PenstockError, warn
from penstock.ir.engine import Engine, Executable
from penstock.ir.evaluate import ReferenceEngine
from penstock.ir.graph import Graph

AUTO = "auto"
"""The fast engine where it can be had, else the reference."""
REFERENCE = ReferenceEngine().name


class UnavailableError(Exception):
    """Why this machine can't have an engine, in a few words."""


def _native() -> Engine:
    from penstock_runtime.engines.native import NativeEngine  # what builds it takes time to load

    return NativeEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"native": _native, REFERENCE: ReferenceEngine}


Prepared = tuple[str, Executable]
"""An engine's name, and the graph that it has prepared."""


def preparation(engine: Engine | str) -> Callable[[Graph], Prepared]:
    """How an engine, or the one of a name, prepares a graph. Raises PenstockError for another name.

    So does what is returned, if the machine can't have the engine that is asked for.
    """
    if not isinstance(engine, str):
        return lambda graph: (engine.name, engine.prepare(graph))
    if engine == AUTO:
        return _automatic
    if engine not in ENGINES:
        choices = ", ".join([AUTO, *sorted(ENGINES)])
        raise PenstockError(f"unknown engine {engine!r}", "engine", f"choose {choices}")
    return functools.partial(_prepared, engine)


def _prepared(name: str, graph: Graph) -> Prepared:
    try:
        return name, ENGINES[name]().prepare(graph)
    except UnavailableError as error:
        raise PenstockError(
            f"the {name} engine can't be had: {error}", "engine", f"take {AUTO}, or numpy"
        ) from error


def _automatic(graph: Graph) -> Prepared:
    try:
        return "native", _native().prepare(graph)
    except UnavailableError as error:
        _note(str(error))
        return REFERENCE, ReferenceEngine().prepare(graph)


@functools.cache
def _note(reason: str) -> None:
    """Once."""
    warn(f"the interpreter runs on NumPy, many times slower than it could: {reason}")
