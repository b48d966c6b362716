"""What a network in the making consists of, besides its places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.frontend.follow.labels import Labels


@dataclass(frozen=True)
class Value:
    """A value of the network. is_state: an initial state, which comes from outside."""

    name: str
    width: int
    is_once: bool = False
    is_state: bool = False


@dataclass
class Loop:
    """A recurrent layer that the model steps through itself. x: the frame that it takes.

    numbers: state -> value; step: where it stands; by: 1 or -1, once that is known.
    """

    key: Any
    x: Labels
    numbers: dict[str, int]
    step: int
    by: int = 0
