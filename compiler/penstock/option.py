"""Settings as the command line, penstock.toml and the docs know them: fields with an ``Option``.

A setting has a kind, by which it is read from words and from TOML, and written as both. So there
is one list of settings, the fields of the classes themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from penstock.errors import PenstockError
from penstock.fixed import Fixed, Overflow, Rounding

TYPE = re.compile(r"([su])(\d{1,3})\.(-?\d{1,3})(?: ([A-Z_]+) ([A-Z_]+))?")
USUAL = (Rounding.RND, Overflow.SAT)
"""What a type does where its text does not say it, as all types that the compiler chooses."""


@dataclass(frozen=True)
class Option:
    """What the command line says of a setting.

    name: of its option, if it has another than the field, or several; without a dash, it is an
    argument. choices: all values there are.
    """

    help: str
    name: str = ""
    metavar: str | None = None
    choices: tuple[str, ...] = ()


class Kind(StrEnum):
    """What a setting holds, as an error says it."""

    FLAG = "true or false"
    INTEGER = "an integer"
    NUMBER = "a number"
    TEXT = "text"
    FILE = "the name of a file"
    BITS = "a number of bits, or a type such as s16.12"
    TEXTS = "a list of texts"
    TYPES = "a type such as s16.12 for each tensor"
    EXPONENTS = "integers for each matrix"


KINDS: dict[Any, Kind] = {
    bool: Kind.FLAG, int: Kind.INTEGER, float: Kind.NUMBER, str: Kind.TEXT, Path: Kind.FILE,
    int | Fixed: Kind.BITS, tuple[str, ...]: Kind.TEXTS, dict[str, Fixed]: Kind.TYPES,
    dict[str, list[int]]: Kind.EXPONENTS,
}  # fmt: skip
OF_NAMES = (Kind.TYPES, Kind.EXPONENTS)
REPEATED = (Kind.TEXTS, *OF_NAMES)


@dataclass(frozen=True)
class Setting:
    """A field. default: None where something else decides if it is left out."""

    name: str
    option: Option
    default: Any
    kind: Kind

    @property
    def names(self) -> tuple[str, ...]:
        """Those of its option, the long one last."""
        return tuple(self.option.name.split()) or ("--" + self.name.replace("_", "-"),)

    def from_plain(self, value: Any) -> Any:
        """The setting of what TOML holds. Raises ValueError for a value of another kind."""
        return _FROM_PLAIN[self.kind](value)

    def from_words(self, given: Any) -> Any:
        """The setting of what the command line was given. Raises ValueError."""
        if self.kind is Kind.BITS:
            return int(given) if re.fullmatch(r"-?[0-9]{1,9}", given) else read_type(given)
        if self.kind in OF_NAMES:
            return dict(self._named(word) for word in given)
        return tuple(given) if self.kind is Kind.TEXTS else given

    def _named(self, word: str) -> tuple[str, Any]:
        name, _, value = word.rpartition("=")
        if not name:
            raise ValueError(f"{word[:40]!r} has no name before an =")
        if self.kind is Kind.TYPES:
            return name, read_type(value)
        parts = value.split(",")
        if not all(re.fullmatch("-?[0-9]{1,9}", part) for part in parts):
            raise ValueError(f"{value[:40]!r} is not a list of integers")
        return name, [int(part) for part in parts]

    def to_plain(self, value: Any) -> Any:
        """As TOML and JSON hold it."""
        if isinstance(value, Fixed):
            return type_text(value)
        if self.kind is Kind.TYPES:
            return {name: type_text(dtype) for name, dtype in value.items()}
        if self.kind is Kind.EXPONENTS:
            return {name: [int(one) for one in rows] for name, rows in value.items()}
        return list(value) if self.kind is Kind.TEXTS else value

    def to_words(self, value: Any) -> list[str]:
        """As the command line is given it."""
        name, plain = self.names[-1], self.to_plain(value)
        if self.kind is Kind.FLAG:
            return [name if value else "--no-" + name.removeprefix("--")]
        if self.kind is Kind.EXPONENTS:
            plain = {key: ",".join(map(str, rows)) for key, rows in plain.items()}
        if isinstance(plain, dict):
            plain = [f"{key}={one}" for key, one in plain.items()]
        if isinstance(plain, list):
            return [word for one in plain for word in (name, one)]
        text = digits(plain)
        return [name, text] if name.startswith("-") else [text]


def digits(value: Any) -> str:
    """A number without needless digits, such as 0.1 and 200, but with all that tell it from others;
    anything else as it is.
    """
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


_FOUND: dict[Any, dict[str, Setting]] = {}


def settings_of(owner: type[Any]) -> dict[str, Setting]:
    """The fields of a class that have an ``Option``, by their names."""
    if owner not in _FOUND:
        _FOUND[owner] = _settings(owner)
    return _FOUND[owner]


def _settings(owner: type[Any]) -> dict[str, Setting]:
    defaults = {
        item.name: None if item.default is MISSING and item.default_factory is MISSING
        else item.default_factory() if item.default_factory is not MISSING else item.default
        for item in fields(owner)
    }  # fmt: skip
    found = {}
    for name, hint in get_type_hints(owner, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Option):
                found[name] = Setting(name, note, defaults[name], _kind(hint.__origin__))
    return found


def _kind(hint: Any) -> Kind:
    """Of ``int | None``: that of ``int``."""
    if get_origin(hint) is UnionType:
        left = [part for part in get_args(hint) if part is not NoneType]
        hint = left[0] if len(left) == 1 else int | Fixed
    return KINDS[hint]


def words_of(settings: Any) -> list[str]:
    """The options that give these settings: those that are not the defaults."""
    return [
        word
        for name, setting in settings_of(type(settings)).items()
        if not is_default(settings, name)
        for word in setting.to_words(getattr(settings, name))
    ]


def is_default(settings: Any, name: str) -> bool:
    """True if the settings are the same without this one: a clock that is the board's, say."""
    default = settings_of(type(settings))[name].default
    if default is not None or getattr(settings, name) is None:
        return bool(getattr(settings, name) == default)
    values = {one: getattr(settings, one) for one in settings_of(type(settings))}
    try:
        return bool(type(settings)(**values | {name: None}) == settings)
    except PenstockError:  # the others need it
        return False


def read_type(text: str) -> Fixed:
    """``s16.12``: signed, 16 bits, 12 of them fraction; rounded to nearest, saturated.

    ``s16.12 TRN WRAP`` says it otherwise, with the modes of ap_fixed. Raises ValueError.
    """
    found = TYPE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a type such as s16.12")
    sign, width, frac, rounding, overflow = found.groups()
    modes = USUAL
    if rounding is not None:
        modes = Rounding(f"AP_{rounding}"), Overflow(f"AP_{overflow}")
    return Fixed(int(width), int(frac), sign == "s", *modes)


def type_text(dtype: Fixed) -> str:
    """What ``read_type`` reads."""
    modes = (dtype.rounding, dtype.overflow)
    return str(dtype) if modes == USUAL else f"{dtype} {dtype.rounding.name} {dtype.overflow.name}"


def _plain(*kinds: type[Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) not in kinds:
            raise ValueError
        return value

    return check


def _number(value: Any) -> float:
    return float(_plain(int, float)(value))


def _bits(value: Any) -> int | Fixed:
    return read_type(value) if isinstance(value, str) else int(_plain(int)(value))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_plain(str)(one) for one in _plain(list)(value))


def _types(value: Any) -> dict[str, Fixed]:
    return {name: read_type(_plain(str)(one)) for name, one in _plain(dict)(value).items()}


def _exponents(value: Any) -> dict[str, list[int]]:
    return {
        name: [_plain(int)(one) for one in _plain(list)(rows)]
        for name, rows in _plain(dict)(value).items()
    }


_FROM_PLAIN: dict[Kind, Callable[[Any], Any]] = {
    Kind.FLAG: _plain(bool), Kind.INTEGER: _plain(int), Kind.NUMBER: _number,
    Kind.TEXT: _plain(str), Kind.FILE: lambda value: Path(_plain(str)(value)), Kind.BITS: _bits,
    Kind.TEXTS: _texts, Kind.TYPES: _types, Kind.EXPONENTS: _exponents,
}  # fmt: skip
