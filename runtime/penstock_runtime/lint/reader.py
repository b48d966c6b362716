"""The kernel of a project, read from clang's tree: its functions, variables and pragmas."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_runtime.lint.cpp_types import type_of
from penstock_runtime.lint.expressions import ExpressionReader
from penstock_runtime.lint.libclang import bindings, initial_value, parse
from penstock_runtime.lint.pragmas import Place, Pragma, Token, find_pragmas
from penstock_runtime.lint.statements import StatementReader
from penstock_runtime.lint.tree import Function, Variable

TOP_FUNCTION = "lstm_top"
FUNCTIONS = ("FUNCTION_DECL", "CXX_METHOD")


@dataclass(frozen=True)
class Error:
    """What clang says of a line that it can't read."""

    at: Place
    what: str


class Kernel:
    """The functions that the top function needs, and what stands at file scope.

    functions: in the order in which they are met from the top on, by Callee.key. tables: variables
    at file scope or static, with the number of initial values. pragmas: all, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._files: dict[str, tuple[str, str]] = {}
        self._unit = parse(self.folder)
        self.errors = self._errors()
        self.pragmas: list[Pragma] = []
        self.functions: dict[str, Function] = {}
        self.variables: dict[tuple[str, int], Variable] = {}
        self.globals: dict[str, Variable] = {}
        self.constants: dict[str, int] = {}
        self.top: Function | None = None
        self._of_file: dict[str, list[Pragma]] = {}
        self._waiting: list[tuple[str, Any]] = []
        if not self.errors:
            self._read()

    def _errors(self) -> list[Error]:
        serious = bindings().Diagnostic.Error
        return [
            Error(self.place_of(told), told.spelling)
            for told in self._unit.diagnostics
            if told.severity >= serious
        ]

    def _read(self) -> None:
        for file in self._own_files():
            self._of_file[file] = self._pragmas_of(file)
            self.pragmas += self._of_file[file]
        self._expressions = ExpressionReader(
            self.place_of, self.origin_of, self.variable_of, self._meet
        )
        self._statements = StatementReader(self)
        for cursor in self._at_file_scope(self._unit.cursor):
            if cursor.kind.name == "VAR_DECL":
                self._read_global(cursor)
            elif cursor.spelling == TOP_FUNCTION and cursor.is_definition():
                self._meet(cursor.get_usr(), cursor)
        while self._waiting:
            key, cursor = self._waiting.pop(0)
            self.functions[key] = self._function(key, cursor)
        self.top = next((f for f in self.functions.values() if f.name == TOP_FUNCTION), None)

    def _at_file_scope(self, cursor: Any) -> list[Any]:
        """The kernel's own declarations, through ``extern "C"`` and namespaces."""
        found = []
        for child in cursor.get_children():
            if self.origin_of(child) != "kernel":
                continue
            if child.kind.name in ("LINKAGE_SPEC", "UNEXPOSED_DECL", "NAMESPACE"):
                found += self._at_file_scope(child)
            else:
                found.append(child)
        return found

    def _read_global(self, cursor: Any) -> None:
        variable = self.variable_of(cursor)
        self.globals[variable.name] = variable
        init = initial_value(cursor)
        if init is not None and variable.type.is_const and variable.type.bits is not None:
            value = self._expressions.read(init)
            if (known := getattr(value, "value", None)) is not None and isinstance(known, int):
                self.constants[variable.name] = known

    def _meet(self, key: str, cursor: Any) -> None:
        """A function that is called; it is read later, once."""
        if key in self.functions or any(key == known for known, _ in self._waiting):
            return
        self._waiting.append((key, cursor))

    def _function(self, key: str, cursor: Any) -> Function:
        own = self._with_body(cursor)
        parameters = tuple(self.variable_of(one) for one in own.get_arguments())
        return Function(
            key, own.spelling, self.place_of(own), parameters, self._statements.body(own),
            own.result_type.kind == bindings().TypeKind.VOID,
        )  # fmt: skip

    def _with_body(self, cursor: Any) -> Any:
        if any(child.kind.name == "COMPOUND_STMT" for child in cursor.get_children()):
            return cursor
        return cursor.get_definition() or cursor

    def place_of(self, cursor: Any) -> Place:
        """The line of a cursor or a message; that of a macro is where it is used."""
        location = cursor.location
        if location.file is None:
            return Place("kernel", 0)
        return Place(self._file(location.file.name)[0], location.line)

    def origin_of(self, cursor: Any) -> str:
        """Where a declaration stands: kernel, vendor (AMD, or what is in its place), other."""
        file = cursor.location.file
        return "other" if file is None else self._file(file.name)[1]

    def _file(self, name: str) -> tuple[str, str]:
        """A file's path within the project, and its origin."""
        if name not in self._files:
            path = Path(name).resolve()
            if path.is_relative_to(self.folder):
                self._files[name] = path.relative_to(self.folder).as_posix(), "kernel"
            else:
                is_vendors = path.name.startswith(("ap_", "hls_")) or path.parent.name == "etc"
                self._files[name] = path.name, "vendor" if is_vendors else "other"
        return self._files[name]

    def variable_of(self, cursor: Any) -> Variable:
        """The variable of a declaration; of an instance of a template, its own."""
        key = (cursor.get_usr(), cursor.location.offset)
        if key not in self.variables:
            self.variables[key] = Variable(
                cursor.spelling, type_of(cursor.type), _storage(cursor), self.place_of(cursor),
                self.origin_of(cursor) != "kernel",
            )  # fmt: skip
        return self.variables[key]

    def pragmas_within(self, file: str, start: int, end: int) -> list[Pragma]:
        """The pragmas of a file between two offsets."""
        own = self._of_file.get(file, [])
        offsets = [pragma.offset for pragma in own]
        return own[bisect_left(offsets, start) : bisect_left(offsets, end)]

    def expression(self, cursor: Any) -> Any:
        """An expression of the kernel."""
        return self._expressions.read(cursor)

    def _own_files(self) -> list[str]:
        names = {inclusion.include.name for inclusion in self._unit.get_includes()}
        found = [self._file(name) for name in names]
        return sorted(
            file for file, origin in found if origin == "kernel" and file.endswith((".h", ".cpp"))
        )

    def _pragmas_of(self, file: str) -> list[Pragma]:
        path = str(self.folder / file)
        handle = self._unit.get_file(path)
        text = Path(path).read_bytes()
        cindex = bindings()
        ends = [cindex.SourceLocation.from_offset(self._unit, handle, at) for at in (0, len(text))]
        extent = cindex.SourceRange.from_locations(*ends)
        tokens = [
            Token(token.spelling, token.location.line, token.location.offset)
            for token in self._unit.get_tokens(extent=extent)
            if token.kind != cindex.TokenKind.COMMENT
        ]
        return find_pragmas(file, tokens, text.decode(errors="replace").splitlines())


def _storage(cursor: Any) -> str:
    if cursor.kind.name == "PARM_DECL":
        return "parameter"
    parent = cursor.semantic_parent
    if parent is None or parent.kind.name not in (*FUNCTIONS, "FUNCTION_TEMPLATE"):
        return "global"
    return "static" if cursor.storage_class.name == "STATIC" else "local"
