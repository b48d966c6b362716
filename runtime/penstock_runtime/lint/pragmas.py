"""``#pragma HLS`` lines. clang knows none of them: they are found among the tokens of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OPERATORS = {"+", "-", "*", "/", "%", "<<", ">>", "(", ")", "."}
NAMES = {
    "AGGREGATE", "ALIAS", "ALLOCATION", "ARRAY_PARTITION", "ARRAY_RESHAPE", "BIND_OP",
    "BIND_STORAGE", "DATAFLOW", "DEPENDENCE", "DISAGGREGATE", "EXPRESSION_BALANCE",
    "FUNCTION_INSTANTIATE", "INLINE", "INTERFACE", "LATENCY", "LOOP_FLATTEN", "LOOP_MERGE",
    "LOOP_TRIPCOUNT", "OCCURRENCE", "PERFORMANCE", "PIPELINE", "PROTOCOL", "RESET", "STABLE",
    "STREAM", "TOP", "UNROLL",
}  # fmt: skip
"""The pragmas of UG1399."""


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file, whose path is relative to the project."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Token:
    """A token of C++ and where it begins."""

    text: str
    line: int
    offset: int


@dataclass(frozen=True, eq=False)
class Pragma:
    """``#pragma HLS NAME word key=value``. offset: of its begin in the file."""

    name: str
    words: tuple[str, ...]
    options: dict[str, str]
    at: Place
    offset: int

    @property
    def variable(self) -> str:
        """What it is about; empty if it is about the place where it stands."""
        return self.options.get("variable", "")


def find_pragmas(file: str, tokens: Sequence[Token], lines: Sequence[str]) -> list[Pragma]:
    """Every ``#pragma HLS`` of a file, in order. lines: the file's text."""
    found = []
    for index, token in enumerate(tokens):
        following = [one.text for one in tokens[index : index + 3]]
        if following == ["#", "pragma", "HLS"]:
            texts = [one.text for one in _rest_of_line(tokens[index:], lines)][3:]
            name, words, options = _parse(texts)
            found.append(Pragma(name, words, options, Place(file, token.line), token.offset))
        elif token.text == "_Pragma":  # what it says is not looked at
            found.append(Pragma("_Pragma", (), {}, Place(file, token.line), token.offset))
    return found


def _rest_of_line(tokens: Sequence[Token], lines: Sequence[str]) -> Iterable[Token]:
    """The tokens up to the end of the first one's line; a backslash continues it."""
    last = tokens[0].line
    while last <= len(lines) and lines[last - 1].rstrip().endswith("\\"):
        last += 1
    for token in tokens:
        if token.line > last:
            return
        yield token


def _parse(texts: Sequence[str]) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """A pragma's name in capitals, its bare words and its options."""
    name, words, options = texts[0].upper() if texts else "", [], {}
    index = 1
    while index < len(texts):
        if index + 1 < len(texts) and texts[index + 1] == "=":
            end = _end_of_value(texts, index + 2)
            options[texts[index].lower()] = "".join(texts[index + 2 : end])
            index = end
        else:
            words.append(texts[index])
            index += 1
    return name, tuple(words), options


def _end_of_value(texts: Sequence[str], start: int) -> int:
    """Where a value ends that begins at ``start``: operators join what is on both sides."""
    end = start + 1
    while end < len(texts) and (texts[end] in OPERATORS or texts[end - 1] in OPERATORS - {")"}):
        end += 1
    return min(end, len(texts))
