"""What is known while a kernel is followed: contents of memories, conditions, accesses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.pragmas import Place
from penstock_runtime.lint.tree import Variable
from penstock_runtime.lint.values import Atoms, Guard, Value

Fields = tuple[str, ...]
Contents = dict[tuple["Memory", Fields], Value]


@dataclass(frozen=True, eq=False)
class Memory:
    """A variable, in one of the instances of the function that it is local to."""

    variable: Variable
    number: int
    is_port: bool = False


@dataclass(frozen=True)
class Array:
    """An array of a kernel: a memory, or a member of one that is a struct. dims: its extents."""

    memory: Memory
    fields: Fields = ()

    @property
    def name(self) -> str:
        """As the kernel names it."""
        return ".".join([self.memory.variable.name, *self.fields])


@dataclass(frozen=True)
class Spot:
    """What an expression names: an array's element or row. offset: of a pointer into it."""

    array: Array
    dims: tuple[int, ...]
    indices: tuple[Value, ...] = ()
    offset: Value | None = None

    def at(self, index: Value) -> Spot:
        """An element of it."""
        return replace(self, indices=(*self.indices, index), offset=None)


@dataclass(frozen=True)
class Access:
    """A read or a write of an element, where the guards hold."""

    array: Array
    dims: tuple[int, ...]
    indices: tuple[Value, ...]
    is_write: bool
    guards: frozenset[Guard]
    at: Place


@dataclass
class Pipeline:
    """One iteration of a loop with PIPELINE, or one call of such a function.

    interval: its II. counter: the loop's own atom. depth: guards that held before it.
    """

    at: Place
    function: str
    label: str
    interval: int
    counter: int | None
    depth: int
    accesses: list[Access] = field(default_factory=list)
    unrolled: int = 0


class State:
    """Contents, conditions and the accesses of the pipeline that is followed."""

    def __init__(self, findings: Findings) -> None:
        self.findings, self.atoms = findings, Atoms()
        self.contents: Contents = {}
        self.guards: list[Guard] = []
        self.pipeline: Pipeline | None = None
        self.pipelines: list[Pipeline] = []
        self.varying: set[tuple[Variable, Fields]] = set()
        self._memories = 0
        self._local: list[Memory] = []
        self._members: dict[Memory, set[Fields]] = {}

    def memory(self, variable: Variable, is_port: bool = False) -> Memory:
        """A new memory."""
        self._memories += 1
        made = Memory(variable, self._memories, is_port)
        if not variable.is_kept:
            self._local.append(made)
        return made

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What is declared within is gone behind it."""
        before = len(self._local)
        yield
        for memory in self._local[before:]:
            self._drop_members(memory)
            self.contents.pop((memory, ()), None)
        del self._local[before:]

    @contextmanager
    def where(self, guards: tuple[Guard, ...]) -> Iterator[None]:
        """What is done within happens where the guards hold."""
        self.guards += guards
        yield
        del self.guards[len(self.guards) - len(guards) :]

    def content(self, array: Array) -> Value:
        """Of a variable that is no array; of an array, what stands for all its elements."""
        key = (array.memory, array.fields)
        if key not in self.contents:
            whole = self.contents.get((array.memory, ()))
            value = self.atoms.of(
                "content", array.memory.number, array.fields, whole if array.fields else None
            )
            self._put(array, value)
        return self.contents[key]

    def _put(self, array: Array, value: Value) -> None:
        if array.fields:
            self._members.setdefault(array.memory, set()).add(array.fields)
        self.contents[array.memory, array.fields] = value

    def set_content(self, array: Array, value: Value) -> None:
        """Of a variable that is no array."""
        if not array.fields:
            self._drop_members(array.memory)
        self._put(array, value)

    def _drop_members(self, memory: Memory) -> None:
        for fields in self._members.get(memory, ()):
            self.contents.pop((memory, fields), None)

    def forget(self, memory: Memory) -> None:
        """Nothing is known of it any more."""
        self._drop_members(memory)
        self.contents[memory, ()] = self.atoms.fresh("forgotten")

    def forget_kept(self) -> None:
        """Nothing is known of static variables: another iteration has written them."""
        for memory in {key[0] for key in self.contents if key[0].variable.storage == "static"}:
            self.forget(memory)

    def read(self, spot: Spot, at: Place) -> Value:
        """A variable's or an element's value."""
        content = self.content(spot.array)
        if not spot.indices:
            return content
        self.record(spot, False, at)
        return self.atoms.of("element", content, spot.indices)

    def write(self, spot: Spot, value: Value, at: Place) -> None:
        """Give a variable or an element another value."""
        if not spot.indices:
            self.set_content(spot.array, value)
            return
        self.record(spot, True, at)
        self._put(spot.array, self.atoms.fresh("written"))

    def record(self, spot: Spot, is_write: bool, at: Place) -> None:
        """Note an access; of a port, whether it is part of a burst."""
        if any(index.terms for index in spot.indices):
            self.varying.add((spot.array.memory.variable, spot.array.fields))
        self._check_range(spot, at)
        if spot.array.memory.is_port:
            self._check_burst(spot, at)
        if self.pipeline is not None:
            own = frozenset(self.guards[self.pipeline.depth :])
            self.pipeline.accesses.append(
                Access(spot.array, spot.dims, spot.indices, is_write, own, at)
            )

    def _check_range(self, spot: Spot, at: Place) -> None:
        if self.guards[self.pipeline.depth if self.pipeline else 0 :]:
            return  # it may never happen
        for extent, index in zip(spot.dims, spot.indices, strict=False):
            known = index.known
            if extent and known is not None and not 0 <= known < extent:
                self.findings.add(
                    "index-range", at,
                    f"index {known} of {spot.array.name} is not within its {extent} elements",
                )  # fmt: skip

    def _check_burst(self, spot: Spot, at: Place) -> None:
        own, name = self.pipeline, spot.array.name
        if own is None or own.counter is None or own.interval != 1:
            why = "stands in no loop with PIPELINE II=1"
        elif self.guards[own.depth :]:
            why = "is conditional"
        elif own.unrolled:
            why = "stands in an unrolled loop"
        elif spot.indices[-1].coefficient(own.counter) != 1:
            why = "has an index that the loop's counter does not move by 1"
        else:
            return
        self.findings.add(
            "burst", at, f"the access of {name} {why}",
            "copy beats in a loop of their own, and choose between such loops",
        )  # fmt: skip
