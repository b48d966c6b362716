"""What Python and C++ share: the opcodes and structures of a program, defined here once.

``header`` writes them as C++ for engine.cpp.
"""

from __future__ import annotations

import ctypes as ct
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

BLOCK = 512
"""Elements of a register."""


class Opcode(IntEnum):
    """One pass over a block; engine.cpp says what each does."""

    LOAD = 0
    STORE = 1
    KEEP = 2
    CAPTURE = 3
    WIDEN = 4
    NARROW = 5
    ADD = 6
    SUB = 7
    MUL = 8
    MUL_WIDE = 9
    SCALE = 10
    SHIFT = 11
    CLIP = 12
    ZERO = 13
    WRAP = 14
    ROUND = 15
    ROUND_CLIP = 16
    ROUND_CLIP_NARROW = 17
    LOOKUP = 18
    INTERPOLATE = 19
    COUNT = 20
    MATVEC = 21
    READ_FRAME = 22
    OUTPUT = 23
    ARGMAX = 24
    MEAN = 25


class Storage(IntEnum):
    """Integers of a buffer."""

    INT16 = 0
    INT32 = 1
    INT64 = 2

    @property
    def dtype(self) -> type[np.signedinteger]:
        """The same, in NumPy."""
        return (np.int16, np.int32, np.int64)[self]

    @classmethod
    def of(cls, lo: int, hi: int) -> Storage:
        """The narrowest that holds lo..hi."""
        bits = max(hi.bit_length(), (-lo - 1 if lo < 0 else lo).bit_length()) + 1
        return cls.INT16 if bits <= 16 else cls.INT32 if bits <= 32 else cls.INT64


class Mode(IntEnum):
    """What a capture keeps; named as ``ops.Capture.when``."""

    FIRST = 0
    LAST = 1
    MAX = 2
    SUM = 3


class Order(IntEnum):
    """How a sweep runs; named as ``ir.Direction``."""

    FORWARD = 0
    BACKWARD = 1
    ONCE = 2


class Instruction(ct.Structure):
    """result, a, b: registers. table: a matrix, or a table; other: a second buffer or table."""

    _fields_ = (
        *((name, ct.c_int64) for name in ("lo", "hi", "bias", "if_negative", "if_odd")),
        *(
            (name, ct.c_int32)
            for name in (
                "opcode", "wide", "result", "a", "b", "buffer", "other", "table", "shift_a",
                "shift_b", "slot", "mode", "offset", "unused",
            )
        ),
    )  # fmt: skip


class Buffer(ct.Structure):
    """(rows, lanes) integers, once, or for every step: then step_bytes apart."""

    _fields_ = (
        ("start", ct.c_void_p),
        ("step_bytes", ct.c_int64),
        ("storage", ct.c_int32),
        ("rows", ct.c_int32),
    )


class Table(ct.Structure):
    """int32 or int64, as the instruction that reads it is wide or not."""

    _fields_ = (("entries", ct.c_void_p),)


class Matrix(ct.Structure):
    """Non-zeros of a sparse product, as matvec.h reads them; ``matrix`` packs them."""

    _fields_ = (
        *((name, ct.POINTER(ct.c_int32)) for name in (
            "row_runs", "run_pairs", "run_shifts",
            "slice_runs", "run_steps", "slice_shifts", "slice_rows",
            "run_chunks", "chunk_blocks", "chunk_steps",
        )),
        ("weights", ct.POINTER(ct.c_int16)),
        ("slice_weights", ct.POINTER(ct.c_int16)),
        ("columns", ct.POINTER(ct.c_uint16)),
        ("slice_columns", ct.POINTER(ct.c_uint16)),
        ("places", ct.POINTER(ct.c_uint8)),
        ("row_entries", ct.POINTER(ct.c_int64)),
        ("wide_columns", ct.POINTER(ct.c_uint32)),
        ("wide_weights", ct.c_void_p),
        ("storage", ct.c_int32),
        ("is_permuted", ct.c_int32),
    )  # fmt: skip


class Group(ct.Structure):
    """Instructions first..last, executed block by block over ``rows`` rows."""

    _fields_ = (("rows", ct.c_int32), ("first", ct.c_int32), ("last", ct.c_int32))


class Copy(ct.Structure):
    """A new state that becomes the old one at the end of a step."""

    _fields_ = (("to", ct.c_void_p), ("from", ct.c_void_p), ("bytes", ct.c_int64))


class Sweep(ct.Structure):
    """Groups and copies of one step, by index."""

    _fields_ = tuple(
        (name, ct.c_int32)
        for name in ("direction", "first_group", "last_group", "first_copy", "last_copy")
    )


class Saturated(ct.Structure):
    """What a tensor lost; first: the least step, or INT64_MAX."""

    _fields_ = (("count", ct.c_int64), ("first", ct.c_int64))


class Call(ct.Structure):
    """A run over ``lanes`` sequences; all strides in elements."""

    _fields_ = (
        ("instructions", ct.POINTER(Instruction)),
        ("groups", ct.POINTER(Group)),
        ("sweeps", ct.POINTER(Sweep)),
        ("copies", ct.POINTER(Copy)),
        ("buffers", ct.POINTER(Buffer)),
        ("matrices", ct.POINTER(Matrix)),
        ("tables", ct.POINTER(Table)),
        ("saturated", ct.POINTER(Saturated)),
        ("registers", ct.POINTER(ct.c_char)),
        ("masks", ct.POINTER(ct.c_int32)),
        ("arenas", ct.c_void_p * 3),
        ("x", ct.POINTER(ct.c_int64)),
        ("y", ct.POINTER(ct.c_int64)),
        ("lengths", ct.POINTER(ct.c_int64)),
        *(
            (name, ct.c_int64)
            for name in ("x_lane", "x_step", "y_lane", "y_step", "steps", "steps_before")
        ),
        *(
            (name, ct.c_int32)
            for name in ("lanes", "padded_lanes", "sweep_count", "is_observed")
        ),
    )


STRUCTURES = (
    Instruction, Buffer, Table, Matrix, Group, Copy, Sweep, Saturated, Call,
)  # fmt: skip
TYPES = {
    ct.c_int16: "int16_t", ct.c_uint8: "uint8_t", ct.c_uint16: "uint16_t", ct.c_int32: "int32_t",
    ct.c_uint32: "uint32_t", ct.c_int64: "int64_t", ct.c_void_p: "void *", ct.c_char: "char",
}  # fmt: skip


def header() -> str:
    """program.h."""
    lines = ["#pragma once", "#include <cstdint>", f"constexpr int BLOCK = {BLOCK};"]
    for enum in (Opcode, Storage, Mode, Order):
        members = ", ".join(f"{member.name} = {member.value}" for member in enum)
        lines.append(f"enum {enum.__name__}Code : int32_t {{ {members} }};")
    for structure in STRUCTURES:
        lines.append(f"struct {structure.__name__} {{")
        lines += [f"  {_declared(name, kind)};" for name, kind in structure._fields_]
        lines += ["};", f"static_assert(sizeof({structure.__name__}) == {ct.sizeof(structure)}, "
                        f'"{structure.__name__}");']  # fmt: skip
    return "\n".join(lines) + "\n"


def _declared(name: str, kind: type) -> str:
    if issubclass(kind, ct.Array):
        return f"{_typed(kind._type_)} {name}[{kind._length_}]"
    return f"{_typed(kind)} {name}"


def _typed(kind: type) -> str:
    if issubclass(kind, ct._Pointer):
        return f"{_typed(kind._type_)} *"  # type: ignore[attr-defined]
    return TYPES.get(kind, kind.__name__)


def address(array: NDArray[np.generic], kind: type) -> ct._Pointer[ct._SimpleCData[int]]:
    """A pointer of C to an array that the caller keeps."""
    return array.ctypes.data_as(ct.POINTER(kind))
