"""An .onnx file -> the network that its graph computes."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from penstock.errors import UnreadableError
from penstock.fixed import FloatArray
from penstock.frontend.module import with_head_options
from penstock.frontend.state_dict import HeadOptions
from penstock.model import RecurrentModel

SUFFIX = ".onnx"
BEGINS = re.compile(rb"\x08[\x01-\x20][\x08\x12\x1a\x22\x28\x32\x3a\x42]")
"""A version of the format, then another field of the message: see onnx.proto, ModelProto."""


def is_onnx(path: Path) -> bool:
    """True for an ONNX file, by its name or, whatever that is, by how it begins."""
    if path.suffix.lower() == SUFFIX:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        return False
    return BEGINS.match(head) is not None and head[8:] != b"{"  # which safetensors has there


def from_onnx(
    path: Path, head: HeadOptions | None = None, calibration: FloatArray | None = None,
    name: str | None = None,
) -> RecurrentModel:  # fmt: skip
    """Follow the graph of a file, and compare the network with onnxruntime in numbers.

    calibration: frames as the graph takes them, to compare on; without, random ones. head: what
    follows a Linear layer at the end. Raises PenstockError for a missing or damaged file, and for
    what can't be compiled, by node and operation.
    """
    where = str(path)
    if find_spec("onnx") is None:
        raise UnreadableError("reading ONNX files needs the package onnx", where,
                              "pip install 'penstock[onnx]'")  # fmt: skip
    from penstock.frontend.follow.onnx_model import follow_onnx

    model = follow_onnx(path, calibration, name or path.stem)
    return model if head is None else with_head_options(model, head, where, "the graph")
