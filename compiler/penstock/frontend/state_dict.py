"""Architecture from names and shapes: torch.nn.LSTM's parameters, peepholes, a Linear head."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.model import GATES, DenseHead, LstmDirection, LstmLayer, RecurrentModel

LSTM_NAME = re.compile(
    r"(?P<prefix>.*?)(?P<kind>weight_ih|weight_hh|weight_hr|weight_ic|weight_fc|weight_oc|bias_ih"
    r"|bias_hh)_l(?P<layer>\d+)(?P<reverse>_reverse)?"
)
OTHER_CELLS = {1: "an Elman RNN", 3: "a GRU"}
BIASES = ("bias_ih", "bias_hh")
BIAS_RULE = "biases come in pairs, in all layers or none"
PEEPHOLES = {"i": "weight_ic", "f": "weight_fc", "o": "weight_oc"}
PEEPHOLE_RULE = "peepholes come in threes, in all layers or none"
ACTIVATION_CODE = "cell_activation_code"


@dataclass(frozen=True)
class HeadOptions:
    """What a state dict does not say about its Linear head; see ``model.DenseHead``."""

    at: str = "last"
    activation: str = "none"

    def __post_init__(self) -> None:
        for value, choices in (
            (self.at, ("step", "last", "final")),
            (self.activation, ("none", "sigmoid", "argmax")),
        ):
            if value not in choices:
                raise PenstockError(
                    f"a head can't run at {value!r}" if "step" in choices
                    else f"a head can't end in {value!r}",
                    "head options",
                    f"choose one of {', '.join(choices)}",
                )  # fmt: skip


@dataclass
class _Reader:
    """Takes tensors by name; what is left over in the end is unknown."""

    tensors: dict[str, FloatArray]
    where: str
    left: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.left = set(self.tensors)

    def take(self, name: str, shape: tuple[int, ...], because: str) -> FloatArray:
        if name not in self.tensors:
            raise PenstockError(f"{name} is missing", self.where, f"it is needed because {because}")
        value = self.tensors[name]
        self.left.discard(name)
        if value.shape != shape:
            raise PenstockError(
                f"{name} is {_shape(value.shape)}, not {_shape(shape)}",
                self.where,
                f"{because}; was the checkpoint saved from another model?",
            )
        return value


def from_state_dict(
    tensors: dict[str, FloatArray],
    where: str = "state dict",
    head: HeadOptions | None = None,
    batch_first: bool = True,
    name: str = "lstm",
) -> RecurrentModel:
    """Find the LSTM, its layers and directions, a Linear head and an embedding.

    An embedding table stays on the host, and a note says so. Raises PenstockError for anything that
    can't be compiled, by name.
    """
    check_finalized(tensors, where)
    _check_finite(tensors, where)
    reader = _Reader(tensors, where)
    found = {key: match for key in tensors if (match := LSTM_NAME.fullmatch(key))}
    prefixes = sorted({match["prefix"] for match in found.values()})
    if not prefixes:
        raise PenstockError(
            f"there is no LSTM among {_some(tensors)}", where, "an LSTM has weight_ih_l0"
        )
    if len(prefixes) > 1:
        names = ", ".join(prefix.rstrip(".") or "(root)" for prefix in prefixes)
        raise PenstockError(
            f"there are {len(prefixes)} LSTMs: {names}",
            where,
            "their order can't be known from names; stack them in one nn.LSTM, or compile one "
            "at a time",
        )
    layers = _read_layers(reader, prefixes[0], list(found.values()))
    notes: list[str] = []
    model_head = _read_rest(reader, layers, head or HeadOptions(), notes)
    if head is not None and model_head is None:
        raise PenstockError(
            "there is no Linear head to apply the head options to", where, "leave them out"
        )
    return RecurrentModel(layers, model_head, name, batch_first, notes)


def check_finalized(names: Iterable[str], where: str) -> None:
    """Refuse a model whose weights are still computed from others, as while it is pruned."""
    for name in names:
        if "parametrizations." in name:
            raise PenstockError(
                f"the weights are still parametrized ({name})",
                where,
                "call pruner.finalize(), or torch's remove_parametrizations, first",
            )


def _check_finite(tensors: dict[str, FloatArray], where: str) -> None:
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            bad = int(np.count_nonzero(~np.isfinite(value)))
            raise PenstockError(
                f"{name} has {bad} NaN or infinite values",
                where,
                "did training diverge? take an earlier checkpoint",
            )
        if value.size == 0:
            raise PenstockError(f"{name} is empty", where, "was the model built with size 0?")


def _read_layers(reader: _Reader, prefix: str, matches: list[re.Match[str]]) -> list[LstmLayer]:
    count = max(int(match["layer"]) for match in matches) + 1
    both = any(match["reverse"] for match in matches)
    function = _read_activation(reader, f"{prefix}{ACTIVATION_CODE}")
    kinds = {match["kind"] for match in matches}
    layers: list[LstmLayer] = []
    for index in range(count):
        inputs = layers[-1].outputs if layers else None
        pattern = f"{prefix}{{}}_l{index}"
        forward = _read_direction(reader, pattern, inputs, function, kinds)
        backward = None
        if both:
            pattern += "_reverse"
            backward = _read_direction(reader, pattern, None, function, kinds)
            for kind, own, other in (
                ("weight_hh", backward.cells, forward.cells),
                ("weight_hh", backward.outputs, forward.outputs),
                ("weight_ih", backward.inputs, forward.inputs),
            ):
                if own != other:
                    raise PenstockError(
                        f"{pattern.format(kind)} has another size than the forward direction",
                        reader.where,
                        "both directions of a layer have the same inputs and cells",
                    )
        layers.append(LstmLayer(forward, backward))
    return layers


def _read_activation(reader: _Reader, name: str) -> str:
    """What penstock.nn.LSTM saves of its g gate; torch.nn.LSTM saves nothing, and has tanh."""
    if name not in reader.tensors:
        return "tanh"
    code = reader.take(name, (), "it is one number")
    if code not in (0, 1):
        raise PenstockError(
            f"{name} is {code:g}, which names no activation",
            reader.where,
            "was it saved by a later version of Penstock?",
        )
    return "sigma" if code == 1 else "tanh"


def _read_direction(
    reader: _Reader, pattern: str, inputs: int | None, function: str, kinds: set[str]
) -> LstmDirection:
    """One direction; ``pattern`` makes a tensor's name of its kind, ``kinds`` the LSTM has."""
    w_ih = reader.tensors.get(pattern.format("weight_ih"))
    w_hh = reader.tensors.get(pattern.format("weight_hh"))
    for kind, value in (("weight_ih", w_ih), ("weight_hh", w_hh)):
        if value is None or value.ndim != 2:
            state = "missing" if value is None else f"{value.ndim}-dimensional"
            raise PenstockError(
                f"{pattern.format(kind)} is {state}", reader.where, "an LSTM needs this matrix"
            )
    assert w_ih is not None and w_hh is not None
    outputs = w_hh.shape[1]
    hr_name = pattern.format("weight_hr")
    cells = (1, *reader.tensors[hr_name].shape)[-1] if hr_name in reader.tensors else outputs
    _check_gates(reader, pattern, w_hh.shape[0], cells)
    rows = 4 * cells
    because = f"the layer has {cells} cells"
    if inputs is not None and w_ih.shape[1] != inputs:
        raise PenstockError(
            f"{pattern.format('weight_ih')} reads {w_ih.shape[1]} inputs, "
            f"but the layer before gives {inputs}",
            reader.where,
            "was the checkpoint saved from a model with another hidden_size or proj_size?",
        )
    w_ih = reader.take(pattern.format("weight_ih"), (rows, w_ih.shape[1]), because)
    w_hh = reader.take(pattern.format("weight_hh"), (rows, outputs), because)
    projection = None
    if hr_name in reader.tensors:
        projection = reader.take(hr_name, (outputs, cells), because)
    bias = np.zeros(rows)
    if not kinds.isdisjoint(BIASES):
        for kind in BIASES:
            bias = bias + reader.take(pattern.format(kind), (rows,), BIAS_RULE)
    peephole = {}
    if not kinds.isdisjoint(PEEPHOLES.values()):
        peephole = {
            gate: reader.take(pattern.format(kind), (cells,), PEEPHOLE_RULE)
            for gate, kind in PEEPHOLES.items()
        }
    return LstmDirection(
        dict(zip(GATES, np.split(w_ih, 4), strict=True)),
        dict(zip(GATES, np.split(w_hh, 4), strict=True)),
        dict(zip(GATES, np.split(bias, 4), strict=True)),
        peephole, projection, function,
    )  # fmt: skip


def _check_gates(reader: _Reader, pattern: str, rows: int, cells: int) -> None:
    gates = rows / cells
    if gates == len(GATES):
        return
    name = pattern.format("weight_hh")
    if gates in OTHER_CELLS:
        raise PenstockError(
            f"{name} is of {OTHER_CELLS[int(gates)]}, which is not supported",
            reader.where,
            "only LSTM layers can be compiled so far",
        )
    raise PenstockError(
        f"{name} has {rows} rows, which is not 4 gates of {cells} cells",
        reader.where,
        "was the checkpoint saved from another model?",
    )


def _read_rest(
    reader: _Reader, layers: list[LstmLayer], options: HeadOptions, notes: list[str]
) -> DenseHead | None:
    """The Linear head and the embedding among the tensors that are left; nothing else may be."""
    inputs, outputs = layers[0].forward.inputs, layers[-1].outputs
    head: DenseHead | None = None
    for name in sorted(reader.left):
        value = reader.tensors[name]
        stem = name.removesuffix("weight")
        if not name.endswith("weight") or value.ndim != 2:
            continue
        has_bias = f"{stem}bias" in reader.tensors
        if _is_embedding(reader, name, has_bias, inputs, outputs):
            reader.left.discard(name)
            notes.append(embedding_note(name, value))
        elif value.shape[1] == outputs and head is None:
            reader.left.discard(name)
            because = f"{name} gives {value.shape[0]} outputs"
            bias = reader.take(f"{stem}bias", value.shape[:1], because) if has_bias else None
            head = DenseHead(value, bias, options.at, options.activation)
    if reader.left:
        raise PenstockError(
            f"can't compile {_some(reader.left)}: not part of an LSTM, a Linear head or an "
            "embedding",
            reader.where,
            "save only the LSTM and the Linear layer that reads it",
        )
    return head


def _is_embedding(reader: _Reader, name: str, has_bias: bool, inputs: int, outputs: int) -> bool:
    """A matrix without bias, whose rows are as long as the LSTM's input frame."""
    if has_bias or reader.tensors[name].shape[1] != inputs:
        return False
    if inputs == outputs and "emb" not in name:
        raise PenstockError(
            f"{name} could be an embedding or a Linear head without bias: both have "
            f"{inputs} columns",
            reader.where,
            "save an embedding as emb.weight, and a head with its bias (zeros do)",
        )
    return True


def embedding_note(name: str, table: FloatArray) -> str:
    """What is said of an embedding."""
    return f"{name} is an embedding of {len(table)} entries: the look-up stays on the host"


def _some(names: object) -> str:
    listed = sorted(names)  # type: ignore[call-overload]
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"
