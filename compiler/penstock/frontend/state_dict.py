"""Architecture from names and shapes: a recurrent module's parameters, and a Linear head."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.layers import CELLS, Cell, DenseHead
from penstock.layers.head import ACTIVATIONS, PLACES
from penstock.layers.pytorch import PROJECTION, REQUIRED
from penstock.model import RecurrentModel, Stacked

OTHER_CELLS = {1: "an Elman RNN", 3: "a GRU"}
"""Gates -> what PyTorch's other modules are called."""


@dataclass(frozen=True)
class HeadOptions:
    """What a state dict does not say about its Linear head; see ``layers.DenseHead``."""

    at: str = "last"
    activation: str = "none"

    def __post_init__(self) -> None:
        for value, choices in (
            (self.at, PLACES),
            (self.activation, ACTIVATIONS),
        ):
            if value not in choices:
                raise PenstockError(
                    f"a head can't run at {value!r}" if choices is PLACES
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
    """Find the recurrent module, its layers and directions, a Linear head and an embedding.

    An embedding table stays on the host, and a note says so. Raises PenstockError for anything that
    can't be compiled, by name.
    """
    check_finalized(tensors, where)
    _check_finite(tensors, where)
    reader = _Reader(tensors, where)
    pattern = _tensor_pattern()
    found = {key: match for key in tensors if (match := pattern.fullmatch(key))}
    prefixes = sorted({match["prefix"] for match in found.values()})
    if not prefixes:
        raise PenstockError(
            f"there is no {modules()} among {_some(tensors)}",
            where,
            f"{_titles()} has weight_ih_l0",
        )
    if len(prefixes) > 1:
        names = ", ".join(prefix.rstrip(".") or "(root)" for prefix in prefixes)
        raise PenstockError(
            f"there are {len(prefixes)} {modules('s')}: {names}",
            where,
            f"their order can't be known from names; stack them in one nn.{modules()}, or compile "
            "one at a time",
        )
    layers = _read_layers(reader, prefixes[0], list(found.values()))
    notes: list[str] = []
    model_head = _read_rest(reader, layers, head or HeadOptions(), notes)
    if head is not None and model_head is None:
        raise PenstockError(
            "there is no Linear head to apply the head options to", where, "leave them out"
        )
    return RecurrentModel(layers, model_head, name, batch_first, notes)


def _tensor_pattern() -> re.Pattern[str]:
    """Of the names of a recurrent module's tensors."""
    kinds = "|".join({kind: None for cell in CELLS for kind in cell.torch.shapes})
    return re.compile(rf"(?P<prefix>.*?)(?P<kind>{kinds})_l(?P<layer>\d+)(?P<reverse>_reverse)?")


def modules(ending: str = "") -> str:
    """The recurrent modules of PyTorch that can be read, in words."""
    return " or ".join(f"{cell.torch.module}{ending}" for cell in CELLS)


def _titles() -> str:
    return " or ".join(cell.torch.title for cell in CELLS)


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


def _read_layers(reader: _Reader, prefix: str, matches: list[re.Match[str]]) -> list[Stacked]:
    count = max(int(match["layer"]) for match in matches) + 1
    both = any(match["reverse"] for match in matches)
    kinds = {match["kind"] for match in matches}
    layers: list[Stacked] = []
    for index in range(count):
        inputs = layers[-1].outputs if layers else None
        forward = _Direction(reader, prefix, f"_l{index}", kinds).read(inputs)
        backward = None
        if both:
            direction = _Direction(reader, prefix, f"_l{index}_reverse", kinds)
            backward = direction.read(None)
            direction.check_twin(backward, forward)
        layers.append(Stacked(forward, backward))
    return layers


@dataclass(frozen=True)
class _Direction:
    """Reads one direction of one layer. kinds: the tensors that any of the module's layers has."""

    reader: _Reader
    prefix: str
    suffix: str
    kinds: set[str]

    def name(self, kind: str) -> str:
        """The full name of a tensor."""
        return f"{self.prefix}{kind}{self.suffix}"

    def read(self, inputs: int | None) -> Cell:
        """The layer; inputs: what the layer before gives, if there is one."""
        w_ih, w_hh = (self._matrix(kind) for kind in REQUIRED)
        w_hr = self.reader.tensors.get(self.name("weight_hr"))
        outputs = w_hh.shape[1]
        cells = outputs if w_hr is None else (1, *w_hr.shape)[-1]
        cell = self._cell(w_hh.shape[0], cells)
        if inputs is not None and w_ih.shape[1] != inputs:
            raise PenstockError(
                f"{self.name('weight_ih')} reads {w_ih.shape[1]} inputs, "
                f"but the layer before gives {inputs}",
                self.reader.where,
                "was the checkpoint saved from a model with another hidden_size or proj_size?",
            )
        sizes = {
            "rows": len(cell.torch.gates) * cells, "inputs": w_ih.shape[1], "cells": cells,
            "outputs": outputs,
        }  # fmt: skip
        codes = {name: self._choice(name, of) for name, of in cell.torch.codes.items()}
        return cell.from_torch(self._tensors(cell, sizes, w_hr is not None), codes)

    def _matrix(self, kind: str) -> FloatArray:
        value = self.reader.tensors.get(self.name(kind))
        if value is None or value.ndim != 2:
            state = "missing" if value is None else f"{value.ndim}-dimensional"
            raise PenstockError(
                f"{self.name(kind)} is {state}", self.reader.where, f"{_titles()} needs this matrix"
            )
        return value

    def _cell(self, rows: int, cells: int) -> type[Cell]:
        """The cell that stacks as many gates. Raises PenstockError if there is none."""
        known = {len(cell.torch.gates): cell for cell in CELLS}
        gates, name = rows / cells, self.name("weight_hh")
        if gates in known:
            return known[int(gates)]
        if gates in OTHER_CELLS:
            raise PenstockError(
                f"{name} is of {OTHER_CELLS[int(gates)]}, which is not supported",
                self.reader.where,
                f"only {modules()} layers can be compiled so far",
            )
        counts = " or ".join(map(str, sorted(known)))
        raise PenstockError(
            f"{name} has {rows} rows, which is not {counts} gates of {cells} cells",
            self.reader.where,
            "was the checkpoint saved from another model?",
        )

    def _choice(self, code: str, choices: tuple[str, ...]) -> str:
        """What a scalar of the module chooses; the first where the module saves none."""
        name = f"{self.prefix}{code}"
        if name not in self.reader.tensors:
            return choices[0]
        index = self.reader.take(name, (), "it is one number")
        if index not in range(len(choices)):
            raise PenstockError(
                f"{name} is {index:g}, which names no activation",
                self.reader.where,
                "was it saved by a later version of Penstock?",
            )
        return choices[int(index)]

    def _tensors(
        self, cell: type[Cell], sizes: Mapping[str, int], has_projection: bool
    ) -> dict[str, FloatArray]:
        """All tensors of this direction by kind, their shapes checked."""
        because = f"the layer has {sizes['cells']} cells"
        shapes = {**REQUIRED, **(PROJECTION if has_projection else {})}
        wanted = [(kind, counts, because) for kind, counts in shapes.items()]
        for group in cell.torch.optional:
            if not self.kinds.isdisjoint(group.shapes):
                wanted += [(kind, counts, group.rule) for kind, counts in group.shapes.items()]
        return {
            kind: self.reader.take(self.name(kind), tuple(sizes[c] for c in counts), rule)
            for kind, counts, rule in wanted
        }

    def check_twin(self, own: Cell, forward: Cell) -> None:
        """Raise PenstockError unless the backward direction has the sizes of the forward one."""
        for kind, mine, theirs in (
            ("weight_hh", own.cells, forward.cells),
            ("weight_hh", own.outputs, forward.outputs),
            ("weight_ih", own.inputs, forward.inputs),
        ):
            if mine != theirs:
                raise PenstockError(
                    f"{self.name(kind)} has another size than the forward direction",
                    self.reader.where,
                    "both directions of a layer have the same inputs and cells",
                )


def _read_rest(
    reader: _Reader, layers: list[Stacked], options: HeadOptions, notes: list[str]
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
            f"can't compile {_some(reader.left)}: not part of {_titles()}, a Linear head or an "
            "embedding",
            reader.where,
            f"save only the {modules()} and the Linear layer that reads it",
        )
    return head


def _is_embedding(reader: _Reader, name: str, has_bias: bool, inputs: int, outputs: int) -> bool:
    """A matrix without bias, whose rows are as long as the input frame."""
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
