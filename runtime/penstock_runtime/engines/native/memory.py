"""A plan in memory: what all runs share, and the buffers of a run over some lanes."""

from __future__ import annotations

import ctypes as ct
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.ir import Node
from penstock.ir.saturation import Saturation, tallied
from penstock.ops import Capture
from penstock_runtime.engines.native.matrix import (
    Packed,
    merged,
    pack_rows,
    pack_slices,
    pack_wide,
)
from penstock_runtime.engines.native.plan import BufferPlan, MatrixPlan, Plan
from penstock_runtime.engines.native.program import (
    BLOCK,
    Buffer,
    Call,
    Copy,
    Group,
    Instruction,
    Matrix,
    Order,
    Saturated,
    Storage,
    Sweep,
    Table,
)

SIZES = (1, 8, 16, 32)
"""Lanes that the kernels know."""
MARGIN = 64
"""Elements behind an arena that a kernel may read, and not use."""
LINE = 64
"""Bytes of a line of the cache."""
KEPT_BYTES = 1 << 20
"""A buffer of every step that is larger is made anew for each run."""
NEVER = (1 << 63) - 1


class Image:
    """What never changes: instructions, tables, matrices."""

    def __init__(self, plan: Plan, can_permute: bool) -> None:
        self.plan, self._can_permute = plan, can_permute
        groups = [group for sweep in plan.sweeps for group in sweep.groups]
        lines = [line for group in groups for line in group.lines]
        self.instructions = (Instruction * max(len(lines), 1))(
            *(Instruction(opcode=line.opcode, **line.fields) for line in lines)
        )
        self.groups = (Group * max(len(groups), 1))(*_ranges(groups))
        self.sweeps = (Sweep * len(plan.sweeps))(*_sweeps(plan))
        self._entries = [
            entries.astype(np.int64 if wide else np.int32) for entries, wide in plan.tables
        ]
        self.tables = (Table * max(len(plan.tables), 1))(
            *(Table(entries.ctypes.data) for entries in self._entries)
        )
        self._packing = threading.Lock()
        self._matrices: dict[bool, tuple[ct.Array[Matrix], list[Packed]]] = {}

    def matrices(self, is_single: bool) -> ct.Array[Matrix]:
        """Packed for a single lane, or for several; made once, when first asked for.

        Calls hold its address alone.
        """
        with self._packing:
            return self._made(is_single)

    def weight_bytes(self, is_single: bool) -> int:
        """Of all matrices, packed for a single lane or for several."""
        self.matrices(is_single)
        _, packed = self._matrices[is_single]
        return sum(array.nbytes for own in packed for array in own.arrays.values())

    def _made(self, is_single: bool) -> ct.Array[Matrix]:
        if is_single not in self._matrices:
            packed = [self._packed(matrix, is_single) for matrix in self.plan.matrices]
            found = (Matrix * max(len(packed), 1))()
            for own, arrays, matrix in zip(found, packed, self.plan.matrices, strict=False):
                own.storage, own.is_permuted = matrix.storage, "places" in arrays.arrays
                arrays.put(own)
            self._matrices[is_single] = found, packed
        return self._matrices[is_single][0]

    def _packed(self, matrix: MatrixPlan, is_single: bool) -> Packed:
        positions = [self.plan.buffers[index].position for index in matrix.buffers]
        offsets = [position for position in positions if position is not None]
        if matrix.storage is not Storage.INT16:
            return pack_wide(matrix.operands, offsets, matrix.rows, matrix.storage)
        parts = merged(matrix.operands, offsets)
        if is_single:
            return pack_slices(parts, matrix.rows, self._can_permute)
        return pack_rows(parts, matrix.rows)


def _ranges(groups: list[Any]) -> list[Group]:
    ends = np.cumsum([0, *(len(group.lines) for group in groups)])
    return [
        Group(group.rows, int(start), int(start) + len(group.lines))
        for group, start in zip(groups, ends, strict=False)
    ]


def _sweeps(plan: Plan) -> list[Sweep]:
    found, group, copy = [], 0, 0
    for sweep in plan.sweeps:
        order = Order[sweep.walked.direction.upper()]
        after, copied = group + len(sweep.groups), copy + len(sweep.copies)
        found.append(Sweep(order, group, after, copy, copied))
        group, copy = after, copied
    return found


class Memory:
    """Buffers for ``lanes`` sequences that run together, side by side in ``padded`` lanes."""

    def __init__(self, image: Image, lanes: int) -> None:
        self.image, self.plan, self.lanes = image, image.plan, lanes
        self.padded = next(size for size in SIZES if size >= lanes)
        plan = self.plan
        self._arenas = {storage: self._arena(storage) for storage in Storage}
        self.arrays = [self._array(buffer) for buffer in plan.buffers]
        self.buffers = (Buffer * max(len(plan.buffers), 1))()
        for own, buffer, array in zip(self.buffers, plan.buffers, self.arrays, strict=False):
            own.start, own.storage, own.rows = array.ctypes.data, buffer.storage, buffer.rows
        self.saturated = (Saturated * (len(plan.slots) + 1))()  # the last: of all that alarm
        self.lengths = np.zeros(self.padded, np.int64)
        self._registers = np.zeros(plan.registers * BLOCK + LINE // 8, np.int64)
        self._masks = np.zeros(3 * self.padded, np.int32)
        self._copies = (Copy * max(sum(len(sweep.copies) for sweep in plan.sweeps), 1))(
            *(self._copy(to, source) for sweep in plan.sweeps for to, source in sweep.copies)
        )
        self.call = self._call()

    def _arena(self, storage: Storage) -> NDArray[np.generic]:
        ends = [
            buffer.position + buffer.rows
            for buffer in self.plan.buffers
            if buffer.position is not None and buffer.storage is storage
        ]
        return np.zeros(max(ends, default=0) * self.padded + MARGIN, storage.dtype)

    def _array(self, buffer: BufferPlan) -> NDArray[np.generic]:
        """(rows, lanes). A buffer for every step is made when its number is known."""
        size = buffer.rows * self.padded
        if buffer.later:
            return np.zeros((0, buffer.rows, self.padded), buffer.storage.dtype)
        if buffer.position is None:
            array = np.zeros(size, buffer.storage.dtype)
        else:
            start = buffer.position * self.padded
            array = self._arenas[buffer.storage][start : start + size]
        array = array.reshape(buffer.rows, self.padded)
        if buffer.constant is not None:
            array[:] = buffer.constant[:, None]
        return array

    def _copy(self, to: int, source: int) -> Copy:
        target, origin = self.arrays[to], self.arrays[source]
        return Copy(target.ctypes.data, origin.ctypes.data, target.nbytes)

    def _call(self) -> Call:
        image, plan = self.image, self.plan
        shared: dict[str, Any] = {
            "instructions": image.instructions, "groups": image.groups, "sweeps": image.sweeps,
            "tables": image.tables, "matrices": image.matrices(self.padded == 1),
            "copies": self._copies, "buffers": self.buffers, "saturated": self.saturated,
        }  # fmt: skip
        own: dict[str, Any] = {"masks": self._masks, "lengths": self.lengths} | {
            f"arena_{storage:d}": arena for storage, arena in self._arenas.items()
        }
        return Call(
            registers=-(-self._registers.ctypes.data // LINE) * LINE,
            lanes=self.lanes, padded_lanes=self.padded,
            sweep_count=len(plan.sweeps), slots=len(plan.slots),
            **{name: ct.addressof(array) for name, array in shared.items()},
            **{name: array.ctypes.data for name, array in own.items()},
        )  # fmt: skip

    def restart(self, lengths: IntArray, state: dict[str, IntArray] | None) -> None:
        """What a sequence begins with: states (default: zero), captures; no value lost yet."""
        self.lengths[: self.lanes] = lengths
        for own in self.saturated:
            own.count, own.first = 0, NEVER
        self.restart_captures()
        for name, index in self.plan.states.items():
            if state is None:
                self.arrays[index].fill(0)
            else:
                self.arrays[index][:, : self.lanes] = state[name].T

    def restart_captures(self) -> None:
        """As before the first step."""
        for index in self.plan.captures.values():
            self.arrays[index].fill(self.plan.buffers[index].initial)

    def reserve(self, steps: int) -> None:
        """Room for ``steps`` steps of what later sweeps read."""
        for index, buffer in enumerate(self.plan.buffers):
            if buffer.later and len(self.arrays[index]) < steps:
                array = np.zeros((steps, buffer.rows, self.padded), buffer.storage.dtype)
                self.arrays[index] = array
                self.buffers[index].start = array.ctypes.data
                self.buffers[index].step_bytes = array.strides[0]

    def shrink(self) -> None:
        """Give back what a long sequence took for later sweeps."""
        for index, buffer in enumerate(self.plan.buffers):
            if buffer.later and self.arrays[index].nbytes > KEPT_BYTES:
                self.arrays[index] = self._array(buffer)

    def connect(self, x: IntArray, y: IntArray) -> None:
        """Where frames come from and results go, (lanes, steps, n) each; the caller keeps them."""
        call = self.call
        call.x, call.y = x.ctypes.data, y.ctypes.data
        call.x_lane, call.x_step = (own // x.itemsize for own in x.strides[:2])
        call.y_lane, call.y_step = (own // y.itemsize for own in y.strides[:2])
        call.steps = x.shape[1]

    def value(self, sweep: int, node: Node) -> IntArray:
        """What a node of a sweep gave in the last step, (lanes, n), if everything is kept."""
        if isinstance(node.op, Capture):
            return self._given(self.plan.captures[node.op.name])
        return self._given(self.plan.values[sweep][node.name])

    def state(self) -> dict[str, IntArray]:
        """All states as the last step left them: name -> (lanes, n)."""
        return {name: self._given(index) for name, index in self.plan.states.items()}

    def saturations(self, runs: int) -> tuple[Saturation, ...]:
        """What ``runs`` runs counted, of every tensor that can saturate."""
        found = {
            name: (own.count, None if own.first == NEVER else own.first)
            for name, own in zip(self.plan.slots, self.saturated, strict=False)
        }
        lengths = np.tile(self.lengths, runs)
        return tallied(self.plan.slots, self.plan.program.graph.sweeps, lengths, found)

    def _given(self, index: int) -> IntArray:
        """A copy of a buffer, (lanes, rows)."""
        return self.arrays[index][:, : self.lanes].T.astype(np.int64, order="C")
