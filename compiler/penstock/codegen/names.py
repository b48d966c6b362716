"""C++ names and types for the graph's nodes."""

from __future__ import annotations

from dataclasses import replace

from penstock.fixed import Fixed, Overflow, Rounding

TAKEN = {
    "acc", "last", "lane", "packet", "pe", "position", "q", "results", "slot", "step", "unit",
    "valid", "vector",
}  # fmt: skip
"""Names of the cell unit's own variables."""


def identifier(name: str) -> str:
    """``l0.W_ix`` -> ``l0_W_ix``."""
    return "".join(char if char.isalnum() else "_" for char in name)


def local(name: str) -> str:
    """What a node is called inside its layer's functions: the last part of its name."""
    short = identifier(name.rpartition(".")[2])
    return f"{short}_" if short in TAKEN else short


def constant(name: str) -> str:
    """``l0.gates`` -> ``L0_GATES``."""
    return identifier(name).upper()


def storage(kind: Fixed) -> str:
    """The type without modes: for values that are kept, not converted."""
    return replace(kind, rounding=Rounding.TRN, overflow=Overflow.WRAP).cpp


def native(kind: Fixed) -> str:
    """The C++ integer for a table's entries: ap_int initialisers take minutes to compile."""
    sizes = [(8, "signed char", "unsigned char"), (16, "short", "unsigned short")]
    for bits, signed, unsigned in sizes:
        if kind.width <= bits:
            return signed if kind.signed else unsigned
    return "int" if kind.signed else "unsigned"
