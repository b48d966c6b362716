"""What Python and C++ share: the opcodes and structures of a program, defined here once.

``header`` writes them as C++ for engine.cpp.
"""

from __future__ import annotations

import ctypes as ct
from enum import IntEnum
from typing import ClassVar, TypeVar

import numpy as np

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


CTYPES = {"int32_t": ct.c_int32, "int64_t": ct.c_int64}
"""Of whatever is no pointer."""


class Shared(ct.Structure):
    """A structure of both; ``members`` are in the words of C++, pointers are addresses here."""

    members: ClassVar[dict[str, str]]

    @classmethod
    def declaration(cls) -> str:
        """The same in C++, with its size asserted."""
        members = "".join(f"  {kind} {name};\n" for name, kind in cls.members.items())
        size = f'static_assert(sizeof({cls.__name__}) == {ct.sizeof(cls)}, "{cls.__name__}");'
        return f"struct {cls.__name__} {{\n{members}}};\n{size}"


S = TypeVar("S", bound=Shared)


def laid_out(structure: type[S]) -> type[S]:
    """Give a structure the fields of its members."""
    structure._fields_ = [
        (name, ct.c_void_p if kind.endswith("*") else CTYPES[kind])
        for name, kind in structure.members.items()
    ]
    return structure


@laid_out
class Instruction(Shared):
    """result, a, b: registers. table: a matrix, or a table; other: a second buffer or table."""

    members: ClassVar = dict.fromkeys(
        ("lo", "hi", "bias", "if_negative", "if_odd"), "int64_t"
    ) | dict.fromkeys(
        (
            "opcode", "wide", "result", "a", "b", "buffer", "other", "table", "shift_a", "shift_b",
            "slot", "mode", "offset",
        ),
        "int32_t",
    )  # fmt: skip


@laid_out
class Buffer(Shared):
    """(rows, lanes) integers, once, or for every step: then step_bytes apart."""

    members: ClassVar = {
        "start": "void *", "step_bytes": "int64_t", "storage": "int32_t", "rows": "int32_t",
    }  # fmt: skip


@laid_out
class Table(Shared):
    """int32 or int64, as the instruction that reads it is wide or not."""

    members: ClassVar = {"entries": "const void *"}


@laid_out
class Matrix(Shared):
    """Non-zeros of a sparse product, as matvec.h reads them; ``matrix`` packs them."""

    members: ClassVar = dict.fromkeys(
        (
            "row_runs", "run_pairs", "run_shifts", "slice_runs", "run_steps", "slice_shifts",
            "slice_rows", "run_chunks", "chunk_blocks", "chunk_steps",
        ),
        "const int32_t *",
    ) | {
        "weights": "const int16_t *", "slice_weights": "const int16_t *",
        "columns": "const uint16_t *", "slice_columns": "const uint16_t *",
        "places": "const uint8_t *", "row_entries": "const int64_t *",
        "wide_columns": "const uint32_t *", "wide_weights": "const void *",
        "storage": "int32_t", "is_permuted": "int32_t",
    }  # fmt: skip


@laid_out
class Group(Shared):
    """Instructions first..last, executed block by block over ``rows`` rows."""

    members: ClassVar = {"rows": "int32_t", "first": "int32_t", "last": "int32_t"}


@laid_out
class Copy(Shared):
    """A new state that becomes the old one at the end of a step."""

    members: ClassVar = {"to": "void *", "source": "const void *", "bytes": "int64_t"}


@laid_out
class Sweep(Shared):
    """Groups and copies of one step, by index."""

    members: ClassVar = dict.fromkeys(
        ("direction", "first_group", "last_group", "first_copy", "last_copy"), "int32_t"
    )


@laid_out
class Saturated(Shared):
    """What a tensor lost; first: the least step, or INT64_MAX."""

    members: ClassVar = {"count": "int64_t", "first": "int64_t"}


@laid_out
class Call(Shared):
    """A run over ``lanes`` sequences; all strides in elements. arena_k: that of storage k."""

    members: ClassVar = {
        "instructions": "const Instruction *", "groups": "const Group *",
        "sweeps": "const Sweep *", "copies": "const Copy *", "buffers": "const Buffer *",
        "matrices": "const Matrix *", "tables": "const Table *", "saturated": "Saturated *",
        "registers": "char *", "masks": "int32_t *",
        "arena_0": "const void *", "arena_1": "const void *", "arena_2": "const void *",
        "x": "const int64_t *", "y": "int64_t *", "lengths": "const int64_t *",
        **dict.fromkeys(
            ("x_lane", "x_step", "y_lane", "y_step", "steps", "steps_before"), "int64_t"
        ),
        **dict.fromkeys(
            ("lanes", "padded_lanes", "sweep_count", "slots", "is_observed"), "int32_t"
        ),
    }  # fmt: skip


def header() -> str:
    """program.h."""
    lines = ["#pragma once", "#include <cstdint>", f"constexpr int BLOCK = {BLOCK};"]
    for enum in (Opcode, Storage, Mode, Order):
        members = ", ".join(f"{member.name} = {member.value}" for member in enum)
        lines.append(f"enum {enum.__name__}Code : int32_t {{ {members} }};")
    shared = (Instruction, Buffer, Table, Matrix, Group, Copy, Sweep, Saturated, Call)
    lines += [structure.declaration() for structure in shared]
    return "\n".join(lines) + "\n"
