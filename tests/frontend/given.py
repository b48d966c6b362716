"""State dicts as they are, and as files."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from penstock.frontend import from_state_dict
from penstock.frontend.checkpoint import arrays


def read(state, **options):
    return from_state_dict(arrays(state, "test"), "test", **options)


def saved(path, state):
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def with_prefix(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}
