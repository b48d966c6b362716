"""The phases of a step: which nodes run together, and which vectors share an order in hardware.

Matrix products of the same depth (products on the longest path that ends in them) and the same
number of rows form a phase, whatever vectors they read: the four gates of an LSTM, or the four
products of a GRU. Any other node belongs to the latest phase that it depends on. A node that
depends on none is computed in the first phase that needs it; or, where a product needs it, in an
element-wise phase in front of all products; or behind them, where only the next step, a later sweep
or the result does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.ir import Graph, Node
from penstock.ir.graph import connected

AT_THE_END = ("output", "argmax")
"""Made of the results on their way out, by no phase."""
FRONT, BACK = -1, 1 << 30
"""Stages of the element-wise phases around the products of a sweep."""


@dataclass(frozen=True)
class PhaseNodes:
    """One phase's nodes.

    matvecs: siblings, computed side by side; none in an element-wise phase. operands: the vectors
    that they gather, each once, in order of first use; gathers: of each matvec, the index in
    ``operands`` of each of its vectors. elementwise: the other nodes, in graph order. results: the
    vectors that leave the network from here (at most one). ready: of each operand, in how many of
    the units of phases that run before this one it is there already, counted backwards and, around
    the end of the step, into the step before; it falls from one operand to the next.
    """

    name: str
    sweep: int
    rows: int
    matvecs: tuple[str, ...]
    operands: tuple[str, ...]
    gathers: tuple[tuple[int, ...], ...]
    elementwise: tuple[str, ...]
    results: tuple[str, ...]
    ready: tuple[int, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Everything that the phase computes."""
        return self.matvecs + self.elementwise


@dataclass(frozen=True)
class Partition:
    """All phases in the order in which they run, sweep after sweep.

    order_of: vector -> name of its order in hardware; vectors that meet element by element share
    one. in_callers_order: the orders that hold an input frame as it comes.
    """

    phases: tuple[PhaseNodes, ...]
    order_of: dict[str, str]
    in_callers_order: frozenset[str]

    def order(self, phase: PhaseNodes) -> str:
        """The name of the order of what a phase computes."""
        return self.order_of[(*phase.nodes, *phase.results)[0]]


def partition(graph: Graph, max_siblings: int) -> Partition:
    """Split every sweep into phases of at most ``max_siblings`` matrix products.

    Raises PenstockError, naming the node, for what no phase can hold.
    """
    _check_supported(graph)
    phases: list[PhaseNodes] = []
    taken = {node.name for node in graph.of_kind("input")}
    for sweep in range(len(graph.sweeps)):
        for members in _members(graph, sweep, max_siblings):
            phases.append(_phase(graph, sweep, members, taken))
            taken.add(phases[-1].name)
    order_of = _orders(graph, phases)
    sources = frozenset(order_of[node.name] for node in graph.of_kind("input"))
    return Partition(tuple(phases), order_of, sources)


def result_vectors(graph: Graph) -> list[Node]:
    """The vectors that make up the output (of an argmax: its operand), in order."""
    (output,) = graph.of_kind("output")
    sources = graph.inputs(output)
    return graph.inputs(sources[0]) if sources[0].op.kind == "argmax" else sources


def is_loaded(node: Node, sweep: int) -> bool:
    """True for a frame that a step of ``sweep`` takes from outside: the input's, or a buffered one.

    A capture stays where it is.
    """
    if node.tensor.constant is not None or node.op.captures is not None:
        return False
    return node.op.kind == "input" or node.sweep != sweep


def _members(graph: Graph, sweep: int, max_siblings: int) -> list[list[Node]]:
    """The nodes of each phase of a sweep; a result that nobody computes stands for itself."""
    products = _products(graph, sweep, max_siblings)
    stage = _stages(graph, sweep, products)
    found: dict[tuple[int, int], list[Node]] = {}
    for node in graph.nodes(sweep):
        if node.name in stage:
            found.setdefault((stage[node.name], node.tensor.length), []).append(node)
    (output,) = graph.of_kind("output")
    if output.sweep == sweep:
        for node in result_vectors(graph):
            if node.name not in stage and not is_loaded(node, sweep):
                found.setdefault((BACK, node.tensor.length), []).append(node)
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def _products(graph: Graph, sweep: int, max_siblings: int) -> list[list[str]]:
    """The matvecs of each phase, by depth, then in graph order."""
    depth: dict[str, int] = {}
    groups: dict[tuple[int, int], list[str]] = {}
    for node in graph.nodes(sweep):
        before = max((depth.get(source.name, 0) for source in graph.vectors(node)), default=0)
        is_product = node.op.kind == "matvec"
        depth[node.name] = before + is_product
        if is_product:
            groups.setdefault((depth[node.name], node.tensor.length), []).append(node.name)
    ordered = [groups[key] for key in sorted(groups, key=lambda key: key[0])]
    return [
        group[start : start + max_siblings]
        for group in ordered
        for start in range(0, len(group), max_siblings)
    ]


def _stages(graph: Graph, sweep: int, products: list[list[str]]) -> dict[str, int]:
    """Node -> stage, for all that is computed; a node that nothing depends on is left out."""
    stage = {name: index for index, group in enumerate(products) for name in group}
    computed = [
        node
        for node in graph.nodes(sweep)
        if not node.op.is_source and node.op.kind not in (*AT_THE_END, "matvec")
    ]
    for node in computed:
        reached = [stage[name] for name in node.inputs if name in stage]
        if reached:
            stage[node.name] = max(reached)
    wanted = {node.name for node in result_vectors(graph)}
    for node in reversed(computed):
        if node.name not in stage:
            uses = [_needed_at(graph, node, user, stage) for user in graph.users(node.name)]
            if node.op.writes or node.op.captures or node.name in wanted:
                uses.append(BACK)
            first = min((use for use in uses if use is not None), default=None)
            if first is not None:
                stage[node.name] = first
    for node in computed:  # a state shares its value's place in memory: one phase writes both
        if node.op.writes and node.inputs[0] in stage:
            stage[node.name] = stage[node.inputs[0]]
    return stage


def _needed_at(graph: Graph, node: Node, user: Node, stage: dict[str, int]) -> int | None:
    if user.sweep != node.sweep:
        return BACK
    return FRONT if user.op.kind == "matvec" else stage.get(user.name)


def _phase(graph: Graph, sweep: int, members: list[Node], taken: set[str]) -> PhaseNodes:
    matvecs = [node for node in members if node.op.kind == "matvec"]
    operands = list(dict.fromkeys(name for node in matvecs for name in node.inputs[::2]))
    wanted = {node.name for node in result_vectors(graph)}
    (output,) = graph.of_kind("output")
    results = [node.name for node in members if node.name in wanted and output.sweep == sweep]
    if len(results) > 1:
        raise PenstockError(
            f"{results[0]} and {results[1]} can't both be results: one phase computes both",
            graph.name,
            "a phase gives one vector to the output",
        )
    return PhaseNodes(
        name=_phase_name([node.name for node in matvecs or members], bool(matvecs), taken),
        sweep=sweep,
        rows=members[0].tensor.length,
        matvecs=tuple(node.name for node in matvecs),
        operands=tuple(operands),
        gathers=tuple(tuple(map(operands.index, node.inputs[::2])) for node in matvecs),
        elementwise=tuple(
            node.name for node in members
            if node.op.kind != "matvec" and not node.op.is_source and node.sweep == sweep
        ),
        results=tuple(results),
    )  # fmt: skip


def _phase_name(nodes: list[str], are_products: bool, taken: set[str]) -> str:
    """``l0.gates``, ``l0.projection``; else after the first node. Never a name that is taken."""
    layer, dot, stem = nodes[0].rpartition(".")
    if are_products:
        known = {"acc_y": "projection", "acc_head": "dense", "acc": "dense"}
        stem = "gates" if len(nodes) > 1 else known.get(stem, stem)
    name, count = f"{layer}{dot}{stem}", 2
    while name in taken:
        name, count = f"{layer}{dot}{stem}_{count}", count + 1
    return name


def _orders(graph: Graph, phases: list[PhaseNodes]) -> dict[str, str]:
    """Vector -> the name of its order: of the first phase that uses it, else the vector's own."""
    groups: list[list[str]] = []
    for phase in phases:
        groups.append([*phase.nodes, *phase.results])
        for name in phase.elementwise:
            groups.append([name, *(source.name for source in graph.vectors(graph[name]))])
    groups += [[state.write.name, state.read.name] for state in graph.states().values()]
    inputs = [node.name for node in graph.of_kind("input")]
    together = connected([*groups, *([name] for name in inputs)])
    name_of: dict[int, str] = {}
    for phase in phases:
        name_of.setdefault(together[[*phase.nodes, *phase.results][0]], phase.name)
    for name in inputs:
        name_of.setdefault(together[name], name)
    return {name: name_of[own] for name, own in together.items() if own in name_of}


def _check_product(graph: Graph, node: Node, refuse: Callable[[str, str], None]) -> None:
    sources = graph.vectors(node)
    for source in sources:
        if source.op.kind == "const":
            what = f"{node.name} multiplies the constant {source.name}"
            refuse(what, "add the product as a bias instead")
        if sources.count(source) > 1:
            refuse(f"{node.name} multiplies {source.name} twice", "add the two matrices")


def _check_supported(graph: Graph) -> None:
    """Refuse, by name, what the accelerator has no place for. Raises PenstockError."""

    def refuse(what: str, hint: str) -> None:
        raise PenstockError(what, graph.name, hint)

    if not graph.of_kind("matvec"):
        refuse("the network has no matrix product", "the accelerator is an array for them")
    for node in graph.nodes():
        users = graph.users(node.name)
        if node.op.kind == "matvec":
            _check_product(graph, node, refuse)
        if node.op.kind == "argmax" and any(
            user.op.kind != "output" or len(user.inputs) > 1 for user in users
        ):
            refuse(
                f"{node.name} is read inside the network", "an argmax must be the network's result"
            )
        if users and (node.op.writes or node.op.kind == "output"):
            refuse(
                f"{users[0].name} reads {node.name}, which stores a value",
                f"read {node.inputs[0]} instead",
            )
