"""Weights that a module computes from other tensors -> the weights themselves, as torch does it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from penstock.arrays import as_floats
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.names import unwrapped
from penstock.frontend.reader import shape, some

Tensors = dict[str, FloatArray]

PARAMETRIZED = re.compile(r"(?P<prefix>(?:.*\.)?)parametrizations\.(?P<tensor>[^.]+)\.(?P<part>.+)")
WEIGHT = re.compile(r"(?:.*[._])?(?:weight|bias)\w*")
"""What may be computed: ``lstm.weight_hh_l0``, ``fc.weight``."""
WEIGHT_NORM, SPECTRAL_NORM, DROP = "weight norm", "spectral norm", "weight drop"
REMOVE = {
    WEIGHT_NORM: "call torch.nn.utils.remove_weight_norm before it is saved",
    SPECTRAL_NORM: "call torch.nn.utils.remove_spectral_norm before it is saved",
}
DROPPED = 0.05
"""Of a matrix's weights, what weight drop takes out at least."""
REMOVE_PARAMETRIZATION = (
    "call torch.nn.utils.parametrize.remove_parametrizations(module, name) before it is saved"
)


@dataclass(frozen=True)
class Fold:
    """``name`` is computed from ``parts``, by the rule ``kind``."""

    name: str
    parts: tuple[str, ...]
    kind: str


def folded(tensors: Tensors, where: str, notes: list[str]) -> Tensors:
    """Weight norm, spectral norm and weight drop undone; every other tensor as it is.

    A weight takes the place of the first of its parts. Raises PenstockError, by the name of the
    method, for parts that don't fit together and for parametrizations of other kinds.
    """
    folds = [*_hooks(tensors, where), *_parametrizations(tensors, where), *_drops(tensors)]
    by_part = {part: fold for fold in folds for part in (*fold.parts, fold.name)}
    found: Tensors = {}
    for name, value in tensors.items():
        fold = by_part.get(name)
        if fold is None:
            found[name] = value
        elif fold.name not in found:
            parts = [as_floats(tensors[part]) for part in fold.parts]
            found[fold.name] = _value(fold, parts, where)
    for kind in sorted({fold.kind for fold in folds}):
        names = some(fold.name for fold in folds if fold.kind == kind)
        notes.append(
            f"weight drop: {names} as trained (_raw); the dropped-out copy is left out"
            if kind == DROP else f"{kind} is folded into {names}"
        )  # fmt: skip
    return found


def _hooks(tensors: Tensors, where: str) -> Iterator[Fold]:
    """``X_g``, ``X_v``; and ``X_orig``, ``X_u``, ``X_v``: of torch.nn.utils before 2.0."""
    for name in tensors:
        stem = name[:-2]
        if not WEIGHT.fullmatch(stem):
            continue
        if name.endswith("_g") and f"{stem}_v" in tensors:
            yield Fold(stem, (name, f"{stem}_v"), WEIGHT_NORM)
        elif name.endswith("_u") and f"{stem}_orig" in tensors:
            if f"{stem}_v" not in tensors:
                raise PenstockError(
                    f"{stem} is under spectral norm, but {stem}_v is missing",
                    where,
                    REMOVE[SPECTRAL_NORM],
                )
            yield Fold(stem, (f"{stem}_orig", name, f"{stem}_v"), SPECTRAL_NORM)


def _parametrizations(tensors: Tensors, where: str) -> Iterator[Fold]:
    """``parametrizations.X.*``: of torch.nn.utils.parametrizations."""
    groups: dict[str, dict[str, str]] = {}
    for name in tensors:
        if match := PARAMETRIZED.fullmatch(name):
            groups.setdefault(match["prefix"] + match["tensor"], {})[match["part"]] = name
    for name, parts in groups.items():
        if set(parts) == {"original0", "original1"}:
            yield Fold(name, (parts["original0"], parts["original1"]), WEIGHT_NORM)
        elif set(parts) == {"original", "0._u", "0._v"}:
            yield Fold(name, (parts["original"], parts["0._u"], parts["0._v"]), SPECTRAL_NORM)
        elif set(parts) == {"original", "0.base"}:
            raise PenstockError(
                f"{name} is under torch's orthogonal parametrization", where, REMOVE_PARAMETRIZATION
            )


def _drops(tensors: Tensors) -> Iterator[Fold]:
    """``X_raw``, and X beside it or in the module that is wrapped (``rnn.module.X``)."""
    prefixes: dict[str, str] = {}
    for name in tensors:
        prefix, _, last = name.rpartition(".")
        if not last.endswith("_raw") and WEIGHT.fullmatch(last):
            prefixes.setdefault(unwrapped(f"{prefix}.x"), prefix)
    for name in tensors:
        stem = name.removesuffix("_raw")
        prefix, _, last = stem.rpartition(".")
        if stem != name and WEIGHT.fullmatch(last):
            inside = prefixes.get(unwrapped(f"{prefix}.x"), prefix)
            yield Fold(f"{inside}.{last}" if inside else last, (name,), DROP)


def check_no_copy(tensors: Tensors, where: str) -> None:
    """Refuse what weight drop leaves of a matrix if its ``_raw`` was taken out of the file.

    Such a module is wrapped (``rnn.module.weight_hh_l0``), and of its matrices only the recurrent
    ones have zeros. Raises PenstockError.
    """
    for name, value in tensors.items():
        prefix, _, last = name.rpartition(".")
        outer, _, wrapper = prefix.rpartition(".")
        if wrapper != "module" or not outer or not last.startswith("weight_hh"):
            continue
        beside = tensors.get(f"{prefix}.{last.replace('weight_hh', 'weight_ih')}")
        zeros = 1.0 - np.count_nonzero(value) / max(value.size, 1)
        if beside is not None and beside.all() and zeros >= DROPPED:
            raise PenstockError(
                f"{zeros:.0%} of {name} are zeros and none of the matrix beside it: it seems to be "
                "the dropped-out copy of weight drop",
                where,
                f"the weight is {outer}.{last}_raw of the full checkpoint, which compiles as it is;"
                f" if the zeros are pruned, rename {prefix} to {outer}",
            )


def _value(fold: Fold, parts: list[FloatArray], where: str) -> FloatArray:
    if fold.kind == DROP:
        return parts[0]
    norm = _weight_norm(*parts) if fold.kind == WEIGHT_NORM else _spectral_norm(*parts)
    if norm is None:
        sizes = ", ".join(
            f"{name} {shape(part.shape)}" for name, part in zip(fold.parts, parts, strict=True)
        )
        raise PenstockError(
            f"{fold.name} is under {fold.kind}, whose parts don't fit together: {sizes}",
            where,
            "was the checkpoint saved from another model?",
        )
    if not np.isfinite(norm).all():
        raise PenstockError(
            f"{fold.name} is under {fold.kind} of a matrix whose norm is zero",
            where,
            REMOVE[fold.kind],
        )
    return norm


def _weight_norm(g: FloatArray, v: FloatArray) -> FloatArray | None:
    """g v / |v|, the norm over all dimensions but the one that g has (Salimans, Kingma 2016)."""
    kept = [axis for axis, size in enumerate(g.shape) if size > 1]
    if g.size == 1:
        axes = tuple(range(v.ndim))
    elif g.ndim == v.ndim and len(kept) == 1 and g.shape[kept[0]] == v.shape[kept[0]]:
        axes = tuple(axis for axis in range(v.ndim) if axis != kept[0])
    else:
        return None
    with np.errstate(all="ignore"):
        norm = np.sqrt(np.sum(v * v, axis=axes, keepdims=True))
        found: FloatArray = v * (g.reshape((1,) * v.ndim if g.size == 1 else g.shape) / norm)
    return found


def _spectral_norm(weight: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray | None:
    """W / (u^T W v): torch does no power iteration in eval (Miyato et al. 2018)."""
    if weight.ndim < 2:
        return None
    matrix = weight.reshape(len(weight), -1)
    if (u.shape, v.shape) == ((matrix.shape[1],), (matrix.shape[0],)) and u.shape != v.shape:
        matrix = matrix.T  # dim=1
    if (u.shape, v.shape) != ((matrix.shape[0],), (matrix.shape[1],)):
        return None
    with np.errstate(all="ignore"):
        found: FloatArray = weight / (u @ matrix @ v)
    return found
