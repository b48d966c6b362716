"""A live module -> the network that it computes, compared with it in numbers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.follow.compare import Ours, check_same_network, check_same_numbers
from penstock.frontend.follow.mode import changing_part, inference
from penstock.frontend.follow.network import Network
from penstock.frontend.follow.program import Follower
from penstock.frontend.follow.tracing import exported, leaves_of
from penstock.model import RecurrentModel

LANES, STEPS = 2, 5
"""Of the first trace; both are free in the network."""
MOST_LANES, MOST_STEPS = 4, 64
"""Of the second, on which the module and the network are compared."""
SEED = 0
STATE_NAMES = ("h0", "c0", "h_0", "c_0", "hx", "cx", "h", "c", "hidden", "state", "states", "hc",
               "initial_state", "hidden_state", "cell_state", "prev_state")  # fmt: skip
"""What forward may call an initial state."""


VALUE = "it reads the value of a tensor (item, float, if)"
BY_VALUE = "keep constants as numbers of Python, and decisions outside of forward"
UNTRACED = (
    "does it run on (2, 5, inputs) frames? give calibration frames of the right width, or "
    "compile its state_dict()"
)


@dataclass(frozen=True)
class Input:
    """What the module takes. width: of its frames; of tokens, None.

    is_time_major: (steps, sequences, ...).
    """

    width: int | None
    is_time_major: bool


@np.errstate(all="ignore")  # what is not finite is refused by name
def follow_module(module: nn.Module, calibration: FloatArray | None) -> RecurrentModel:
    """The network that ``module`` computes. calibration: frames in the module's own order, or None.

    Raises PenstockError for what can't be compiled, by layer, operation and source line, and where
    the network gives other numbers than the module does.
    """
    where, changing = type(module).__name__, changing_part(module)
    with inference(module):
        followed = _Module(module, where)
        first, chosen = followed.first_trace(calibration)
        x = followed.sample(chosen, calibration)
        try:
            second = followed.trace(x, chosen)
            check_same_network(first.model, second.model, where)
            followed.compare(second, x, chosen)
        except PenstockError:
            raise
        except Exception as fault:  # it is the user's program that runs here
            raise PenstockError(
                f"forward fails on frames of shape {tuple(x.shape)}: {_first_line(fault)}", where,
                "let it take any number of sequences and steps; a program of torch.export is "
                "compiled as it is, or from its .pt2 file",
            ) from fault  # fmt: skip
    if changing:
        second.model.notes.append(
            f"the module is in training mode; it is compiled as in evaluation ({changing} changes)"
        )
    return second.model


class _Call(nn.Module):  # type: ignore[misc]
    """The module, called with x and initial states; lengths are those of whole sequences."""

    def __init__(self, module: nn.Module, plan: Mapping[str, str], lengths: list[int]) -> None:
        super().__init__()
        self.module, self.plan, self.lengths = module, plan, lengths

    def forward(self, x: Any, *states: Any) -> Any:
        """``states``: in the order of the arguments that ask for them."""
        given, rest = {}, list(states)
        for name, kind in self.plan.items():
            if kind == "lengths":
                given[name] = torch.tensor(self.lengths)
            else:
                given[name] = rest.pop(0) if kind == "state" else (rest.pop(0), rest.pop(0))
        return self.module(x, **given)


@dataclass
class _Module:
    module: Any
    where: str
    plan: dict[str, str] = field(init=False)
    """Argument of forward -> lengths, state, or pair (h, c)."""

    def __post_init__(self) -> None:
        self.plan = self._arguments()

    def _arguments(self) -> dict[str, str]:
        """What forward takes beside x. Raises PenstockError for anything else that it needs."""
        found: dict[str, str] = {}
        _, *others = inspect.signature(self.module.forward).parameters.values()
        states = [p for p in others if p.name.lower() in STATE_NAMES and p.default is p.empty]
        is_pair = len(states) == 1 and self._has(nn.LSTM)
        for parameter in others:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if "len" in parameter.name.lower():
                found[parameter.name] = "lengths"
            elif parameter in states:
                found[parameter.name] = "pair" if is_pair else "state"
            elif parameter.default is parameter.empty:
                raise PenstockError(
                    f"forward needs {parameter.name!r}, and it is not known what that is",
                    self.where,
                    "wrap the module in one whose forward takes the frames, and lengths or h0 and "
                    "c0 if it needs them",
                )
        return found

    def _has(self, kind: type[nn.Module]) -> bool:
        return any(isinstance(part, kind) for part in self.module.modules())

    # -- inputs -----------------------------------------------------------------------------------

    def candidates(self, calibration: FloatArray | None) -> list[Input]:
        """What the module may take, the likeliest first."""
        widths: list[int | None] = [None] if self._has(nn.Embedding) else []
        if calibration is not None and calibration.dtype.kind == "f":
            widths.append(calibration.shape[-1])
        else:
            widths += self._widths()
        recurrent = [part for part in self.module.modules() if isinstance(part, nn.RNNBase)]
        first = bool(recurrent) and not recurrent[0].batch_first
        orders = (first, not first)
        return [Input(width, order) for width in dict.fromkeys(widths) for order in orders]

    def _widths(self) -> list[int]:
        """What the module's layers take."""
        names = ("input_size", "in_features", "in_channels", "num_features")
        found = [
            getattr(part, name)
            for part in self.module.modules()
            for name in names
            if isinstance(getattr(part, name, None), int)
        ]
        return list(dict.fromkeys(found))

    def first_trace(self, calibration: FloatArray | None) -> tuple[Network, Input]:
        """The first candidate that can be followed. Raises PenstockError: why the first can't."""
        refusals: list[PenstockError] = []
        faults: list[Exception] = []
        for candidate in self.candidates(calibration):
            try:
                x = self._random(candidate, LANES, STEPS)
                self._run(x, [STEPS] * LANES)
                program = self._exported(x, candidate)
            except Exception as fault:  # it is the user's program that runs here
                faults.append(fault)
                continue
            try:
                return self._followed(program, x, candidate), candidate
            except PenstockError as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]
        why = _first_line(faults[0]) if faults else "it has no layer with weights"
        raise PenstockError(
            f"forward can't be traced: {why}", self.where, BY_VALUE if why == VALUE else UNTRACED
        ) from (faults[0] if faults else None)  # fmt: skip

    def _random(self, given: Input, lanes: int, steps: int) -> Any:
        generator = np.random.default_rng(SEED)
        shape = (steps, lanes) if given.is_time_major else (lanes, steps)
        if given.width is None:
            tables = [part for part in self.module.modules() if isinstance(part, nn.Embedding)]
            most = min(part.num_embeddings for part in tables)
            return torch.from_numpy(generator.integers(0, most, shape)).to(self._device)
        values = generator.standard_normal((*shape, given.width))
        return torch.from_numpy(values).to(self._device, self._dtype)

    def sample(self, given: Input, calibration: FloatArray | None) -> Any:
        """A few sequences to compare on: of the calibration frames, if there are any."""
        if calibration is None or given.width is None:
            return self._random(given, MOST_LANES - 1, STEPS + 3)
        calibration = np.where(np.isfinite(calibration), calibration, 0)  # beyond the lengths
        frames = calibration if calibration.ndim == 3 else calibration[:, None]
        if calibration.ndim == 2 and not given.is_time_major:
            frames = calibration[None]
        axes = (1, 0) if given.is_time_major else (0, 1)
        for axis, least, most in zip(axes, (1, 3), (MOST_LANES, MOST_STEPS), strict=True):
            count = min(max(frames.shape[axis], least), most)
            if axis == axes[1] and count == STEPS:
                count += 1
            frames = np.take(frames, np.arange(count) % frames.shape[axis], axis=axis)
        return torch.from_numpy(frames.astype(np.float64)).to(self._device, self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        kinds = (p.dtype for p in self.module.parameters() if p.dtype.is_floating_point)
        return next(kinds, torch.float32)

    @property
    def _device(self) -> torch.device:
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def _states(self, lanes: int) -> list[tuple[str, Any]]:
        """Initial states for the arguments that ask for them: name -> tensor."""
        found: list[tuple[str, Any]] = []
        generator = torch.Generator().manual_seed(SEED)
        asked = [name for name, kind in self.plan.items() if kind != "lengths"]
        parts = [part for part in self.module.modules() if isinstance(part, nn.RNNBase)]
        if asked and len(parts) != 1:
            raise PenstockError(
                f"forward takes an initial state, and the module has {len(parts)} recurrent layers",
                self.where, "give each module its own state, and compile them apart",
            )  # fmt: skip
        for name in asked:
            part = parts[0]
            count = part.num_layers * (2 if part.bidirectional else 1)
            h = (count, lanes, part.proj_size or part.hidden_size)
            c = (count, lanes, part.hidden_size)
            is_c = name.lower().startswith("c")
            shapes = [h, c] if self.plan[name] == "pair" else [c if is_c else h]
            for index, shape in enumerate(shapes):
                values = torch.rand(shape, generator=generator) * 1.8 - 0.9
                suffix = "hc"[index] if len(shapes) > 1 else ""
                title = f"{name}_{suffix}" if suffix else name
                found.append((title, values.to(self._device, self._dtype)))
        return found

    # -- following --------------------------------------------------------------------------------

    def trace(self, x: Any, given: Input) -> Network:
        """The network by the program of sequences like x. Raises whatever the module does, too."""
        return self._followed(self._exported(x, given), x, given)

    def _exported(self, x: Any, given: Input) -> Any:
        lanes, steps = _sizes(x, given)
        states = [value for _, value in self._states(lanes)]
        call = _Call(self.module, self.plan, [steps] * lanes)
        return exported(call, (x, *states), steps, lanes)

    def _followed(self, program: Any, x: Any, given: Input) -> Network:
        lanes, steps = _sizes(x, given)
        names = [name for name, _ in self._states(lanes)]
        follower = Follower(program, self.where, lanes, steps, self.where.lower())
        return follower.follow(given.width, given.is_time_major, names)

    def compare(self, network: Network, x: Any, given: Input) -> None:
        """Raise PenstockError unless the module and the network give the same numbers."""
        lanes, steps = _sizes(x, given)
        lengths = [[steps] * lanes]
        if "lengths" in self.plan.values():
            lengths.append([max(steps - 2 * lane, 1) for lane in range(lanes)])
        states = self._states(lanes)
        for counts in lengths:
            theirs = self._run(x, counts)
            ours = Ours(network, _frames(x, network, given), np.array(counts),
                        {name: _plain(value) for name, value in states})  # fmt: skip
            eps = torch.finfo(self._dtype).eps
            check_same_numbers(leaves_of(theirs), ours, self.where, eps)

    def _run(self, x: Any, lengths: list[int]) -> Any:
        """What the module itself gives."""
        states = self._states(len(lengths))
        with torch.no_grad():
            return _Call(self.module, self.plan, lengths)(x, *(value for _, value in states))


def _sizes(x: Any, given: Input) -> tuple[int, int]:
    """Sequences and steps of what the module takes."""
    lanes, steps = x.shape[1::-1] if given.is_time_major else x.shape[:2]
    return int(lanes), int(steps)


def _frames(x: Any, network: Network, given: Input) -> FloatArray:
    """x as the network takes it: the sequences first, tokens looked up."""
    table = network.model.table
    frames = _plain(x) if table is None else table[x.cpu().numpy()]
    return frames.swapaxes(0, 1) if given.is_time_major else frames


def _plain(value: Any) -> FloatArray:
    array: FloatArray = value.detach().cpu().double().numpy()
    return array


def _first_line(fault: Exception) -> str:
    text = str(fault).strip()
    if not text or isinstance(fault, KeyError | AssertionError):
        text = f"{type(fault).__name__}: {text}".rstrip(": ")
    if "data-dependent" in text:
        return VALUE
    return text.splitlines()[0][:200]
