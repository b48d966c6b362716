"""Checkpoints and live modules -> RecurrentModel."""

from penstock.frontend.checkpoint import read_checkpoint
from penstock.frontend.module import from_module, load_weights
from penstock.frontend.state_dict import HeadOptions, from_state_dict

__all__ = ["HeadOptions", "from_module", "from_state_dict", "load_weights", "read_checkpoint"]
