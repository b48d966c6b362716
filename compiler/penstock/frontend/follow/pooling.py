"""Pooling in a network in the making: over the steps of a sequence, or over elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Labels, Unfollowed


def pool(build: Builder, x: Labels, axes: Sequence[int], how: str, keep: bool) -> Labels:
    """The mean, max or sum over axes: of the steps, or (but for max) of the elements."""
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    flat = x.moved(lambda part: part.transpose(*rest, *axes).reshape(
        *(part.shape[axis] for axis in rest), -1))  # fmt: skip
    shape = tuple(
        1 if axis in axes else n for axis, n in enumerate(x.shape) if keep or axis not in axes
    )
    count = flat.shape[-1]
    if count == 1:
        return flat.moved(lambda part: part.reshape(shape))
    steps = np.sort(flat.step, axis=-1)
    if flat.is_constant.any() or (steps[..., :1] == steps).all():
        pooled = _of_elements(build, flat, how)
    elif count == build.steps and (steps == np.arange(count)).all():
        pooled = _of_steps(build, flat, how)
    else:
        raise Unfollowed("it reduces over a part of the steps, or over more than them")
    return pooled.moved(lambda part: part.reshape(shape))


def least(build: Builder, x: Labels, axes: Sequence[int], keep: bool) -> Labels:
    """The minimum over axes, which is a maximum of what is negated."""
    return pool(build, x.scaled(-1.0), axes, "max", keep).scaled(-1.0)


def _of_elements(build: Builder, x: Labels, how: str) -> Labels:
    if how == "max":
        raise Unfollowed("it takes the greatest of several elements")
    by = 1.0 if how == "sum" else 1.0 / x.shape[-1]
    terms = [x.moved(lambda part, k=k: part[..., k]).scaled(by) for k in range(x.shape[-1])]
    return build.combination(terms)


def _of_steps(build: Builder, x: Labels, how: str) -> Labels:
    if how == "max" and (x.scale < 0).any():
        x = build.combination([x], "negated")
    first = x.moved(lambda part: part[..., 0])
    for name in ("value", "lane", "feature", "scale", "shift"):
        part = getattr(x, name)
        if (part != part[..., :1]).any():
            raise Unfollowed("it reduces over different elements of the steps")
    pooled = build.pooled(first, "mean" if how == "sum" else how)
    return pooled.scaled(build.steps) if how == "sum" else pooled
