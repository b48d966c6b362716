"""The axes of a design space: settings of the compiler, each with the values that are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, get_args, get_origin, get_type_hints

from penstock.errors import PenstockError, kind_of
from penstock.option import Option, digits
from penstock.settings import Hardware, Precision

AUTO = "auto"
"""As a value: what ``compile`` takes where the setting is not given."""
SWITCHES = {"yes": True, "no": False}
MOST_VALUES = 1000
"""Of an axis."""
TRAINED = {"density": "--density", "weights": "--weight-bits"}
"""What a network may be trained for, point by point."""


@dataclass(frozen=True)
class Field:
    """A setting that can be an axis. of: the settings that it belongs to; kind: of its values.

    option: its name on the command line; default: its value where it is not given.
    """

    name: str
    of: str
    option: str
    help: str
    kind: type[Any]
    default: Any

    @property
    def title(self) -> str:
        """As a heading: the option without its dashes."""
        return self.option.removeprefix("--")

    @property
    def takes_lists(self) -> bool:
        """False for text that has commas itself."""
        return self.name != "part_resources"

    def shown(self, value: Any) -> str:
        """A value as the command line takes it."""
        if value is None:
            return AUTO
        if isinstance(value, bool):
            return "yes" if value else "no"
        return digits(value)

    def words(self, value: Any) -> list[str]:
        """The options of ``penstock compile`` that give this value; none for the default."""
        if value is None or value == self.default:
            return []
        if self.kind is bool:
            return [self.option if value else f"--no-{self.title}"]
        return [self.option, self.shown(value)]


@dataclass(frozen=True)
class Axis:
    """A setting and the values that it takes, without repetitions."""

    field: Field
    values: tuple[Any, ...]


def _fields_of(settings: type[Any], of: str) -> Iterable[Field]:
    defaults = {item.name: item.default for item in fields(settings)}
    for name, hint in get_type_hints(settings, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Option):
                if get_origin(hint.__origin__) is dict:  # by tensor, or by matrix
                    continue
                kinds = get_args(hint.__origin__) or (hint.__origin__,)
                kind = next(one for one in kinds if one in (bool, int, float, str))
                option = note.name or "--" + name.replace("_", "-")
                yield Field(name, of, option, note.help, kind, defaults[name])


def known_fields() -> dict[str, Field]:
    """Every setting that can be an axis, by its name in ``Hardware`` or ``Precision``."""
    found = [*_fields_of(Hardware, "hardware"), *_fields_of(Precision, "precision")]
    return {field.name: field for field in found}


DENSITY = Field(
    "density", "recipe", "--density", "Share of weights kept, where it is trained.", float, 0.1
)


def axes_of(given: Mapping[str, Any]) -> tuple[Axis, ...]:
    """Axes by name, each with a value or any number of them. Raises PenstockError."""
    known = {DENSITY.name: DENSITY} | known_fields()
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"the axes are {', '.join(known)}"
            raise PenstockError(f"there is no axis {name!r}", "axes", hint)
    return tuple(
        Axis(field, _distinct(field, given[name]))
        for name, field in known.items() if name in given
    )  # fmt: skip


def _distinct(field: Field, given: Any) -> tuple[Any, ...]:
    is_one = given is None or isinstance(given, str | int | float) or not _is_iterable(given)
    found = tuple(dict.fromkeys(_checked(field, value) for value in ([given] if is_one else given)))
    if not found:
        raise PenstockError("an axis without values", field.name, "give one at least")
    if len(found) > MOST_VALUES:
        raise PenstockError(
            f"an axis of {len(found):,} values", field.name, f"give {MOST_VALUES:,} at most"
        )
    return found


def _is_iterable(value: Any) -> bool:
    return hasattr(value, "__iter__")


def _checked(field: Field, value: Any) -> Any:
    """A value of the axis' own kind. Raises PenstockError."""
    if value is None or value == AUTO:
        if field.default == AUTO:
            return AUTO
        if field.default is None:
            return None
        if value == AUTO and field.kind is str:  # the settings know whether they have it
            return AUTO
    elif field.kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif hasattr(value, "item") and not isinstance(value, str | int | float):  # of NumPy
        return _checked(field, value.item())
    elif isinstance(value, field.kind) and (field.kind is bool) is isinstance(value, bool):
        return value
    raise PenstockError(
        f"{kind_of(value)} ({value}) is no value of this axis", field.name,
        f"give {_wanted(field)}",
    )  # fmt: skip


def _wanted(field: Field) -> str:
    wanted = {
        bool: "yes or no", int: "an integer", float: "a number", str: "a word",
    }[field.kind]  # fmt: skip
    return f"{wanted}, or {AUTO}" if field.default in (None, AUTO) else wanted


def values_of(field: Field, text: str) -> tuple[Any, ...]:
    """``8,16,32``, ``8..12`` or ``50..200/50`` -> the values, in this order. Raises PenstockError.

    A range holds both its ends, in steps of 1, or of what stands behind the slash.
    """
    if not field.takes_lists:
        return (text,)
    found: list[Any] = []
    for part in text.split(","):
        found += _part(field, part.strip(), text)
    return tuple(dict.fromkeys(found))


def _part(field: Field, part: str, text: str) -> list[Any]:
    """One value, or those of a range."""
    example = {
        bool: "yes,no", int: "8,16,32 or 8..12", float: "0.1,0.2 or 100..300/50", str: "a,b",
    }[field.kind]  # fmt: skip
    hint = f"give {example}"
    if not part:
        raise PenstockError(f"{text!r} has an empty value", field.option, hint)
    if part == AUTO and (field.default is None or field.default == AUTO):
        return [AUTO if field.default == AUTO else None]
    try:
        if field.kind is bool:
            return [SWITCHES[part]]
        if field.kind is str:
            return [part]
        if ".." not in part:
            return [field.kind(part)]
        return _range(field, part)
    except (KeyError, ValueError, OverflowError) as error:
        raise PenstockError(f"{part!r} is not {_wanted(field)}", field.option, hint) from error


def _range(field: Field, part: str) -> list[Any]:
    """Both ends included. Raises ValueError for no range at all, PenstockError for an empty one."""
    ends, _, by = part.partition("/")
    first, _, last = ends.partition("..")
    low, high, step = field.kind(first), field.kind(last), field.kind(by or 1)
    if step <= 0 or not abs(high - low) < float("inf"):
        raise ValueError(part)
    if high < low:
        raise PenstockError(f"the range {part} is empty", field.option, f"write it {last}..{first}")
    count = int((high - low) / step + 1e-9) + 1
    if count > MOST_VALUES:
        raise PenstockError(
            f"the range {part} has {count:,} values", field.option,
            f"give {MOST_VALUES:,} at most, or a step: {ends}/STEP",
        )  # fmt: skip
    return [low + k * step for k in range(count)]
