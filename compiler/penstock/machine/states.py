"""The state of the network: where each is kept, and when its new value takes effect.

Every reader of a step sees a state as the step before left it. A state whose old value nobody needs
behind the phase that computes the new one is overwritten there. Any other is *deferred*: the new
value waits in an array beside it until the step ends. One that only the phase itself still gathers
while it computes the new one is *doubled* in the bank dataflow: the next step gathers from another
image of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.fixed import Fixed
from penstock.formats import Layout
from penstock.ir import Graph, Node


@dataclass(frozen=True)
class State:
    """One state. read: its state_read node. segment: in the activation memory, if it is gathered.

    has_array: it also, or only, has a memory of its own. first_beat, beats: at the state port.
    """

    name: str
    read: str
    type: Fixed
    layout: Layout
    first_beat: int
    beats: int
    has_array: bool
    segment: str | None
    is_deferred: bool

    @property
    def positions(self) -> int:
        """Its length in hardware."""
        return self.layout.positions

    @property
    def filled(self) -> list[bool]:
        """Of each position, whether it holds an element; the others are stored as zero."""
        return [element >= 0 for element in self.layout.order]


def state_fed_by(graph: Graph, node: Node) -> str | None:
    """The state that a value becomes at the end of the step, if it does: in its own sweep."""
    written = (user.op.writes for user in graph.users(node.name) if user.sweep == node.sweep)
    return next((state for state in written if state is not None), None)
