"""What the element-wise functions of ATen compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.frontend.follow.aten_rules import labels, numbers, rule
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Labels
from penstock.frontend.follow.rules import clamped, function_of, greatest, sloped
from penstock.layers import Relu


@rule("relu")
def _relu(build: Builder, title: str, x: Labels) -> Labels:
    return build.elementwise(x, "relu", Relu)


@rule("sigmoid")
def _sigmoid(build: Builder, title: str, x: Labels) -> Labels:
    return function_of(build, x, "sigma")


@rule("tanh")
def _tanh(build: Builder, title: str, x: Labels) -> Labels:
    return function_of(build, x, "tanh")


@rule("hardtanh", "clamp", "clip")
def _clamp(build: Builder, title: str, x: Labels, low: Any = None, high: Any = None) -> Labels:
    if low is None and high is None:
        low, high = -1.0, 1.0
    low = -np.inf if low is None else float(low)
    high = np.inf if high is None else float(high)
    return clamped(build, x, low, high)


@rule("relu6")
def _relu6(build: Builder, title: str, x: Labels) -> Labels:
    return clamped(build, x, 0.0, 6.0)


@rule("clamp_min")
def _clamp_min(build: Builder, title: str, x: Labels, low: Any) -> Labels:
    return _clamp(build, title, x, low, None)


@rule("clamp_max")
def _clamp_max(build: Builder, title: str, x: Labels, high: Any) -> Labels:
    return _clamp(build, title, x, None, high)


@rule("leaky_relu")
def _leaky_relu(build: Builder, title: str, x: Labels, slope: float = 0.01) -> Labels:
    return sloped(build, x, float(slope))


@rule("prelu", "_prelu_kernel")
def _prelu(build: Builder, title: str, x: Labels, slope: Any) -> Labels:
    slopes = numbers(slope)
    if slopes.ndim == 1:  # of channels, which are axis 1
        slopes = slopes.reshape(-1, *[1] * (len(x.shape) - 2)) if len(x.shape) > 1 else slopes
    return sloped(build, x, slopes)


@rule("abs")
def _abs(build: Builder, title: str, x: Labels) -> Labels:
    return sloped(build, x, -1.0)


@rule("maximum")
def _maximum(build: Builder, title: str, a: Any, b: Any) -> Labels:
    return greatest(build, labels(a), labels(b))


@rule("minimum")
def _minimum(build: Builder, title: str, a: Any, b: Any) -> Labels:
    return greatest(build, labels(a), labels(b), -1)


@rule("hardsigmoid")
def _hardsigmoid(build: Builder, title: str, x: Labels) -> Labels:
    return _clamp(build, title, x.scaled(1 / 6).shifted(0.5), 0.0, 1.0)


@rule("hardswish")
def _hardswish(build: Builder, title: str, x: Labels) -> Labels:
    return build.product(x, _hardsigmoid(build, title, x))


@rule("silu")
def _silu(build: Builder, title: str, x: Labels) -> Labels:
    return build.product(x, _sigmoid(build, title, x))


@rule("glu")
def _glu(build: Builder, title: str, x: Labels, dim: int = -1) -> Labels:
    a, b = (x.moved(lambda part, k=k: np.split(part, 2, axis=dim)[k]) for k in range(2))
    return build.product(a, _sigmoid(build, title, b))
