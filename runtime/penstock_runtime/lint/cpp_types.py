"""clang's types, as the rules need them."""

from __future__ import annotations

import re
from typing import Any

from penstock_runtime.lint.libclang import bindings
from penstock_runtime.lint.tree import Type

AMD = re.compile(r"(?:const |volatile )*ap_(u?)(int|fixed)(?:_base)?<(\d+)")
STREAM = re.compile(r"(?:const |volatile )*hls::stream<")
AXIS = re.compile(r"(?:const |volatile )*(?:hls::stream<)?hls::axis<")


def type_of(given: Any) -> Type:
    """The type of a variable, a parameter or an expression."""
    kinds = bindings().TypeKind
    own, is_reference = given, given.kind in (kinds.LVALUEREFERENCE, kinds.RVALUEREFERENCE)
    is_volatile = own.is_volatile_qualified()
    if is_reference:
        own = own.get_pointee()
    own, dims, is_variable_length, is_const = _elements_of(own)
    own, pointers = _pointee_of(own)
    if pointers == 1 and not dims:
        own, dims, _, is_const = _elements_of(own)
        if dims:  # a pointer to rows: an array whose first extent is not known
            dims, pointers = (0, *dims), 0
    canonical = own.get_canonical()
    name = canonical.spelling
    return Type(
        name=name.removeprefix("const "),
        dims=dims,
        pointers=pointers,
        bits=_bits(canonical, name),
        is_reference=is_reference,
        is_const=is_const or own.is_const_qualified() or canonical.is_const_qualified(),
        is_volatile=is_volatile or own.is_volatile_qualified() or canonical.is_volatile_qualified(),
        is_stream=bool(STREAM.match(name)),
        is_axis=bool(AXIS.match(name)),
        is_record=canonical.kind == kinds.RECORD and not AMD.match(name),
        is_amd=bool(AMD.match(name)),
        is_variable_length=is_variable_length,
    )


def _pointee_of(own: Any) -> tuple[Any, int]:
    """What a pointer points to, and the number of stars."""
    pointers = 0
    while own.get_canonical().kind == bindings().TypeKind.POINTER:
        own = own.get_canonical().get_pointee()
        pointers += 1
    return own, pointers


def _elements_of(own: Any) -> tuple[Any, tuple[int, ...], bool, bool]:
    """The type of an array's elements, its extents, whether one of them is no constant, and whether
    the elements are const, which clang tells of the array.
    """
    kinds, dims, is_variable, is_const = bindings().TypeKind, [], False, False
    arrays = (
        kinds.CONSTANTARRAY, kinds.INCOMPLETEARRAY, kinds.VARIABLEARRAY, kinds.DEPENDENTSIZEDARRAY
    )  # fmt: skip
    while own.get_canonical().kind in arrays:
        array = own.get_canonical()
        is_const = is_const or array.is_const_qualified()
        is_variable = is_variable or array.kind == kinds.VARIABLEARRAY
        dims.append(max(array.element_count, 0) if array.kind == kinds.CONSTANTARRAY else 0)
        own = array.element_type
    return own, tuple(dims), is_variable, is_const


def _bits(canonical: Any, name: str) -> int | None:
    """The width of an integer."""
    amd = AMD.match(name)
    if amd is not None:
        return int(amd[3]) if amd[2] == "int" else None
    kinds = bindings().TypeKind
    if canonical.kind == kinds.BOOL:
        return 1
    integers = (
        kinds.CHAR_S, kinds.CHAR_U, kinds.SCHAR, kinds.UCHAR, kinds.SHORT, kinds.USHORT, kinds.INT,
        kinds.UINT, kinds.LONG, kinds.ULONG, kinds.LONGLONG, kinds.ULONGLONG, kinds.ENUM,
    )  # fmt: skip
    return 8 * int(canonical.get_size()) if canonical.kind in integers else None
