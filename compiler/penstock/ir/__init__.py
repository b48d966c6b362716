"""The dataflow graph: what one time step of the network computes, in integers."""

from penstock.ir.graph import Direction, Graph, Node, State
from penstock.ir.op import Cost, Op, Step, Tensor, Value

__all__ = ["Cost", "Direction", "Graph", "Node", "Op", "State", "Step", "Tensor", "Value"]
