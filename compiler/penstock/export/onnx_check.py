"""An exported ONNX model, held against the interpreter in onnxruntime before it is written."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from penstock.errors import PenstockError
from penstock.export.network import Exportable
from penstock.fixed import IntArray
from penstock.ir import Graph, Node
from penstock.ir.evaluate import evaluate

SEQUENCES, STEPS, SEED = 3, 5, 1
REAL = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}


def comparison(network: Exportable, model: Any) -> str:
    """A sentence: how many values onnxruntime gives as the interpreter does, or why none.

    Frames and states are random over all of their types. Raises PenstockError for other values.
    """
    if find_spec("onnxruntime") is None:
        return "not compared with the interpreter, for onnxruntime is not installed"
    import onnxruntime

    named = f"onnxruntime {onnxruntime.__version__}"
    graph, takes = network.graph, [value.name for value in model.graph.input]
    generator = np.random.default_rng(SEED)
    (source,) = graph.of_kind("input")
    x = _drawn(generator, source, SEQUENCES, STEPS)
    states = {
        name: _drawn(generator, state.read, SEQUENCES) * (f"{name}_0" in takes)
        for name, state in graph.states().items()
    }
    lengths = np.full(SEQUENCES, STEPS)
    if "lengths" in takes:
        lengths -= np.arange(SEQUENCES)
    feed = _feed(network, model, x, states, lengths)
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        given = session.run(None, feed)
    except Exception as error:  # onnxruntime raises errors of its own
        return f"not compared with the interpreter, for {named} can't run it: {_line(error)}"
    wanted = _wanted(network, model, x, states, lengths)
    pairs = zip(given, wanted, strict=True)
    different = sum(int(np.count_nonzero(one != other)) for one, other in pairs)
    total = sum(one.size for one in wanted)
    if different:
        raise PenstockError(
            f"{named} gives {different:,} of {total:,} values otherwise than the interpreter",
            graph.name, "try another version of onnxruntime, and report it, please",
        )  # fmt: skip
    return f"{named} gives all of {total:,} values as the interpreter does, to the last bit"


def _drawn(generator: np.random.Generator, node: Node, *shape: int) -> IntArray:
    kind, shape = node.tensor.type, (*shape, node.tensor.length)
    return generator.integers(kind.raw_min, kind.raw_max, shape, endpoint=True)


def _feed(
    network: Exportable, model: Any, x: IntArray, states: dict[str, IntArray], lengths: IntArray
) -> dict[str, NDArray[Any]]:
    """What the model takes, in the types in which it takes it."""
    graph, interface = network.graph, network.manifest.interface
    (source,) = graph.of_kind("input")
    real = source.tensor.type.to_float(x)
    if interface.input_exponents:
        real = np.ldexp(real, interface.input_exponents)
    found = {"x": _arranged(real, interface.batch_first), "lengths": lengths}
    found |= {f"{name}_0": _real_state(graph, name, raw) for name, raw in states.items()}
    kinds = {one.name: REAL.get(one.type.tensor_type.elem_type) for one in model.graph.input}
    return {name: found[name].astype(kind or np.int64) for name, kind in kinds.items()}


def _wanted(
    network: Exportable, model: Any, x: IntArray, states: dict[str, IntArray], lengths: IntArray
) -> list[NDArray[Any]]:
    """What the model must give, in its order."""
    graph, result = network.graph, evaluate(network.graph, x, lengths, states)
    (output,) = graph.of_kind("output")
    y = output.tensor.type.to_float(result.y)
    found = {"y": _arranged(y, network.manifest.interface.batch_first)}
    found |= {f"{name}_n": _real_state(graph, name, raw) for name, raw in result.state.items()}
    return [found[one.name] for one in model.graph.output]


def _real_state(graph: Graph, name: str, raw: IntArray) -> NDArray[Any]:
    return graph.states()[name].read.tensor.type.to_float(raw)


def _arranged(values: NDArray[Any], batch_first: bool) -> NDArray[Any]:
    return values if batch_first else values.swapaxes(0, 1)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
