"""What the user says of a state dict's head."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.choices import Choices
from penstock.errors import PenstockError
from penstock.layers.head import ACTIVATIONS, PLACES

ASSUMED = "last"
"""Where a head runs if nothing says so."""
AT = {"last": "at the last step", "final": "on the final state", "step": "at every step"}


@dataclass(frozen=True)
class HeadOptions:
    """What a state dict does not say about its Linear head; see ``layers.DenseHead``.

    at: one of ``PLACES``; None is not said, and then the last step is assumed where all directions
    have ended there.
    """

    at: str | None = None
    activation: str = "none"

    @classmethod
    def of(cls, choices: Choices) -> HeadOptions | None:
        """What was chosen for the head; None if nothing was."""
        if choices.head is None and choices.head_activation is None:
            return None
        return cls(choices.head, choices.head_activation or "none")

    def __post_init__(self) -> None:
        if self.at is not None and self.at not in PLACES:
            raise PenstockError(
                f"a head can't run at {self.at!r}", "head options",
                f"choose one of {', '.join(PLACES)}",
            )  # fmt: skip
        if self.activation not in ACTIVATIONS:
            raise PenstockError(
                f"a head can't end in {self.activation!r}", "head options",
                f"choose one of {', '.join(ACTIVATIONS)}",
            )  # fmt: skip
