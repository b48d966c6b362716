"""The states of a network as its users give and take them: PyTorch's arrays, or by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.arrays import as_array
from penstock.errors import PenstockError
from penstock.fixed import Fixed, FloatArray, IntArray
from penstock.hidden import by_name, stacks
from penstock.ir import Node
from penstock.ir.evaluate import initial_state
from penstock.ir.saturation import Kind, Saturation, reals_outside
from penstock_runtime.project import Project

State = dict[str, IntArray]
"""Name -> (sequences, n) raw integers."""


@dataclass(frozen=True)
class GivenState:
    """A state as the network takes it. saturations: of what was given as real numbers."""

    state: State
    saturations: tuple[Saturation, ...] = ()


def hidden(project: Project, state: State) -> tuple[FloatArray, ...]:
    """See Interpreter.hidden."""
    values = real(project, state)
    found = stacks(_in_order(project, state))
    for names in found.values():
        lengths = [state[name].shape[1] for name in names]
        if len(set(lengths)) > 1:
            raise PenstockError(
                f"layers of {lengths} elements can't share one array of states",
                str(project.folder),
                "take them by name, from Interpreter.run",
            )
    return tuple(np.stack([values[name] for name in names]) for names in found.values())


def saved(project: Project, state: State) -> dict[str, FloatArray]:
    """See Interpreter.saved_state."""
    if not state:
        raise PenstockError(
            "the network has no state",
            str(project.folder),
            "there is none to give or to take",
        )
    found = stacks(_in_order(project, state))
    is_of_others = sum(map(len, found.values())) < len(state)
    sizes = ({state[name].shape[1] for name in names} for names in found.values())
    if is_of_others or any(len(one) > 1 for one in sizes):
        return real(project, state)
    return dict(zip((f"{letter}_n" for letter in found), hidden(project, state), strict=True))


def real(project: Project, state: State) -> dict[str, FloatArray]:
    """The real numbers of a state, by name."""
    states = project.graph.states()
    return {name: states[name].read.tensor.type.to_float(values) for name, values in state.items()}


def complete(project: Project, given: Any, where: str) -> dict[str, Any]:
    """A state by name. Raises PenstockError unless each of the network's states is there."""
    names = _in_order(project, project.graph.states())
    found = by_name(given, names, where)
    if found.keys() == {*names}:
        return found
    known = stacks(names)
    missing = [letter for letter, own in known.items() if not found.keys() & {*own}]
    if missing and found.keys() < {*names}:
        letter = missing[0]
        raise PenstockError(
            f"the initial state needs {letter}_0 of shape ({len(known[letter])}, sequences, n)",
            where,
            f"save it with numpy.savez(file, {', '.join(f'{one}_0=...' for one in known)})",
        )
    raise PenstockError(
        f"the states are {sorted(names)}, not {sorted(map(str, found))}",
        where,
        "give h_0 and c_0 as in torch, or each of these by its name",
    )


def _in_order(project: Project, names: Iterable[str]) -> list[str]:
    """States as PyTorch counts their layers, which is the manifest's order."""
    return sorted(names, key=list(project.manifest.interface.states).index)


def given_state(project: Project, state: Any, lanes: int) -> GivenState:
    """What ``run`` makes of its state, and how many of its values had to be cut off."""
    zero = initial_state(project.graph, lanes)
    if state is None:
        return GivenState(zero)
    where = f"initial state for {project.folder}"
    given = complete(project, state, where)
    reads = {name: own.read for name, own in project.graph.states().items()}
    arrays = {name: as_array(given[name], where) for name in zero}
    raw = {name: _raw(name, values, reads[name], lanes, where) for name, values in arrays.items()}
    lost = [
        _saturation(name, values, reads[name].tensor.type)
        for name, values in arrays.items()
        if values.dtype.kind == "f"
    ]
    return GivenState(raw, tuple(lost))


def _raw(name: str, given: Any, read: Node, lanes: int, where: str) -> IntArray:
    """One state's values as raw integers: floats are quantized, integers must lie in the type."""
    dtype, shape = read.tensor.type, (lanes, read.tensor.length)
    if given.dtype.kind not in "fiu":
        raise PenstockError(
            f"state {name} is of type {given.dtype}, not numbers",
            where,
            "give floats or raw integers",
        )
    if given.shape != shape:
        raise PenstockError(
            f"state {name} has shape {given.shape}, not {shape}",
            where,
            "give (sequences, elements)",
        )
    if not np.isfinite(given).all():
        raise PenstockError(f"state {name} has NaN or infinite values", where, "reset the state")
    raw = quantized(dtype, given) if given.dtype.kind == "f" else given
    if not fits(dtype, raw):
        raise PenstockError(f"state {name} is outside {dtype}", where, "give raw integers")
    return raw.astype(np.int64)


def _saturation(name: str, values: Any, dtype: Fixed) -> Saturation:
    count = int(np.count_nonzero(reals_outside(dtype, values)))
    return Saturation(name, Kind.STATE, count, values.size, 0 if count else None)


def quantized(dtype: Fixed, values: Any) -> IntArray:
    """Real numbers of any size as raw integers of a type."""
    with np.errstate(over="ignore"):  # what is far out of range saturates or wraps as the rest does
        return dtype.quantize(values)


def fits(dtype: Fixed, raw: Any) -> bool:
    """Integers of any NumPy type: int64 does not hold all of them."""
    return dtype.raw_min <= int(raw.min()) and int(raw.max()) <= dtype.raw_max
