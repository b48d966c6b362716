"""The dense head -> operations."""

from __future__ import annotations

from penstock.layers.build import Builder, Source, split_columns
from penstock.model import DenseHead
from penstock.ops import ArgMax


def lower_head(build: Builder, head: DenseHead, sources: list[Source]) -> str:
    """logits = W x + b, then the head's activation; returns the node of the result."""
    total = build.matvec("acc_head", *split_columns("W", head.weight, sources))
    if head.bias is not None and head.bias.any():
        total = build.add("sum", total, build.bias("b", head.bias, total))
    if head.activation == "sigmoid":
        reach = build.types.reach("head.logits", "sigma")
        return build.function("probability", "sigma", total, reach)
    logits = build.requant("logits", total, build.types.logits())
    if head.activation == "argmax":
        return build.graph.add(build.named("label"), ArgMax(), logits, sweep=build.sweep)
    return logits
