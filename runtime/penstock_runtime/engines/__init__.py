"""The engines that an interpreter can run on, by name. All give the bits of the reference."""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.ir.engine import Engine
from penstock.ir.evaluate import ReferenceEngine

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (ReferenceEngine(),)}


def engine_of(engine: Engine | str) -> Engine:
    """The engine of a name, or the one that is given. Raises PenstockError for another name."""
    if not isinstance(engine, str):
        return engine
    if engine not in ENGINES:
        raise PenstockError(
            f"unknown engine {engine!r}", "engine", f"choose {', '.join(sorted(ENGINES))}"
        )
    return ENGINES[engine]
