"""Names of tensors without what wraps a module, and the tensors under a prefix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.reader import some

WRAPPERS = ("module", "_orig_mod")
"""What DataParallel and torch.compile put in front of a module's own names, anywhere."""
OUTER = "model."
"""What a LightningModule often calls the network."""


def unwrapped(name: str) -> str:
    """``module.model._orig_mod.lstm.weight_ih_l0`` -> ``model.lstm.weight_ih_l0``."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def under(
    tensors: dict[str, FloatArray], prefixes: Sequence[str], where: str, notes: list[str]
) -> dict[str, FloatArray]:
    """The tensors under any of these prefixes, with or without what wraps them; the rest is noted.

    Raises PenstockError for a prefix that nothing stands under.
    """
    kept: set[str] = set()
    for prefix in prefixes:
        found = [name for name in tensors if _is_under(name, prefix.rstrip("."))]
        if not found:
            raise PenstockError(
                f"there is nothing under {prefix}", where, f"the file has {_tops(tensors)}"
            )
        kept.update(found)
    left = tensors.keys() - kept
    if left:
        notes.append(f"--only: {some(left)} {'are' if len(left) > 1 else 'is'} left out")
    return {name: value for name, value in tensors.items() if name in kept}


def _is_under(name: str, prefix: str) -> bool:
    plain = unwrapped(name)
    forms = (name, plain, plain.removeprefix(OUTER))
    return any(form == prefix or form.startswith(f"{prefix}.") for form in forms)


def _tops(names: Iterable[str]) -> str:
    return some({unwrapped(name).removeprefix(OUTER).split(".")[0] for name in names})
