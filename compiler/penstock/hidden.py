"""Initial and final states: as PyTorch stacks them, or by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.arrays import as_array
from penstock.errors import PenstockError

LETTERS = {"h": "y", "c": "c"}
"""PyTorch's letter of a state -> how the names of our states end that its array holds."""


def stacks(names: Iterable[str]) -> dict[str, list[str]]:
    """Letter -> the states whose values are one array of PyTorch's, if it has any."""
    names = list(names)
    found = {
        letter: [name for name in names if name.endswith(f".{part}")]
        for letter, part in LETTERS.items()
    }
    return {letter: own for letter, own in found.items() if own}


def by_name(given: Any, names: Iterable[str], where: str) -> dict[str, Any]:
    """A state, given as one of the forms that people have -> name -> (sequences, n).

    given: by name already; PyTorch's ``(h_0, c_0)``, or ``h_0`` alone; or these by their names
    (also ``h_n`` and ``c_n``), each (layers * directions, sequences, n), or without the sequences.
    What is not given is left out. Raises PenstockError.
    """
    arrays = _arrays(given, where)
    if arrays is None:
        return dict(given)
    known, found = stacks(names), dict[str, Any]()
    for letter, values in arrays.items():
        own = known.get(letter, [])
        if not own:
            raise PenstockError(
                f"{letter}_0 is given, but the network has no such state",
                where,
                f"its states are {', '.join(sorted(names)) or 'none'}",
            )
        array = as_array(values, where)
        array = array[:, None] if array.ndim == 2 else array
        if array.ndim != 3 or len(array) != len(own):
            raise PenstockError(
                f"{letter}_0 has shape {array.shape}, not ({len(own)}, sequences, n)",
                where,
                "give (layers * directions, sequences, n) as in torch",
            )
        found |= dict(zip(own, array, strict=True))
    return found


def _arrays(given: Any, where: str) -> dict[str, Any] | None:
    """Letter -> array; None for a state by name."""
    if isinstance(given, Mapping):
        found = {letter: given.get(f"{letter}_0", given.get(f"{letter}_n")) for letter in LETTERS}
        found = {letter: values for letter, values in found.items() if values is not None}
        return found or None
    parts = given if isinstance(given, tuple | list) else (given,)
    if not 1 <= len(parts) <= len(LETTERS):
        raise PenstockError(
            f"{len(parts)} arrays are not a state", where, "give (h_0, c_0) as in torch"
        )
    return {letter: part for letter, part in zip(LETTERS, parts, strict=False) if part is not None}
