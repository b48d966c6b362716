"""A saved program of torch.export, read without running any code in it, followed and compared."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch

from penstock.errors import PenstockError, UnreadableError
from penstock.fixed import FloatArray
from penstock.frontend.follow.builder import LEAST_STEPS
from penstock.frontend.follow.compare import Ours, check_same_numbers
from penstock.frontend.follow.network import Network, check_input
from penstock.frontend.follow.program import Follower
from penstock.frontend.follow.tracing import leaves_of, silent
from penstock.model import RecurrentModel

AGAIN = "export the module again: torch.export.save(torch.export.export(model, (x,)), path)"
FREE = (3, 5)
"""Sequences and steps where the program leaves them open."""
SEED = 0


@np.errstate(all="ignore")  # what is not finite is refused by name
def follow_saved(
    content: bytes, where: str, calibration: FloatArray | None, name: str
) -> RecurrentModel:
    """The network of a program, compared with it. Raises PenstockError."""
    try:
        with silent(), _plain_only():
            program = torch.export.load(io.BytesIO(content)).run_decompositions({})
    except Exception as error:  # torch raises a different type for every way to be damaged
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise UnreadableError(
            f"the program can't be loaded: {first[0][:200]}", where, AGAIN
        ) from error
    return _Saved(program, where, name).follow(calibration)


@np.errstate(all="ignore")
def follow_program(
    program: Any, where: str, calibration: FloatArray | None, name: str
) -> RecurrentModel:
    """The network of a live program, compared with it. Raises PenstockError."""
    with silent():
        decomposed = program.run_decompositions({})
    return _Saved(decomposed, where, name).follow(calibration)


@contextmanager
def _plain_only() -> Iterator[None]:
    """torch.export.load would unpickle whatever it finds."""
    load = torch.load

    def plain(*args: Any, **kwargs: Any) -> Any:
        return load(*args, **{**kwargs, "weights_only": True})

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("the file holds Python objects, which could run code")

    with (
        mock.patch.object(torch, "load", plain),
        mock.patch.object(pickle, "loads", refuse),
        mock.patch.object(torch._C, "_pickle_load_obj", refuse),
    ):
        yield


class _Saved:
    def __init__(self, program: Any, where: str, name: str) -> None:
        self.program, self.where, self.name = program, where, name
        wanted = set(program.graph_signature.user_inputs)
        nodes = [node for node in program.graph.nodes if node.name in wanted]
        if not nodes:
            raise PenstockError("the program takes no input", where, AGAIN)
        self.first, *self.others = (node.meta["val"] for node in nodes)
        if any(not value.dtype.is_floating_point for value in self.others):
            raise PenstockError(
                "the program takes other integers beside its frames", where,
                "export a module whose forward takes the frames, and initial states if need be",
            )  # fmt: skip

    def follow(self, calibration: FloatArray | None) -> RecurrentModel:
        """Arrays with the sequences first, or else with the steps first."""
        is_tokens = not self.first.dtype.is_floating_point
        if self.first.ndim != (2 if is_tokens else 3):
            shape = tuple(map(str, self.first.shape))
            raise PenstockError(
                f"the program takes an array ({', '.join(shape)})", self.where,
                "export it for (sequences, steps, inputs), or token numbers (sequences, steps)",
            )  # fmt: skip
        refusals = []
        for is_time_major in (False, True):
            lanes, steps = self._sizes(is_time_major)
            if steps < LEAST_STEPS:
                what = f"the program was exported for {steps} steps, of which the last is not told"
                refusals.append(PenstockError(what, self.where, f"export it for {LEAST_STEPS}"))
                continue
            try:
                network = self._network(is_time_major, lanes, steps, is_tokens)
            except PenstockError as refusal:
                refusals.append(refusal)
                continue
            self._compare(network, is_time_major, calibration)
            if isinstance(self.first.shape[0 if is_time_major else 1], int):
                network.model.notes.append(
                    f"the program was exported for {steps} steps; sequences may have any number, "
                    "and its last step is taken for theirs"
                )
            return network.model
        raise refusals[0]

    def _sizes(self, is_time_major: bool) -> tuple[int, int]:
        sizes = self.first.shape[:2]
        lanes, steps = (sizes[1], sizes[0]) if is_time_major else sizes
        return (
            lanes if isinstance(lanes, int) else FREE[0],
            steps if isinstance(steps, int) else FREE[1],
        )

    def _network(self, is_time_major: bool, lanes: int, steps: int, is_tokens: bool) -> Network:
        width = None if is_tokens else int(self.first.shape[2])
        first, *names = self.program.graph_signature.user_inputs
        shapes = [(lanes, steps, width or 1), *(tuple(value.shape) for value in self.others)]
        for title, shape in zip((first, *names), shapes, strict=True):
            check_input(title, [size if isinstance(size, int) else 1 for size in shape], self.where)
        follower = Follower(self.program, self.where, lanes, steps, self.name)
        return follower.follow(width, is_time_major, names)

    def _compare(
        self, network: Network, is_time_major: bool, calibration: FloatArray | None
    ) -> None:
        lanes, steps = self._sizes(is_time_major)
        generator = np.random.default_rng(SEED)
        shape = (steps, lanes) if is_time_major else (lanes, steps)
        table, dtype = network.model.table, self.first.dtype
        if table is not None:
            x = torch.from_numpy(generator.integers(0, len(table), shape)).to(dtype)
            frames = table[x.numpy()]
        else:
            drawn = generator.standard_normal((*shape, network.model.inputs))
            if calibration is not None and calibration.ndim == 3:
                drawn = np.resize(np.nan_to_num(calibration), drawn.shape)
            x = torch.from_numpy(np.asarray(drawn, dtype=np.float64)).to(dtype)
            frames = x.double().numpy()
        names = list(self.program.graph_signature.user_inputs)[1:]
        given = {
            name: torch.from_numpy(generator.uniform(-0.9, 0.9, tuple(value.shape))).to(value.dtype)
            for name, value in zip(names, self.others, strict=True)
        }
        with torch.no_grad(), silent():
            theirs = self.program.module()(x, *given.values())
        real = dtype if dtype.is_floating_point else torch.float32
        ours = Ours(
            network, frames.swapaxes(0, 1) if is_time_major else frames, np.full(lanes, steps),
            {name: value.double().numpy() for name, value in given.items()},
        )  # fmt: skip
        eps = torch.finfo(real).eps
        check_same_numbers(leaves_of(theirs), ours, self.where, eps, "program")
