"""The schema of graph.json: every field named, typed and bounded.

A graph is decoded into these types before an operation is made or an array allocated.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from penstock.bounds import MAX_LENGTH, MAX_MATRIX, MAX_WEIGHTS
from penstock.fixed import MAX_WIDTH, Overflow, Rounding
from penstock.ir.graph import Direction

SCHEMA: Final = 1
MAX_FRAC = 1200
"""Beyond the finest step of double precision, 2**-1074, and the widest type."""

Name = Annotated[str, Meta(min_length=1)]
Small = Annotated[int, Meta(ge=-MAX_LENGTH, le=MAX_LENGTH)]
Raw = Annotated[int, Meta(ge=-(1 << MAX_WIDTH), le=1 << MAX_WIDTH)]


class FixedFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fixed-point type; see ``fixed.Fixed``."""

    width: Annotated[int, Meta(ge=1, le=MAX_WIDTH)]
    frac: Annotated[int, Meta(ge=-MAX_FRAC, le=MAX_FRAC)]
    signed: bool
    rounding: Rounding
    overflow: Overflow


class NodeFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node. attributes: the operation's fields. type, range: as they were inferred."""

    name: Name
    op: Name
    sweep: Annotated[int, Meta(ge=0, le=1 << 10)]
    inputs: tuple[Name, ...]
    attributes: dict[Name, bool | Small | str | FixedFields]
    shape: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=MAX_LENGTH)], ...], Meta(min_length=1, max_length=2)
    ]
    type: Name
    range: tuple[Raw, Raw]


class GraphFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; see ``io.dump_graph``."""

    schema: Literal[1]
    name: str
    sweeps: Annotated[tuple[Direction, ...], Meta(min_length=1, max_length=1 << 10)]
    nodes: tuple[NodeFields, ...]


def decode_graph(text: bytes | str) -> GraphFields:
    """The fields of a graph. Raises ValueError naming the field that can't be."""
    try:
        fields = msgspec.json.decode(text, type=GraphFields)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    total = 0
    for node in fields.nodes:
        size = node.shape[0] * node.shape[-1] if len(node.shape) == 2 else node.shape[0]
        total += size
        if size > MAX_MATRIX or total > MAX_WEIGHTS:
            raise ValueError(f"{node.name} of shape {list(node.shape)} is too large")
    return fields
