"""clang's statements, as the rules need them; each block gets the pragmas that stand in it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Protocol

from penstock_runtime.lint.libclang import initial_value
from penstock_runtime.lint.pragmas import Place, Pragma
from penstock_runtime.lint.tree import (
    Block,
    Construct,
    Declare,
    Do,
    Expr,
    If,
    Loop,
    Return,
    Skipped,
    Statement,
    Variable,
)

LONG_TABLE = 64
"""Tables of so many entries are not read: nothing depends on what they hold."""
IGNORED = (
    "ENUM_DECL",
    "TYPEDEF_DECL",
    "TYPE_ALIAS_DECL",
    "STATIC_ASSERT",
    "USING_DECLARATION",
    "STRUCT_DECL",
)


class Source(Protocol):
    """What statements need to know of the kernel."""

    def place_of(self, cursor: Any) -> Place:
        """The line of a cursor."""

    def variable_of(self, cursor: Any) -> Variable:
        """The variable of a declaration."""

    def expression(self, cursor: Any) -> Any:
        """An expression."""

    def pragmas_within(self, file: str, start: int, end: int) -> list[Pragma]:
        """The pragmas between two offsets."""


class StatementReader:
    """Reads statements."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._readers: dict[str, Callable[[Any, str], list[Statement]]] = {
            "COMPOUND_STMT": lambda cursor, label: [self._block(cursor)],
            "DECL_STMT": self._declarations,
            "LABEL_STMT": self._labelled,
            "FOR_STMT": self._for,
            "WHILE_STMT": self._while,
            "IF_STMT": self._if,
            "RETURN_STMT": self._return,
            "NULL_STMT": lambda cursor, label: [],
        }

    def body(self, function: Any) -> Block:
        """The body of a function."""
        for child in function.get_children():
            if child.kind.name == "COMPOUND_STMT":
                return self._block(child)
        return Block(self._source.place_of(function), (), ())

    def _read(self, cursor: Any, label: str = "") -> list[Statement]:
        reader = self._readers.get(cursor.kind.name)
        if reader is not None:
            return reader(cursor, label)
        at = self._source.place_of(cursor)
        if cursor.kind.is_expression():
            return [Do(at, self._source.expression(cursor))]
        return [Skipped(at, cursor.kind.name.lower().replace("_", " "))]

    def _block(self, cursor: Any) -> Block:
        at, extent = self._source.place_of(cursor), cursor.extent
        found = self._source.pragmas_within(at.file, extent.start.offset, extent.end.offset)
        inner = _blocks_in(cursor)
        own = [one for one in found if not any(a < one.offset < b for a, b in inner)]
        items = [item for child in cursor.get_children() for item in self._read(child)]
        return Block(at, tuple(items), tuple(own))

    def _as_block(self, cursor: Any) -> Block:
        if cursor.kind.name == "COMPOUND_STMT":
            return self._block(cursor)
        return Block(self._source.place_of(cursor), tuple(self._read(cursor)), ())

    def _declarations(self, cursor: Any, label: str) -> list[Statement]:
        found: list[Statement] = []
        for child in cursor.get_children():
            at = self._source.place_of(child)
            if child.kind.name == "VAR_DECL":
                found.append(Declare(at, self._source.variable_of(child), self._init(child)))
            elif child.kind.name not in IGNORED:
                found.append(Skipped(at, child.kind.name.lower().replace("_", " ")))
        return found

    def _init(self, cursor: Any) -> Expr | None:
        """The initial value; None for the constructor that AMD's types and structs have anyway."""
        init = initial_value(cursor)
        if init is None:
            return None
        own = self._source.variable_of(cursor).type
        if prod(own.dims) >= LONG_TABLE:
            return Construct(self._source.place_of(cursor), own, (), is_list=True)
        value: Expr = self._source.expression(init)
        is_default = isinstance(value, Construct) and not value.arguments and not value.is_list
        return None if is_default else value

    def _labelled(self, cursor: Any, label: str) -> list[Statement]:
        return [
            item
            for child in cursor.get_children()
            if not child.kind.is_reference()
            for item in self._read(child, cursor.spelling)
        ]

    def _for(self, cursor: Any, label: str) -> list[Statement]:
        at, parts = self._source.place_of(cursor), list(cursor.get_children())
        if len(parts) != 4:
            return [Skipped(at, "for without a start, a test or a step")]
        setup, test, step, body = parts
        first = self._read(setup)
        return [
            Loop(
                at, label, first[0] if len(first) == 1 else Skipped(at, "several counters"),
                self._source.expression(test), self._source.expression(step), self._as_block(body),
            )
        ]  # fmt: skip

    def _while(self, cursor: Any, label: str) -> list[Statement]:
        at, parts = self._source.place_of(cursor), list(cursor.get_children())
        if len(parts) != 2:
            return [Skipped(at, "while with a declaration")]
        condition = self._source.expression(parts[0])
        return [Loop(at, label, None, condition, None, self._as_block(parts[1]))]

    def _if(self, cursor: Any, label: str) -> list[Statement]:
        at, parts = self._source.place_of(cursor), list(cursor.get_children())
        if not 2 <= len(parts) <= 3 or not parts[0].kind.is_expression():
            return [Skipped(at, "if with a declaration")]
        other = self._as_block(parts[2]) if len(parts) == 3 else None
        test = self._source.expression(parts[0])
        return [If(at, test, self._as_block(parts[1]), other)]

    def _return(self, cursor: Any, label: str) -> list[Statement]:
        values = [self._source.expression(child) for child in cursor.get_children()]
        return [Return(self._source.place_of(cursor), values[0] if values else None)]


def _blocks_in(cursor: Any) -> list[tuple[int, int]]:
    """Where the blocks directly within a block begin and end."""
    found = []
    for child in cursor.get_children():
        if child.kind.name == "COMPOUND_STMT":
            found.append((child.extent.start.offset, child.extent.end.offset))
        elif child.kind.is_statement():
            found += _blocks_in(child)
    return found
