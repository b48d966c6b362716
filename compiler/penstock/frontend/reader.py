"""Takes a checkpoint's tensors by name, and says what was wrong with one."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.errors import PenstockError
from penstock.fixed import FloatArray


@dataclass
class Reader:
    """Takes tensors by name; what is left over in the end is unknown."""

    tensors: dict[str, FloatArray]
    where: str
    left: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.left = set(self.tensors)

    def take(self, name: str, wanted: tuple[int, ...], because: str) -> FloatArray:
        """A tensor of this shape. Raises PenstockError with ``because`` as its hint."""
        if name not in self.tensors:
            raise PenstockError(f"{name} is missing", self.where, f"it is needed because {because}")
        value = self.tensors[name]
        self.left.discard(name)
        if value.shape != wanted:
            raise PenstockError(
                f"{name} is {shape(value.shape)}, not {shape(wanted)}",
                self.where,
                f"{because}; was the checkpoint saved from another model?",
            )
        return value


def some(names: object) -> str:
    """The first three names, and how many more there are."""
    listed = sorted(names)  # type: ignore[call-overload]
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def shape(sizes: tuple[int, ...]) -> str:
    """``24 x 4``."""
    return " x ".join(map(str, sizes)) or "a scalar"
