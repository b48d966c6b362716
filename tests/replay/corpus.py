"""What a replay compiles: checkpoints and options, so that any revision can read them.

A case is a folder: ``case.json`` and the tensors it names. case.json: ``checkpoints`` (state dicts
of consecutive layers, in order; more than one where a state dict can't say which layers are
bidirectional), ``hardware``, ``precision``, ``head`` (arguments of the classes of that name),
``calibration`` (a file, or null), ``live`` (arguments of penstock.nn.LSTM to load the checkpoint
into, or null) and ``command`` (words after ``penstock compile``, or null). A Fixed is
``{"fixed": [width, frac, is signed, rounding, overflow]}``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/end_to_end"))
import ese_layer
from support import random_model
from test_bit_true import MATRIX

from penstock.fixed import Fixed
from penstock.frontend.to_state_dict import to_state_dict
from penstock.model import HEAD, stack


@dataclass(frozen=True)
class Case:
    """One project to compile; see above."""

    name: str
    checkpoints: list[dict[str, np.ndarray]]
    hardware: dict[str, Any] = field(default_factory=dict)
    precision: dict[str, Any] = field(default_factory=dict)
    head: dict[str, str] | None = None
    calibration: np.ndarray | None = None
    live: dict[str, Any] | None = None
    command: list[str] | None = None

    def save(self, corpus: Path) -> None:
        """Write the case's folder."""
        folder = corpus / re.sub(r"\W+", "-", self.name)
        folder.mkdir(parents=True)
        files = [f"lstm{index or ''}.safetensors" for index in range(len(self.checkpoints))]
        for file, tensors in zip(files, self.checkpoints, strict=True):
            save_file(tensors, folder / file)
        if self.calibration is not None:
            np.save(folder / "calibration.npy", self.calibration)
        content = {
            "name": self.name, "checkpoints": files, "hardware": self.hardware,
            "precision": self.precision, "head": self.head, "live": self.live,
            "command": self.command,
            "calibration": None if self.calibration is None else "calibration.npy",
        }  # fmt: skip
        (folder / "case.json").write_text(json.dumps(content, default=_plain, indent=1))


def _plain(value: object) -> object:
    assert isinstance(value, Fixed), value
    return {"fixed": list(asdict(value).values())}


def cases() -> Iterator[Case]:
    """The whole corpus: the test matrix, variations on it, the examples' networks, ESE's layer."""
    for name, (model, hardware, precision) in MATRIX.items():
        yield _drawn(name, model, hardware, precision)
    yield from _variations()
    yield from _of_examples()
    yield Case("ESE's layer", [ese_layer.tensors()], {"pes": ese_layer.PES})


def _variations() -> Iterator[Case]:
    """What the matrix leaves out: every head, every number of lanes, other ways in."""
    for at in ("step", "last", "final"):
        for activation in ("none", "sigmoid", "argmax"):
            model = {"cells": (6,), "bidirectional": True, "head": 3, "at": at,
                     "activation": activation}  # fmt: skip
            yield _drawn(f"head at {at}, {activation}", model, {"pes": 2, "max_steps": 12}, {})
    for lanes in (1, 2, 4, 8, 16):
        model = {"cells": (7, 5), "peephole": True, "outputs": 4, "g_function": "sigma"}
        yield _drawn(f"{lanes} lanes", model, {"pes": 2, "lanes": lanes}, {"row_scales": True})
    for bits in (1, 8):
        precision = {"table_entries": 256, "interpolate_bits": bits, "accumulators": 40}
        yield _drawn(f"interpolation over {bits} bits", {"cells": (9,)}, {"pes": 3}, precision)
    for port in (128, 256):
        hardware = {"pes": 20, "port_bits": port, "assign": "interleave", "index_bits": 3}
        yield _drawn(f"a port of {port} bits", {"cells": (40,), "inputs": 33}, hardware, {})
    one = _drawn("calibrated", {"cells": (8,), "outputs": 4, "peephole": True}, {"pes": 4}, {})
    frames = np.random.default_rng(5).normal(0, 2, (3, 20, 5)).astype(np.float32)
    yield replace(one, calibration=frames)
    sizes = {"input_size": 5, "hidden_size": 8, "proj_size": 4, "peephole": True}
    yield replace(one, name="a live module", live=sizes)
    words = ["--pes", "4", "--weight-bits", "8", "--row-scales", "--time-first"]
    yield replace(one, name="the command line", calibration=frames, command=words)


def _of_examples() -> Iterator[Case]:
    """Networks of the examples' shapes, with random weights."""
    digits = {"inputs": 8, "cells": (64,), "head": 10, "activation": "argmax", "density": 0.15}
    yield _drawn("digits", digits, {"pes": 8}, {})
    sentiment = {"inputs": 100, "cells": (150,), "head": 1, "activation": "sigmoid",
                 "density": 0.1}  # fmt: skip
    yield _drawn("sentiment", sentiment, {"pes": 8}, {})
    speech = {"inputs": 40, "cells": (256,), "outputs": 128, "peephole": True, "density": 0.1}
    yield _drawn("speech, phones", speech | {"head": 40, "at": "step"}, {"pes": 16}, {})
    words = {"inputs": 64, "cells": (128,), "head": 500, "at": "step", "density": 0.15}
    yield _drawn("language model", words, {"pes": 16}, {})


def _drawn(
    name: str, model: dict[str, Any], hardware: dict[str, Any], precision: dict[str, Any]
) -> Case:
    """A case of ``support.random_model``'s arguments."""
    network = random_model(**model, pes=hardware["pes"], seed=3)
    head, dense, at = None, None, model.get("at", "last")
    layers: list[tuple[Any, ...]] = []
    for place in network.places:
        if place.name == HEAD:
            dense = network[HEAD]
            head = {"at": at, "activation": dense.activation}
        elif place.is_backward:
            layers[-1] += (place.layer,)
        elif not place.is_pool:
            layers.append((place.layer,))
    parts = [network]
    if len({len(layer) for layer in layers}) > 1:
        parts = [stack([layer]) for layer in layers[:-1]] + [stack(layers[-1:], dense, at)]
    tensors = [to_state_dict(part, "lstm", "head") for part in parts]
    return Case(name, tensors, hardware, precision, head)
