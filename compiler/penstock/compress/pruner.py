"""Pruner: magnitude pruning inside the user's own training loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from penstock.compress.distributed import broadcast_mask
from penstock.compress.groups import InBanks, groups_of
from penstock.compress.masks import attach_mask, fold_mask, mask_of
from penstock.compress.matrices import Matrix, check_keys, choose_matrices, key_of, matrix_names
from penstock.compress.patterns import BoolArray, Pattern, make_pattern
from penstock.compress.schedules import OneShot, Schedule
from penstock.errors import PenstockError, warn
from penstock.fixed import FloatArray

SHOWN_ROWS = 5


@dataclass(frozen=True)
class MatrixSummary:
    """What has become of one matrix; of an LSTM's stacked weights, of each gate's.

    shape: (rows, columns); min_per_pe, max_per_pe: non-zeros in the submatrices of the PEs;
    in_banks: what it shares the banks of BankInterleaved with, None for other patterns.
    """

    matrix: str
    shape: tuple[int, int]
    density_wanted: float
    density: float
    min_per_pe: int
    max_per_pe: int
    in_banks: InBanks | None = None


class Pruner:
    """Prunes the LSTMs and Linear layers of ``model`` while it is trained.

        pruner = Pruner(model, pattern="pe_balanced", pes=32, density=0.1,
                        schedule=Cubic(start=0, end=2000, every=100))
        for x, y in batches:
            ...
            optimizer.step()
            pruner.step()
        pruner.finalize()

    pattern: a name in PATTERNS with its option ``pes``, ``bank`` or ``banks``, a Pattern, or one
    for each matrix: {"*": BankInterleaved(16), "fc.weight": Unstructured()}. It holds within each
    weight matrix, in an LSTM within each gate's; biases and peepholes stay whole. BankInterleaved
    holds over all matrices of one sum together, as W_ih and W_hh of a gate: they keep as many
    weights as their densities make, wherever the greatest are.
    density: of all matrices, or of those that are named: {"lstm.*": 0.1, "fc.weight": 0.5}; see
    choose_matrices. schedule: at once, if not given. keep_zeros: weights that are zero now stay
    zero, whoever pruned them.

    What is pruned never comes back, and gets no gradient. Optimizers may be made before or after;
    one that loads the state of another must be made on the same side, because a Pruner changes the
    order of ``parameters()``. Masks are buffers in the model's state dict; with that, and this
    object's own, training is resumed to the bit. In distributed training every process makes a
    Pruner, before DistributedDataParallel wraps the model, and calls ``step``; masks are those of
    rank 0. A row that a mask leaves empty is told as a warning.

    Raises PenstockError for what can't be pruned as asked; the model is then as it was.
    """

    def __init__(
        self,
        model: nn.Module,
        pattern: str | Pattern | Mapping[str, Pattern] = "unstructured",
        density: float | Mapping[str, float] = 0.1,
        schedule: Schedule | None = None,
        *,
        pes: int | None = None,
        bank: int | None = None,
        banks: int | None = None,
        keep_zeros: bool = True,
    ) -> None:
        if isinstance(model, nn.parallel.DistributedDataParallel):
            raise PenstockError(  # it would no longer see the gradients of what is masked
                "the model is already wrapped in DistributedDataParallel",
                "pruning",
                "make the Pruner first, then wrap: Pruner(model, ...); DDP(model)",
            )
        self.model = model
        self.schedule = schedule or OneShot()
        self.steps = 0
        self.matrices = choose_matrices(model, density)
        if isinstance(pattern, Mapping):
            check_keys(pattern, matrix_names(model), "pattern", "pruning")
        make = partial(make_pattern, pes=pes, bank=bank, banks=banks)
        self.patterns = _patterns([m.name for m in self.matrices], pattern, make)
        self.pes = pes or max(int(getattr(kind, "pes", 1)) for kind in self.patterns.values())
        self._groups = groups_of(self.matrices, self.patterns)
        self._check_shapes()
        self._attach(keep_zeros)
        self._told: dict[str, BoolArray] = {}
        self._prune_if_due()
        self._warn_of_empty_rows()

    @property
    def is_finalized(self) -> bool:
        """Whether the masks have been taken off."""
        return any(mask_of(m.module, m.parameter) is None for m in self.matrices)

    def step(self) -> None:
        """Call after every ``optimizer.step()``: prunes further where the schedule says so."""
        if self.is_finalized:
            raise PenstockError("the pruner is finalized", "Pruner.step", "make a new one")
        self.steps += 1
        self._prune_if_due()
        if self.steps == self.schedule.last:
            self._warn_of_empty_rows()

    def finalize(self) -> nn.Module:
        """Leave plain parameters with exact zeros, in a model as it was before pruning.

        Returns the model. Of a copy of it, ``penstock.compress.finalize(copy)`` does the same.
        """
        if self.is_finalized:
            return self.model
        self._warn_of_empty_rows()
        if self.steps < self.schedule.last:
            warn(
                f"finalized after step {self.steps} of {self.schedule.last} of the schedule: "
                "the target densities have not been reached"
            )
        for matrix in self.matrices:
            fold_mask(matrix.module, matrix.parameter)
        return self.model

    def summary(self) -> list[MatrixSummary]:
        """A row for each pruned matrix and gate, as the weights are now."""
        in_banks = {
            (matrix.name, gate): found
            for group in self._groups
            for found in [group.in_banks()]
            for matrix, gate in group.blocks
        }
        return [
            MatrixSummary(
                matrix.titled(gate), (len(block), block.shape[1]), matrix.density,
                float(np.count_nonzero(block) / block.size), *_per_pe(block, self.pes),
                in_banks[matrix.name, gate],
            )
            for matrix in self.matrices
            for gate, block in matrix.blocks((matrix.weight != 0).cpu().numpy()).items()
        ]  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """What the model's state dict, which holds the masks, does not say."""
        kinds = {name: repr(kind) for name, kind in self.patterns.items()}
        return {"steps": self.steps, "matrices": list(kinds), "patterns": kinds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken; load the model's state dict too.

        Raises PenstockError if it is another pruner's: of another pattern or other matrices.
        """
        where = "state dict of a Pruner"
        mine = self.state_dict()
        for key, value in mine.items():
            if key not in state:
                raise PenstockError(f"{key} is missing", where, "save pruner.state_dict()")
            if key != "steps" and state[key] != value:
                hint = "make the Pruner with the arguments it was saved with"
                raise PenstockError(f"{key} is {state[key]}, not {value}", where, hint)
        self.steps = int(state["steps"])

    def _check_shapes(self) -> None:
        for group in self._groups:
            if group.blocks[0].matrix.density < 1.0:
                group.check()

    def _attach(self, keep_zeros: bool) -> None:
        magnitudes = [matrix.magnitudes(self.steps) for matrix in self.matrices]
        for matrix, magnitude in zip(self.matrices, magnitudes, strict=True):
            everything = torch.ones_like(matrix.weight, dtype=torch.bool)
            attach_mask(matrix.module, matrix.parameter, everything)
            if keep_zeros:
                self._tighten(matrix, magnitude != 0)

    def _prune_if_due(self) -> None:
        if not self.schedule.is_due(self.steps):
            return
        densities = {
            matrix.name: self.schedule.density(self.steps, matrix.density)
            for matrix in self.matrices
        }
        due = [matrix for matrix in self.matrices if densities[matrix.name] < 1.0]
        scores = {matrix.name: self._score(matrix) for matrix in due}
        masks: dict[str, dict[str, BoolArray]] = defaultdict(dict)
        for group in self._groups:
            if group.blocks[0].matrix.name in scores:
                for (matrix, gate), mask in group.masks(scores, group.density(densities)):
                    masks[matrix.name][gate] = mask
        for matrix in due:
            wanted = [masks[matrix.name][gate] for gate in matrix.gates]
            self._tighten(matrix, np.concatenate(wanted))

    def _score(self, matrix: Matrix) -> FloatArray:
        """Pruned weights score below all others, so that they fill no place."""
        return np.where(matrix.kept(), matrix.magnitudes(self.steps), -1.0)

    def _tighten(self, matrix: Matrix, wanted: BoolArray) -> None:
        """Prune what ``wanted`` does not keep; on all ranks, what rank 0 does."""
        kept = torch.from_numpy(matrix.kept() & wanted).to(matrix.mask.device)
        broadcast_mask(kept)
        matrix.mask.copy_(kept)

    def _warn_of_empty_rows(self) -> None:
        """Of each row once."""
        kept = {matrix.name: matrix.kept() for matrix in self.matrices}
        for group in self._groups:
            is_empty: BoolArray = np.logical_not(group.side_by_side(kept).any(axis=1))
            is_new = is_empty & ~self._told.get(group.title, np.zeros_like(is_empty))
            if is_new.any():
                warn(f"{group.title}: the mask leaves no weight in {_rows(is_new)}")
            self._told[group.title] = is_empty


def _patterns(
    names: list[str],
    pattern: str | Pattern | Mapping[str, Pattern],
    make: Callable[[str | Pattern], Pattern],
) -> dict[str, Pattern]:
    """The pattern of every matrix."""
    if not isinstance(pattern, Mapping):
        return dict.fromkeys(names, make(pattern))
    keys = {name: key_of(name, pattern) for name in names}
    missing = [name for name, key in keys.items() if key is None]
    if missing:
        hint = 'give one for the others: {"*": Unstructured(), ...}'
        raise PenstockError(f"no pattern is given for {missing[0]}", "pruning", hint)
    return {name: make(pattern[key]) for name, key in keys.items() if key}


def _rows(flags: BoolArray) -> str:
    if flags.all():
        return f"all {len(flags)} rows"
    rows = np.flatnonzero(flags)
    more = ", ..." if len(rows) > SHOWN_ROWS else ""
    return f"{len(rows)} of {len(flags)} rows: {', '.join(map(str, rows[:SHOWN_ROWS]))}{more}"


def _per_pe(is_nonzero: BoolArray, pes: int) -> tuple[int, int]:
    """The least and the most non-zeros of a PE."""
    pe_of_row = np.arange(len(is_nonzero)) % pes
    per_pe = np.bincount(pe_of_row, weights=is_nonzero.sum(axis=1), minlength=pes)
    return int(per_pe.min()), int(per_pe.max())
