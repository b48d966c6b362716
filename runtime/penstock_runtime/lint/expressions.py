"""clang's expressions, as the rules need them: casts that keep the value are gone, operators of
AMD's types are operators, and constants are their values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_runtime.lint.cpp_types import type_of
from penstock_runtime.lint.libclang import bindings, evaluated
from penstock_runtime.lint.pragmas import Place
from penstock_runtime.lint.tree import (
    Assign,
    Binary,
    Call,
    Callee,
    Choice,
    Const,
    Construct,
    Convert,
    Element,
    Expr,
    Literal,
    Member,
    Name,
    Parameter,
    Type,
    Unary,
    Unknown,
    Variable,
)

BINARY = {
    3: "*", 4: "/", 5: "%", 6: "+", 7: "-", 8: "<<", 9: ">>", 11: "<", 12: ">", 13: "<=",
    14: ">=", 15: "==", 16: "!=", 17: "&", 18: "^", 19: "|", 20: "&&", 21: "||", 33: ",",
}  # fmt: skip
"""clang's CXBinaryOperatorKind."""
ASSIGNING = {
    22: "", 23: "*", 24: "/", 25: "%", 26: "+", 27: "-", 28: "<<", 29: ">>", 30: "&", 31: "^",
    32: "|",
}  # fmt: skip
UNARY = {5: "&", 6: "deref", 7: "+", 8: "-", 9: "~", 10: "!"}
"""clang's CXUnaryOperatorKind."""
STEPS = {1: "+", 2: "-", 3: "+", 4: "-"}
WRAPPERS = {
    "UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR", "CXX_FUNCTIONAL_CAST_EXPR",
    "CXX_STATIC_CAST_EXPR", "CXX_CONST_CAST_EXPR",
}  # fmt: skip
LITERALS = {
    "STRING_LITERAL", "FLOATING_LITERAL", "CHARACTER_LITERAL", "CXX_NULL_PTR_LITERAL_EXPR",
    "INTEGER_LITERAL", "CXX_BOOL_LITERAL_EXPR",
}  # fmt: skip


class ExpressionReader:
    """Reads expressions. place_of: the line of a cursor. origin_of: see Callee.origin.

    variable_of: the variable of a declaration. Callees whose body is the kernel's own are told to
    ``meet``.
    """

    def __init__(
        self,
        place_of: Callable[[Any], Place],
        origin_of: Callable[[Any], str],
        variable_of: Callable[[Any], Variable],
        meet: Callable[[str, Any], None],
    ) -> None:
        self._place_of, self._origin_of = place_of, origin_of
        self._variable_of, self._meet = variable_of, meet
        self._readers: dict[str, Callable[[Any, Place, Type], Expr]] = {
            "BINARY_OPERATOR": self._operator,
            "COMPOUND_ASSIGNMENT_OPERATOR": self._operator,
            "UNARY_OPERATOR": self._unary,
            "CONDITIONAL_OPERATOR": self._choice,
            "ARRAY_SUBSCRIPT_EXPR": self._element,
            "MEMBER_REF_EXPR": self._member,
            "DECL_REF_EXPR": self._name,
            "CALL_EXPR": self._call,
            "INIT_LIST_EXPR": self._list,
        }

    def read(self, cursor: Any) -> Expr:
        """An expression."""
        at, own = self._place_of(cursor), type_of(cursor.type)
        kind = cursor.kind.name
        if own.bits is not None and not own.is_amd and own.is_value:
            value = evaluated(cursor)
            if value is not None:
                return Const(at, own, value)
        if kind in WRAPPERS:
            return self._unwrapped(cursor, at, own)
        if kind in LITERALS:
            return Literal(at, own)
        reader = self._readers.get(kind)
        return reader(cursor, at, own) if reader else self._unknown(cursor, at, own)

    def _unknown(self, cursor: Any, at: Place, own: Type) -> Unknown:
        parts = tuple(
            self.read(part) for part in cursor.get_children() if part.kind.is_expression()
        )
        return Unknown(at, own, cursor.kind.name.lower().replace("_", " "), parts)

    def _unwrapped(self, cursor: Any, at: Place, own: Type) -> Expr:
        """What stands in a cast or in parentheses; bits that a cast drops are told."""
        inner = [part for part in cursor.get_children() if part.kind.is_expression()]
        if not inner:  # an argument that is left to its default
            return Literal(at, own)
        value = self.read(inner[-1])  # before it stand the arguments of the type's template
        before = value.type
        narrows = own.bits is not None and before.bits is not None and 1 < own.bits < before.bits
        if narrows and own.is_value and before.is_value:
            return Convert(at, own, value)
        return value

    def _pair(self, cursor: Any) -> list[Expr]:
        return [self.read(part) for part in cursor.get_children() if part.kind.is_expression()]

    def _operator(self, cursor: Any, at: Place, own: Type) -> Expr:
        number = bindings().conf.lib.clang_getCursorBinaryOperatorKind(cursor)
        pair = self._pair(cursor)
        if len(pair) == 2 and number in ASSIGNING:
            return Assign(at, own, ASSIGNING[number], *pair)
        if len(pair) == 2 and number in BINARY:
            return Binary(at, own, BINARY[number], *pair)
        return self._unknown(cursor, at, own)

    def _unary(self, cursor: Any, at: Place, own: Type) -> Expr:
        number = bindings().conf.lib.clang_getCursorUnaryOperatorKind(cursor)
        operands = self._pair(cursor)
        if len(operands) != 1:
            return self._unknown(cursor, at, own)
        if number in STEPS:
            return Assign(at, own, STEPS[number], operands[0], Const(at, own, 1))
        if UNARY.get(number) == "deref":
            return Element(at, own, operands[0], Const(at, own, 0))
        if number in UNARY:
            return Unary(at, own, UNARY[number], operands[0])
        return self._unknown(cursor, at, own)

    def _choice(self, cursor: Any, at: Place, own: Type) -> Expr:
        parts = self._pair(cursor)
        return Choice(at, own, *parts) if len(parts) == 3 else self._unknown(cursor, at, own)

    def _element(self, cursor: Any, at: Place, own: Type) -> Expr:
        parts = self._pair(cursor)
        return Element(at, own, *parts) if len(parts) == 2 else self._unknown(cursor, at, own)

    def _member(self, cursor: Any, at: Place, own: Type) -> Expr:
        bases = self._pair(cursor)
        return (
            Member(at, own, bases[0], cursor.spelling) if bases else self._unknown(cursor, at, own)
        )

    def _name(self, cursor: Any, at: Place, own: Type) -> Expr:
        referenced = cursor.referenced
        if referenced is None or referenced.kind.name not in ("VAR_DECL", "PARM_DECL"):
            inner = self._pair(cursor)  # a template's argument in the place of its parameter
            return inner[0] if len(inner) == 1 else self._unknown(cursor, at, own)
        variable = self._variable_of(referenced)
        return Name(at, variable.type, variable)

    def _list(self, cursor: Any, at: Place, own: Type) -> Expr:
        return Construct(at, own, tuple(self._pair(cursor)), is_list=True)

    def _call(self, cursor: Any, at: Place, own: Type) -> Expr:
        referenced = cursor.referenced
        arguments = [self.read(argument) for argument in cursor.get_arguments() if argument]
        if referenced is None or not cursor.spelling:
            return self._copy(cursor, arguments, at, own)
        if referenced.kind.name in ("CONSTRUCTOR", "FUNCTION_TEMPLATE_CONSTRUCTOR"):
            is_own = arguments and self._origin_of(referenced) == "kernel"
            if is_own and [one.type.name for one in arguments] != [own.name]:
                return Unknown(at, own, "constructor of the kernel's own", tuple(arguments))
            return self._constructed(arguments, at, own)
        name = cursor.spelling
        if name.startswith("operator") and not name[8:9].isalnum():
            operator = self._amd_operator(cursor, name, arguments, at, own)
            if operator is not None:
                return operator
        first = next(iter(cursor.get_children()), None)
        receiver = None
        if first is not None and first.kind.name == "MEMBER_REF_EXPR":
            bases = self._pair(first)
            receiver = bases[0] if bases else None
            if name.startswith("operator ") and receiver is not None:
                return receiver if not receiver.type.is_record else self._unknown(cursor, at, own)
        return Call(at, own, self._callee(referenced), receiver, tuple(arguments))

    def _copy(self, cursor: Any, arguments: list[Expr], at: Place, own: Type) -> Expr:
        """C++14 copies what later standards build in place."""
        inner = arguments or self._pair(cursor)
        return inner[0] if len(inner) == 1 else self._unknown(cursor, at, own)

    def _constructed(self, arguments: list[Expr], at: Place, own: Type) -> Expr:
        if len(arguments) != 1:
            return Construct(at, own, tuple(arguments))
        value = arguments[0]
        if value.type.name == own.name or not (own.is_amd and value.type.bits is not None):
            return value if value.type.name == own.name else Construct(at, own, (value,))
        keeps = own.bits is not None and value.type.bits <= own.bits
        return value if keeps else Convert(at, own, value)

    def _amd_operator(
        self, cursor: Any, name: str, arguments: list[Expr], at: Place, own: Type
    ) -> Expr | None:
        """An operator of AMD's types, where it means what C++'s own does."""
        operator = name.removeprefix("operator")
        if arguments and arguments[0].type.is_stream:
            return None
        if operator in ("++", "--"):
            return Assign(at, own, operator[0], arguments[0], Const(at, own, 1))
        if operator in ("[]", "()") and arguments:
            callee = self._callee(cursor.referenced)
            return Call(at, own, callee, arguments[0], tuple(arguments[1:]))
        if len(arguments) == 1 and operator in ("-", "+", "~", "!"):
            return Unary(at, own, operator, arguments[0])
        if len(arguments) != 2:
            return None
        if operator in BINARY.values() and operator != ",":
            return Binary(at, own, operator, arguments[0], arguments[1])
        if operator[:-1] in ASSIGNING.values() and operator.endswith("="):
            return Assign(at, own, operator[:-1], arguments[0], arguments[1])
        return None

    def _callee(self, referenced: Any) -> Callee:
        key, origin = referenced.get_usr() or referenced.spelling, self._origin_of(referenced)
        if origin == "kernel":
            self._meet(key, referenced)
        given = tuple(Parameter(type_of(own.type)) for own in referenced.get_arguments() if own)
        is_const = referenced.kind.name == "CXX_METHOD" and referenced.is_const_method()
        return Callee(key, referenced.spelling, origin, given, is_const)
