"""The weight matrices of a model that can be pruned, and how far each shall be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from penstock import layers
from penstock.compress.masks import mask_of
from penstock.compress.patterns import BoolArray, check_density
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.layers.pytorch import REQUIRED, TorchCell


@dataclass(frozen=True)
class Matrix:
    """A weight of a recurrent module or a Linear; gates: those stacked in it, or one nameless.

    sums: of each gate, a name for the sum that its products are terms of: two matrices share it if
    their products meet there. vectors: the elements of each vector that its columns are multiplied
    by, two for the layer above two directions. density: of each gate's matrix, when all is done.
    """

    name: str
    module: nn.Module
    parameter: str
    gates: tuple[str, ...]
    sums: tuple[str, ...]
    vectors: tuple[int, ...]
    density: float

    @property
    def weight(self) -> Tensor:
        """(rows of all gates, columns), zero where pruned."""
        return getattr(self.module, self.parameter)

    @property
    def mask(self) -> Tensor:
        """(rows of all gates, columns), True where a weight stays."""
        attached = mask_of(self.module, self.parameter)
        assert attached is not None, f"{self.name} is not masked"
        return attached.mask

    def titled(self, gate: str, name: str = "") -> str:
        """The name of one gate's matrix; name: what it is called, if not by its own."""
        return f"{name or self.name}, gate {gate}" if gate else name or self.name

    def blocks(self, values: Any) -> dict[str, Any]:
        """Gate -> its rows of ``values``, an array of all rows."""
        return dict(zip(self.gates, np.split(values, len(self.gates)), strict=True))

    def magnitudes(self, step: int) -> FloatArray:
        """|weight|, zero where pruned. Raises PenstockError for NaN and infinity."""
        weight = self.weight.detach()
        exact = torch.float64 if weight.dtype == torch.float64 else torch.float32
        magnitude: FloatArray = weight.abs().to("cpu", exact).numpy()
        if not np.isfinite(magnitude).all():
            raise PenstockError(
                f"{self.name} has NaN or infinite weights",
                f"pruning after step {step}",
                "has training diverged? go back to an earlier checkpoint",
            )
        return magnitude

    def kept(self) -> BoolArray:
        """The mask, as an array of its own."""
        array: BoolArray = self.mask.cpu().numpy().copy()
        return array


def choose_matrices(model: nn.Module, density: float | Mapping[str, float]) -> list[Matrix]:
    """The matrices to prune: all, to one density, or those that a key of ``density`` names.

    A key is a name or a glob pattern; a name goes before patterns, a later pattern before an
    earlier one. Raises PenstockError for a bad density, for a key that names nothing, and for a
    matrix that can't be masked.
    """
    found = list(_matrices(model))
    if not found:
        hint = (
            "give a model with a recurrent module of torch.nn, a penstock.nn.LSTM or an nn.Linear"
        )
        raise PenstockError("there is no matrix to prune", type(model).__name__, hint)
    names = [one.name for one in found]
    densities = density if isinstance(density, Mapping) else {"*": density}
    _check_densities(densities, names, type(model).__name__)
    chosen = []
    for matrix in found:
        key = key_of(matrix.name, densities)
        if key is not None:
            _check_free(model, matrix.name, matrix.module, matrix.parameter)
            chosen.append(replace(matrix, density=float(densities[key])))
    return chosen


def matrix_names(model: nn.Module) -> list[str]:
    """All weight matrices that could be pruned."""
    return [matrix.name for matrix in _matrices(model)]


def _matrices(model: nn.Module) -> Iterator[Matrix]:
    """All of them, dense, in the order of the modules."""
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        declared = cell_of(module)
        if declared is not None:
            yield from _cell_matrices(prefix, module, declared)
        elif isinstance(module, nn.Linear):
            name = f"{prefix}weight"
            yield Matrix(name, module, "weight", ("",), (name,), (module.in_features,), 1.0)


def cell_of(module: nn.Module) -> TorchCell | None:
    """What is declared of a recurrent module; None for any other."""
    declared = (cell.torch for cell in layers.CELLS)
    return next((one for one in declared if isinstance(module, getattr(nn, one.module))), None)


def _cell_matrices(prefix: str, module: Any, cell: TorchCell) -> Iterator[Matrix]:
    """Every matrix that the module has."""
    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    kinds = [kind for kind, counts in cell.shapes.items() if len(counts) == 2]
    for layer, suffix, kind in product(range(module.num_layers), suffixes, kinds):
        parameter = f"{kind}_l{layer}{suffix}"
        if hasattr(module, parameter):
            gates, columns = cell.stacked(kind), getattr(module, parameter).shape[1]
            alone, shared = prefix + parameter, f"{prefix}l{layer}{suffix}"
            meets = [kind in REQUIRED and gate not in cell.apart for gate in gates]
            sums = tuple(shared if is_term else alone for is_term in meets)
            parts = len(suffixes) if kind == "weight_ih" and layer else 1
            vectors = (columns // parts,) * parts
            yield Matrix(alone, module, parameter, gates, sums, vectors, 1.0)


def key_of(name: str, choices: Mapping[str, Any]) -> str | None:
    """The key that speaks for a matrix: its name, or else the last pattern that matches it."""
    matching = [key for key in choices if fnmatchcase(name, key)]
    return name if name in choices else next(reversed(matching), None)


def check_keys(choices: Mapping[str, Any], names: list[str], what: str, where: str) -> None:
    """Raise PenstockError unless every key matches a matrix."""
    hint = f"the matrices are {', '.join(names)}"
    if not choices:
        raise PenstockError(f"{what} does not name a matrix", where, hint)
    for key in choices:
        if not any(fnmatchcase(name, key) for name in names):
            raise PenstockError(f"{what} names {key!r}, which matches no matrix", where, hint)


def _check_densities(densities: Mapping[str, float], names: list[str], where: str) -> None:
    for key, value in densities.items():
        check_density(value, where if key == "*" else f"density of {key}")
    check_keys(densities, names, "density", where)


def _check_free(model: nn.Module, name: str, module: nn.Module, parameter: str) -> None:
    """Raise PenstockError unless the weight is a parameter that nobody else changes or reads."""
    if mask_of(module, parameter) is not None:
        hint = "use that pruner, or finalize it first"
        raise PenstockError(f"{name} already has a pruner", "pruning", hint)
    if parametrize.is_parametrized(module, parameter):
        kind = type(module.parametrizations[parameter][0]).__name__
        hint = "remove it with torch.nn.utils.parametrize.remove_parametrizations"
        raise PenstockError(f"{name} is parametrized by {kind}", "pruning", hint)
    weight = module._parameters.get(parameter)
    if weight is None:
        hint = "make it permanent with torch.nn.utils.prune.remove; its zeros are kept"
        raise PenstockError(f"{name} is computed from another tensor", "pruning", hint)
    if nn.parameter.is_lazy(weight):
        raise PenstockError(f"{name} has no shape yet", "pruning", "run the model once first")
    for path, other in model.named_modules():
        for theirs, value in other._parameters.items():
            if value is weight and (other, theirs) != (module, parameter):
                raise PenstockError(
                    f"{name} is shared with {path}.{theirs}, which would not be masked",
                    "pruning",
                    "untie the two, or leave the matrix out of density",
                )
