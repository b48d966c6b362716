"""Tables in C++: functions that read sigma and tanh, and the numbers that files include."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.codegen.hls.names import cpp, native, one_line, plain_cpp
from penstock.ir import Graph
from penstock.schedule.plan import constant_of

ENDINGS = ("", "_rise")
"""Of the files of a function's entries and of the rises behind them."""


def table_functions(
    graph: Graph, name_of: Callable[[str], str], copies_of: Callable[[str], int]
) -> list[dict[str, Any]]:
    """One function for each table that a node uses. name_of: a table's node -> its function;
    copies_of: -> its memories."""
    found: dict[str, dict[str, Any]] = {}
    for node in graph.of_kind("lut"):
        x, table, *rises = graph.inputs(node)
        op, name = vars(node.op), name_of(table.name)
        dtype, width = node.tensor.type, x.tensor.type.width
        rise = rises[0].tensor.type if rises else None
        found[table.name] = {
            "name": name, "node": one_line(table.name), "function": op["function"],
            "parts": [
                (one_line(part.name), name + ending)
                for part, ending in zip((table, *rises), ENDINGS, strict=False)
            ],
            "reach": 2.0 ** (width - x.tensor.type.frac - 1), "entries": table.tensor.length,
            "copies": copies_of(table.name),
            "type": str(dtype), "cpp": cpp(dtype), "native": native(dtype),
            "input_cpp": cpp(x.tensor.type), "input_width": width,
            "index_bits": width - op["interpolate_bits"],
            "interpolate_bits": op["interpolate_bits"], "exact_cpp": plain_cpp(dtype),
            "rise_cpp": plain_cpp(rise) if rise else "",
            "rise_native": native(rise) if rise else "",
        }  # fmt: skip
    return list(found.values())


def table_texts(graph: Graph, name_of: Callable[[str], str]) -> dict[str, str]:
    """path -> text of every table, as a list of numbers."""
    texts = {}
    for node in graph.of_kind("lut"):
        for table, ending in zip(node.inputs[1:], ENDINGS, strict=False):
            path = f"kernel/tables/{name_of(node.inputs[1])}{ending}.inc"
            texts[path] = numbers(constant_of(graph, table).tolist())
    return texts


def numbers(values: list[int], per_line: int = 16) -> str:
    """Comma-separated, as an initialiser's inside."""
    lines = [values[start : start + per_line] for start in range(0, len(values), per_line)]
    return ",\n".join(", ".join(map(str, line)) for line in lines) + "\n"
