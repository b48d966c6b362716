"""The user's own module: found by name, made, and given its weights."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError, kind_of


def load_factory(text: str) -> Callable[[], Any]:
    """The function that ``file.py:function`` or ``package.module:function`` names.

    Raises PenstockError if there is none.
    """
    source, colon, name = text.rpartition(":")
    if not colon or not source or not name:
        raise PenstockError(
            f"{text!r} does not name a factory",
            "FACTORY",
            "give file.py:function or module:function",
        )
    try:
        module = _load_file(Path(source)) if source.endswith(".py") else _load_module(source)
    except PenstockError:
        raise
    except Exception as error:  # it is the user's program that runs here
        raise PenstockError(
            f"{source} can't be loaded: {type(error).__name__}: {error}",
            "FACTORY",
            "run it on its own to see why",
        ) from error
    made = getattr(module, name, None)
    if not callable(made):
        raise PenstockError(f"{source} has no function {name}", "FACTORY", "check its name")
    return lambda: _made(made, text)


def _made(factory: Callable[[], Any], text: str) -> Any:
    """The module of a factory. Raises PenstockError if it fails, or gives something else."""
    try:
        module = factory()
    except PenstockError:
        raise
    except Exception as error:  # it is the user's program that runs here
        first = (str(error).strip() or "no reason given").splitlines()[0]
        raise PenstockError(
            f"{text} fails: {type(error).__name__}: {first}",
            "FACTORY",
            "run it on its own to see why; it is called without arguments",
        ) from error
    if not hasattr(module, "named_modules") or isinstance(module, type):
        raise PenstockError(
            f"{text} gives {kind_of(module)}",
            "FACTORY",
            "let it return the torch.nn.Module to compress",
        )
    return module


def _load_module(name: str) -> Any:
    sys.path.insert(0, "")
    return importlib.import_module(name)


def _load_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise PenstockError("there is no such file", str(path), "check the path")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_weights(make: Callable[[], Any], weights: Path | None) -> Callable[[], Any]:
    """A factory whose module has the weights of a checkpoint, if one is given.

    Raises PenstockError (when it is called) for one of another model.
    """
    if weights is None:
        return make

    def made() -> Any:
        from penstock.frontend import load_weights

        module = make()
        load_weights(module, weights)
        return module

    return made
