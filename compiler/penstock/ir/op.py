"""What an operation owes the compiler: its result type, its integer semantics and its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import Fixed, FloatArray, IntArray
from penstock.ir.matrix import Matrix


@dataclass(frozen=True)
class Tensor:
    """What is known of a value at compile time.

    shape: (n,) for a vector of the step, (rows, columns) for a weight matrix.
    lo, hi: proven interval of its raw integers, within ``type``.
    constant: its raw integers if they never change (weights, tables), else None; of a weight
    matrix, as its non-zeros.
    """

    shape: tuple[int, ...]
    type: Fixed
    lo: int
    hi: int
    constant: IntArray | Matrix | None = field(default=None, compare=False, repr=False)

    @property
    def length(self) -> int:
        """Elements of a vector; rows of a matrix."""
        return self.shape[0]


@dataclass(frozen=True)
class Value:
    """A value at run time: raw integers, (lanes, n) or a constant's own shape, and their type.

    Those of a weight matrix are a ``Matrix``: ``weights``.
    """

    raw: IntArray
    type: Fixed

    @cached_property
    def as_float(self) -> FloatArray:
        """The raw integers in float64, for sums that are proven below 2**53."""
        return self.raw.astype(np.float64)

    @property
    def weights(self) -> Matrix:
        """The raw integers of a constant weight matrix."""
        return cast(Matrix, self.raw)


@dataclass(frozen=True)
class Cost:
    """Hardware of one element of an operation: multipliers, 18-Kbit block RAMs, pipeline cycles."""

    dsp: int = 0
    bram18: int = 0
    latency_cycles: int = 0


class Step(Protocol):
    """What one time step gives to the operations that reach outside it.

    All arrays are (lanes, n).
    """

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(lanes, 1): the lane's sequence has this step."""
        ...

    @property
    def last(self) -> NDArray[np.bool_]:
        """(lanes, 1): this is the last step of the lane's sequence."""
        ...

    @property
    def first(self) -> NDArray[np.bool_]:
        """(lanes, 1): this is the first step of the lane's sequence."""
        ...

    @property
    def length(self) -> IntArray:
        """(lanes, 1): steps of the lane's sequence."""
        ...

    def read_input(self, name: str) -> IntArray:
        """The frame of this step."""
        ...

    def read_state(self, name: str) -> IntArray:
        """The state as the previous step left it, or the initial state; whatever this step wrote.

        So is a capture read by the operation that makes it.
        """
        ...

    def write_state(self, name: str, value: IntArray) -> None:
        """The state for the next step; lanes that have no such step keep theirs."""
        ...

    def write_output(self, name: str, value: IntArray) -> None:
        """One frame of the result."""
        ...


class Traits:
    """What a reader may ask of any operation instead of its kind; here, what holds of most.

    An operation derives from this class and states what differs.
    """

    is_source: ClassVar[bool] = False
    """Nothing is computed: an input, a constant, a state."""
    is_elementwise: ClassVar[bool] = False
    """Element k of the result depends on element k of the vectors alone, and on nothing else of
    the run."""
    vectors: ClassVar[slice] = slice(None)
    """Which operands are vectors of the step."""
    matrices: ClassVar[slice] = slice(0, 0)
    """Which operands are constant weight matrices."""
    tables: ClassVar[slice] = slice(0, 0)
    """Which operands are constant tables, looked up by value."""

    reads_length: ClassVar[bool] = False
    """It asks for the number of steps of the lane's sequence."""

    @property
    def reads(self) -> str | None:
        """The state whose old value this is."""
        return None

    @property
    def writes(self) -> str | None:
        """The state that this becomes at the end of the step."""
        return None

    @property
    def captures(self) -> str | None:
        """The name under which this keeps one step's value for a later ``once`` sweep."""
        return None

    @property
    def when(self) -> str:
        """In which steps of the lane's sequence the result counts: ``first`` or ``last``, in that
        one; any other word, in all.
        """
        return "step"

    @property
    def accumulates(self) -> bool:
        """True for a capture that depends on what it was in the step before."""
        return False

    def fitting(self, *inputs: Tensor) -> tuple[int, int] | None:
        """Raw values lo..hi of the first operand that ``eval`` need not bring into range; None if
        it never brings any.
        """
        return None

    def outside(self, step: Step, *inputs: Value) -> NDArray[np.bool_]:
        """(lanes, n): the values that ``eval`` brings into range, where ``fitting`` is not None."""
        raise NotImplementedError


class Op(Protocol):
    """One operation. Implementations are frozen dataclasses: their fields are their attributes.

    ``infer`` raises ValueError for operands it can't take: an ill-typed graph can't be built. It
    refuses operands for which ``eval`` would leave int64. The traits are those of ``Traits``.
    """

    kind: ClassVar[str]
    """Name in graph.json, and stem of the operation's C++ template."""
    is_source: ClassVar[bool]
    is_elementwise: ClassVar[bool]
    vectors: ClassVar[slice]
    matrices: ClassVar[slice]
    tables: ClassVar[slice]
    reads_length: ClassVar[bool]

    @property
    def reads(self) -> str | None: ...  # noqa: D102

    @property
    def writes(self) -> str | None: ...  # noqa: D102

    @property
    def captures(self) -> str | None: ...  # noqa: D102

    @property
    def when(self) -> str: ...  # noqa: D102

    @property
    def accumulates(self) -> bool: ...  # noqa: D102

    def fitting(self, *inputs: Tensor) -> tuple[int, int] | None: ...  # noqa: D102

    def outside(self, step: Step, *inputs: Value) -> NDArray[np.bool_]: ...  # noqa: D102

    @property
    def infer(self) -> Callable[..., Tensor]:
        """(*inputs: Tensor): shape, type and interval of the result."""
        ...

    @property
    def eval(self) -> Callable[..., IntArray]:
        """(step, *inputs: Value): the result's raw integers, (lanes, n).

        The definition that every back end must equal.
        """
        ...

    @property
    def cost(self) -> Callable[..., Cost]:
        """(*inputs: Tensor): hardware for one element."""
        ...


def attributes(op: Any) -> dict[str, Any]:
    """An operation's fields as plain values, for graph.json (constant data left out)."""
    found = {}
    for attribute in fields(op):
        value = getattr(op, attribute.name)
        if isinstance(value, Fixed):
            found[attribute.name] = value.to_json()
        elif not isinstance(value, np.ndarray | Matrix):
            found[attribute.name] = value
    return found


def require(holds: bool, message: str) -> None:
    """Refuse operands: raise ValueError(message) unless ``holds``."""
    if not holds:
        raise ValueError(message)


def require_vectors(*inputs: Tensor) -> None:
    """Refuse operands that are not vectors of one length."""
    require(len(inputs) >= 1, "there are no operands")
    require(len({x.shape for x in inputs}) == 1 and len(inputs[0].shape) == 1,
            f"operands of shapes {[x.shape for x in inputs]} can't be combined")  # fmt: skip
