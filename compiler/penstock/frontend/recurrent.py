"""A recurrent module's tensors -> its layers, by what each cell says of PyTorch's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock import layers
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.reader import Reader
from penstock.layers import Cell
from penstock.layers.pytorch import PROJECTION, REQUIRED

Directions = tuple[Cell, ...]
"""A layer: forward, and the backward direction if it has one."""
OF_CELLS = re.compile(r"(?P<prefix>(?:.*\.)?)(?P<kind>(?:weight|bias)_(?:ih|hh))")
"""Names in LSTMCell, GRUCell and RNNCell: one layer, without its number."""


def tensor_pattern() -> re.Pattern[str]:
    """Of the names of a recurrent module's tensors: prefix, kind, layer, reverse."""
    kinds = "|".join({kind: None for cell in layers.CELLS for kind in cell.torch.shapes})
    return re.compile(rf"(?P<prefix>.*?)(?P<kind>{kinds})_l(?P<layer>\d+)(?P<reverse>_reverse)?")


def modules() -> str:
    """The recurrent modules of PyTorch that can be read, in words."""
    *most, last = (cell.torch.module for cell in layers.CELLS)
    return f"{', '.join(most)} or {last}" if most else last


def titles() -> str:
    """The same with an article."""
    return f"{layers.CELLS[0].torch.title.split()[0]} {modules()}"


@dataclass(frozen=True)
class Found:
    """A recurrent module among tensors. matches: of its tensors' names; is_cell: one layer."""

    prefix: str
    matches: list[re.Match[str]]
    is_cell: bool

    @property
    def title(self) -> str:
        """What the module is called."""
        return self.prefix.rstrip(".") or "(root)"

    def tensor(self, kind: str) -> str:
        """The name of a tensor of its first layer."""
        return f"{self.prefix}{kind}" + ("" if self.is_cell else "_l0")


def find_modules(names: Iterable[str]) -> list[Found]:
    """The recurrent modules whose tensors are among these, by their names."""
    pattern, found = tensor_pattern(), dict[tuple[str, bool], list[re.Match[str]]]()
    for name in names:
        if match := pattern.fullmatch(name):
            found.setdefault((match["prefix"], False), []).append(match)
        elif match := OF_CELLS.fullmatch(name):
            found.setdefault((match["prefix"], True), []).append(match)
    return [Found(prefix, found[prefix, is_cell], is_cell) for prefix, is_cell in sorted(found)]


def read_layers(reader: Reader, module: Found) -> list[Directions]:
    """All layers of a module."""
    prefix, matches = module.prefix, module.matches
    kinds = {match["kind"] for match in matches}
    if module.is_cell:
        return [(DirectionReader(reader, prefix, "", kinds).read(None),)]
    count = max(int(match["layer"]) for match in matches) + 1
    both = any(match["reverse"] for match in matches)
    stack: list[Directions] = []
    for index in range(count):
        inputs = sum(part.outputs for part in stack[-1]) if stack else None
        forward = DirectionReader(reader, prefix, f"_l{index}", kinds).read(inputs)
        if both:
            direction = DirectionReader(reader, prefix, f"_l{index}_reverse", kinds)
            backward = direction.read(None)
            direction.check_twin(backward, forward)
        stack.append((forward, backward) if both else (forward,))
    return stack


@dataclass(frozen=True)
class DirectionReader:
    """Reads one direction of one layer. kinds: the tensors that any of the module's layers has."""

    reader: Reader
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
                f"{self.name(kind)} is {state}", self.reader.where, f"{titles()} needs this matrix"
            )
        return value

    def _cell(self, rows: int, cells: int) -> type[Cell]:
        """The cell that stacks as many gates. Raises PenstockError if there is none."""
        known = {len(cell.torch.gates): cell for cell in layers.CELLS}
        gates, name = rows / cells, self.name("weight_hh")
        if gates in known:
            return known[int(gates)]
        *most, last = map(str, sorted(known))
        counts = f"{', '.join(most)} or {last}" if most else last
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
                f"{name} is {index:g}, which is not the code of an activation",
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
