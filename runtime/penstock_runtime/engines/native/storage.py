"""How wide every vector is kept, and what products read."""

from __future__ import annotations

from penstock.ir import Graph, Node
from penstock.ir.matrix import Matrix
from penstock.ops import ArgMax, MatVec
from penstock_runtime.engines.native.matrix import Operand, is_narrow
from penstock_runtime.engines.native.program import Storage

ARENA = 1 << 16
"""Positions that a narrow column can name."""


def wholes(node: Node) -> tuple[str, ...]:
    """The vectors of which ``node`` reads more than the element that it computes."""
    if isinstance(node.op, MatVec):
        return node.inputs[::2]
    return node.inputs if isinstance(node.op, ArgMax) else ()


def operands_of(graph: Graph, node: Node) -> list[Operand]:
    """Of a matrix product."""
    tensors = [source.tensor for source in graph.inputs(node)]
    shifts = MatVec.aligns(*tensors)
    found = []
    for x, w, shift in zip(tensors[::2], tensors[1::2], shifts, strict=True):
        assert isinstance(w.constant, Matrix)
        found.append(Operand.of(w.constant, shift, max(-x.lo, x.hi)))
    return found


def storages(graph: Graph) -> dict[str, Storage]:
    """The integers of every vector: the narrowest, but one type for all that a product reads."""
    found = {
        node.name: Storage.of(node.tensor.lo, node.tensor.hi)
        for node in graph.nodes()
        if len(node.tensor.shape) == 1
    }
    products = {node: operands_of(graph, node) for node in graph.of_kind("matvec")}
    read = {name for node in graph.nodes() for name in wholes(node)}
    is_short = sum(graph[name].tensor.length for name in read) <= ARENA
    while True:
        before = dict(found)
        for node, operands in products.items():
            own = max(found[name] for name in wholes(node))
            if own is not Storage.INT16 or not (is_short and is_narrow(operands)):
                own = max(own, _wide_storage(operands))
            found.update(dict.fromkeys(wholes(node), own))
        if found == before:
            return found


def _wide_storage(operands: list[Operand]) -> Storage:
    """What a product needs that is not narrow: its weights are kept shifted."""
    shifted = [operand.greatest << operand.shift for operand in operands]
    return max(Storage.INT32, *(Storage.of(-one, one) for one in shifted))
