"""What a module's arguments must be; told in the user's terms before PyTorch sees them."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.errors import PenstockError
from penstock.layers.lstm import G_FUNCTIONS

WHERE = "penstock.nn.LSTM"


def check_arguments(arguments: Mapping[str, object]) -> None:
    """Refuse what ``LSTM(**arguments)`` can't be built from: raise PenstockError."""
    for name in ("input_size", "hidden_size", "num_layers"):
        _check_at_least(1, name, arguments[name], "it counts inputs, cells or layers")
    for name in ("bias", "batch_first", "bidirectional", "peephole"):
        if not isinstance(arguments[name], bool):
            raise PenstockError(
                f"{name} is {arguments[name]!r}, but must be True or False",
                WHERE,
                "pass the arguments after num_layers by name",
            )
    _check_projection(arguments["proj_size"], arguments["hidden_size"])
    _check_dropout(arguments["dropout"])
    _check_activation(arguments["cell_activation"])


def _check_at_least(least: int, name: str, value: object, hint: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise PenstockError(
            f"{name} is {value!r}, but must be an int of at least {least}", WHERE, hint
        )
    return value


def _check_projection(proj_size: object, hidden_size: object) -> None:
    hint = "0 means no projection"
    width = _check_at_least(0, "proj_size", proj_size, hint)
    if isinstance(hidden_size, int) and width >= hidden_size:
        raise PenstockError(
            f"proj_size is {width}, but must be smaller than hidden_size, {hidden_size}",
            WHERE,
            hint,
        )


def _check_dropout(dropout: object) -> None:
    is_number = isinstance(dropout, int | float) and not isinstance(dropout, bool)
    if not is_number or not 0 <= dropout <= 1:  # type: ignore[operator]
        raise PenstockError(
            f"dropout is {dropout!r}, but must be a number from 0 to 1",
            WHERE,
            "it is the probability that an output between two layers is zeroed in training",
        )


def _check_activation(cell_activation: object) -> None:
    if cell_activation not in G_FUNCTIONS:
        raise PenstockError(
            f"cell_activation is {cell_activation!r}, but must be 'tanh' or 'sigma'",
            WHERE,
            "'tanh' is PyTorch's; 'sigma' is the logistic function, as ESE prints it",
        )
