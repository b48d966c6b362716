"""Several processes that train one model: what they must agree on. Alone, nothing happens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from penstock.calibration import Ranges
from penstock.model import RecurrentModel


def _is_alone() -> bool:
    return not (torch.distributed.is_available() and torch.distributed.is_initialized())


def broadcast_mask(mask: Tensor) -> None:
    """Overwrite a mask of bools with that of rank 0."""
    if not _is_alone():
        torch.distributed.broadcast(mask.view(torch.uint8), src=0)


def same_on_all_ranks(model: RecurrentModel) -> RecurrentModel:
    """The model of rank 0."""
    if _is_alone():
        return model
    found: list[Any] = [model]
    torch.distributed.broadcast_object_list(found, src=0)
    first: RecurrentModel = found[0]
    return first


def widest_of_all_ranks(ranges: Ranges) -> Ranges:
    """What any rank saw of each tensor: every rank calibrates on its own share of data."""
    if _is_alone():
        return ranges
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, ranges)
    peak = {name: max(other.peak[name] for other in found) for name in ranges.peak}
    counts = {name: sum(other.counts[name] for other in found) for name in ranges.counts}
    return Ranges(peak, any(other.is_synthetic for other in found), counts)
