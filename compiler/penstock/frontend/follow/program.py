"""A program of torch.export -> a network: its inputs labelled, its operations followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from penstock.frontend.follow.aten import AtenFollower
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.network import Network, Source, finished


@dataclass
class Follower:
    """Follows one program. lanes, steps: of the sequences it was exported for."""

    program: Any
    where: str
    lanes: int
    steps: int
    name: str
    _aten: AtenFollower = field(init=False)

    def __post_init__(self) -> None:
        self._aten = AtenFollower(Builder(self.lanes, self.steps), self.where)

    def follow(self, width: int | None, is_time_major: bool, states: Sequence[str]) -> Network:
        """The network. width: of the frames, None for tokens; states: the other inputs' names.

        Raises PenstockError.
        """
        build, env = self._aten.build, self._aten.env
        inputs = iter(["x", *states])
        tensors = {**self.program.state_dict, **self.program.constants}
        specs = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        for node in self.program.graph.nodes:
            if node.op != "placeholder":
                continue
            spec = specs[node.name]
            if spec.kind is not torch.export.graph_signature.InputKind.USER_INPUT:
                env[node.name] = tensors[spec.target]
                continue
            title = next(inputs)
            if title != "x":
                env[node.name] = build.initial_state(title, tuple(node.meta["val"].shape))
            elif width is None:
                env[node.name] = build.tokens(is_time_major)
            else:
                env[node.name] = build.frames(width, is_time_major)
        outputs = [self._aten.value(item) for item in self._aten.run(self.program.graph.nodes)]
        source = Source(self.where, "forward", "return the network's output")
        return finished(build, outputs, source, self.name, is_time_major)
