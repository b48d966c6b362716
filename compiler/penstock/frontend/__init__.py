"""Checkpoints, saved programs and live modules -> RecurrentModel."""

from penstock.frontend.checkpoint import is_of_torch, read_checkpoint
from penstock.frontend.module import from_module, load_weights
from penstock.frontend.onnx import from_onnx, is_onnx
from penstock.frontend.pt2 import from_pt2, is_pt2
from penstock.frontend.state_dict import HeadOptions, from_state_dict

__all__ = [
    "HeadOptions", "from_module", "from_onnx", "from_pt2", "from_state_dict", "is_of_torch",
    "is_onnx", "is_pt2", "load_weights", "read_checkpoint",
]  # fmt: skip
