"""Which of the dictionaries in a training script's checkpoint is the network's state dict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from penstock.errors import PenstockError

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict beside the optimizer's."""
DEEPEST = 8
RECURRENT = re.compile(r"weight_ih|weight_hh|[ih]gates")
"""In a name of every recurrent module's tensors."""
OPTIMIZER = re.compile(r"optim|sched|scaler", re.IGNORECASE)

Dictionaries = dict[str, Mapping[Any, Any]]
"""By the keys that lead there, with dots between: ``model.state_dict``; the whole is ``""``."""


def network_in(loaded: Any, where: str, key: str | None = None) -> Any:
    """The dictionary that holds a network, wherever it is nested; ``loaded`` itself if none does.

    key: the one to take. Raises PenstockError for a key that is not there, and where several
    dictionaries could be meant.
    """
    found = dict(_dictionaries(loaded, "", 0, set()))
    if key is not None:
        return network_in(_under_key(found, key, where), where)
    networks = [path for path, values in found.items() if _holds_network(values)]
    if not networks:
        return _usual(loaded, found)
    if len(networks) > 1:
        raise PenstockError(
            f"{len(networks)} dictionaries in the file hold a network: "
            f"{', '.join(path or '(the whole)' for path in networks)}",
            where,
            "choose one with --key NAME",
        )
    beside = [
        path for path, values in found.items()
        if path and path not in networks and _holds_layers(values)
    ]  # fmt: skip
    if beside and networks[0]:
        raise PenstockError(
            f"the file holds {networks[0]} and, apart from it, layers in {', '.join(beside)}",
            where,
            f"--key {networks[0]} compiles that alone; else save one state dict of the whole model",
        )
    return found[networks[0]]


def _under_key(found: Dictionaries, key: str, where: str) -> Mapping[Any, Any]:
    if key and key in found:
        return found[key]
    chosen = [path for path in found if path.endswith(f".{key}")]
    if len(chosen) == 1:
        return found[chosen[0]]
    known = ", ".join(list(filter(None, chosen or found))[:20])
    raise PenstockError(
        f"there are {len(chosen)} dictionaries under the key {key}" if chosen
        else f"there is no dictionary under the key {key}",
        where,
        f"give one of {known}" if known else "leave out --key: the file holds one dictionary",
    )  # fmt: skip


def _dictionaries(
    value: Any, path: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """All dictionaries in dictionaries and lists, each once; a file may hold itself."""
    if id(value) in seen or depth > DEEPEST or OPTIMIZER.search(path):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        yield path, value
        inside: Any = value.items()
    else:
        inside = enumerate(value) if isinstance(value, list | tuple) else ()
    for name, part in inside:
        if isinstance(part, Mapping | list | tuple):
            deeper = f"{path}.{name}" if path else str(name)
            yield from _dictionaries(part, deeper, depth + 1, seen)


def _holds_network(values: Mapping[Any, Any]) -> bool:
    return any(
        hasattr(value, "shape") and RECURRENT.search(str(name)) for name, value in values.items()
    )


def _holds_layers(values: Mapping[Any, Any]) -> bool:
    """True if there is a weight matrix, or more: no vector of class weights, and no statistics."""
    return any(
        hasattr(value, "shape") and str(name).endswith("weight") and getattr(value, "ndim", 0) > 1
        for name, value in values.items()
    )


def _usual(loaded: Any, found: Dictionaries) -> Any:
    """Without a network: what is most likely meant to be one, so that it can be said."""
    for key in NESTED * 2:  # in whatever order they are nested
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    has_tensors = [
        values for values in found.values()
        if any(hasattr(value, "shape") for value in values.values())
    ]  # fmt: skip
    return has_tensors[0] if len(has_tensors) == 1 else loaded
