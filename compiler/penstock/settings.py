"""What the user chooses: the hardware to build and the number formats to build it with."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from penstock.bounds import (
    DEEPEST_QUEUE,
    FASTEST_MHZ,
    LANE_CHOICES,
    MAX_CELL_UNITS,
    MAX_MULTIPLIERS,
    MAX_PES,
    MAX_STEPS,
    PORT_BITS,
    WIDEST,
)
from penstock.devices import BOARDS, Device, board_of, known_device
from penstock.errors import PenstockError
from penstock.fixed import Fixed
from penstock.option import Option

DATAFLOWS = ("gather", "broadcast", "bank", "auto")
ASSIGNMENTS = ("best", "interleave", "balance", "search")
WEIGHT_STORAGES, IOS = ("auto", "stream", "onchip"), ("memory", "stream")
DEFAULT_PART, DEFAULT_MHZ = "xcu55c-fsvh2892-2L-e", 200.0
USUAL_UNITS, MOST_UNITS, MOST_ELEMENTS = 8, 32, 64
"""Copies of the cell unit that are taken by default: eight, or one for eight PEs, where a step is
so short that the units would be much of it; and of all lanes, no more than 64 elements a cycle."""
MOST_COPIED = 16
"""Elements of a word of the copies of the activations."""
EIE_QUEUE_DEPTH = 8
"""Of the activation queues of EIE (Han et al., ISCA 2016, figure 8), ESE's predecessor; the paper
on ESE gives none."""
MAX_BROADCAST_PES = 128
"""PEs whose queues are written in one cycle; ESE has 32 in a channel."""
EXPONENT_BITS = 3
"""A row of a matrix may be stored up to 2**7 times as great as it is."""
GATES = 4
"""Rows of an LSTM's cell."""
RANGE_METHODS = ("error", "peak", "percentile")


@dataclass(frozen=True)
class Hardware:
    """The accelerator to generate. What is left open the compiler chooses, see ``machine.choose``.

    pes: processing elements, each one multiplier per lane. Default: chosen for the device.
    lanes: independent sequences served by the same weight stream (ESE's channels).
    elements_per_cycle: of the cell unit and of every write to the activation memory; must divide
        ``pes``. Default: chosen with the PEs; of PEs that are given, where that fits, the largest
        power of two up to 8 that divides them (of an odd number, the largest divisor up to 8), or
        up to an eighth of them and 32; of all lanes, no more than 64.
    accumulator_banks: accumulator memories of a PE, 4, 8 or 16; more banks keep apart two uses of
        one slot that follow too closely. Default: the fewest that cost under 0.5 % in bubbles.
    hazard_distance: cycles between two uses of an accumulator address: read, add, write.
    dataflow: ``gather``, where PEs in lock step gather activations from copies of the vectors;
        ``broadcast``, ESE's: a column's activation goes to a queue at every PE, and the PEs go down
        their columns unsynchronised, by a relative index; or ``bank``, for masks with as many
        non-zeros in every bank of columns (Cao et al. 2019): a multiplier for each of ``rows`` x
        ``banks``, an adder tree for a row, and the cell unit in the same pipeline. The last two do
        not overlap with the cell unit otherwise. ``auto`` takes gather or bank, whichever is faster
        where it fits.
    rows, banks: of ``bank``; its PEs are as many as both together. Default: chosen for the device.
    interleave: of ``bank``: so many of the lanes take turns in the pipeline, and one fills it while
        another waits for its own results; a divisor of ``lanes``, which lie side by side otherwise.
    queue_depth: of the activation queues of ``broadcast``, 1..1024; default: 8, EIE's.
    overlap: words whose vectors are known run beside the cell unit, and its results are written to
        the activation memory beside the next product. It takes a copy of the activations for every
        PE, and a copy of the sums. Default: chosen with the PEs; of PEs that are given, with one
        lane where that fits.
    assign: rows to PEs by ``interleave`` (row mod PEs, ESE), ``balance`` (longest processing time
        first), ``search`` (from there on, rows are exchanged; a PE may have a slot more where that
        pays), or ``best``: whichever needs the fewest cycles.
    index_bits: bits of the distance to the previous non-zero, 1..8; default: chosen per phase, and
        ESE's 4 with ``broadcast``.
    weight_storage: ``stream`` reads the weights in every step; ``onchip`` loads them once, with the
        parameters, into memories of the PE groups; ``auto`` keeps them on chip where they fit and a
        step is shorter for it.
    io: ``memory``: the kernel reads frames from memory and writes results there; ``stream``: they
        are AXI streams, for a DMA or other kernels. Weights, parameters, states stay in memory.
    port_bits: width of a memory port or of an AXI stream (one beat). Default: the device's.
    max_steps: longest sequence of a network that must buffer frames (bidirectional layers), up to
        2**20.
    clock_mhz: target clock. Default: the board's, else 200 MHz.
    board: a board of the device table (``penstock.devices``), which has a part.
    part: as Vivado writes it, of a device in that table. Default: the board's, else that of a U55C.
    part_resources: what a part has that is not in the table, or is taken to have:
        ``lut=..,ff=..,bram18=..,uram=..,dsp=..``, and of its memory ``gbps=..,ports=..,
        port_bits=..``.

    What is compiled can be simulated. So vectors have up to 2**20 elements, matrices 2**27 with
    their zeros, and the kernel's memories (all copies of the activations, accumulators, buffered
    frames; all lanes) 1 GiB, far above what any FPGA has: ``compile`` refuses what is larger.
    """

    pes: Annotated[
        int, Option("Processing elements. Default: chosen for the device, as few as are worth it.")
    ] = None  # type: ignore[assignment]
    lanes: Annotated[int, Option("Sequences processed at once: 1, 2, 4, 8, 16 or 32.")] = 1
    elements_per_cycle: Annotated[
        int | None,
        Option("Elements per cycle of the cell unit; must divide the PEs. Default: chosen."),
    ] = None
    accumulator_banks: Annotated[
        int | None,
        Option("Accumulator banks per PE: 4, 8 or 16. Default: the fewest with < 0.5 % bubbles."),
    ] = None
    hazard_distance: Annotated[
        int, Option("Minimum cycles between two uses of an accumulator.")
    ] = 4
    dataflow: Annotated[
        str,
        Option(
            "How activations reach the PEs: gather, broadcast (ESE's queues), bank, or auto.",
            choices=DATAFLOWS,
        ),
    ] = "gather"
    rows: Annotated[int | None, Option("Rows at a time of the bank dataflow. Default: chosen.")] = (
        None
    )
    banks: Annotated[
        int | None,
        Option("Banks of columns of the bank dataflow, a power of two. Default: chosen."),
    ] = None
    interleave: Annotated[
        int,
        Option("Lanes that take turns in the pipeline of the bank dataflow; divides the lanes."),
    ] = 1
    queue_depth: Annotated[
        int | None,
        Option("Depth of the activation queues of broadcast. Default: 8."),
    ] = None
    overlap: Annotated[
        bool | None,
        Option("Let products run beside the cell unit. Default: chosen."),
    ] = None
    assign: Annotated[
        str,
        Option("How rows go to PEs: best, interleave, balance or search.", choices=ASSIGNMENTS),
    ] = "best"
    index_bits: Annotated[
        int | None, Option("Bits of an index, 1 to 8. Default: chosen for each phase.")
    ] = None
    weight_storage: Annotated[
        str,
        Option(
            "Weights: stream, onchip, or auto: on chip where that is faster.",
            "--weights",
            choices=WEIGHT_STORAGES,
        ),
    ] = "auto"
    io: Annotated[
        str, Option("Frames and results: memory, or stream (AXI streams).", choices=IOS)
    ] = "memory"
    port_bits: Annotated[
        int | None, Option("Width of a memory port: 64, 128, 256 or 512. Default: the device's.")
    ] = None
    max_steps: Annotated[int, Option("Longest sequence, where frames are buffered.")] = 256
    clock_mhz: Annotated[float, Option("Target clock in MHz. Default: the board's, else 200.")] = (
        None  # type: ignore[assignment]  # never None once it is made
    )
    part: Annotated[
        str | None,
        Option(f"FPGA part, as Vivado writes it. Default: the board's, else {DEFAULT_PART}."),
    ] = None
    board: Annotated[
        str | None,
        Option(
            "Board, such as u55c, kv260 or pynq-z2: sets the part and the clock.",
            choices=tuple(board.name for board in BOARDS),
        ),
    ] = None
    part_resources: Annotated[
        str | None,
        Option(
            "What an unknown part has: lut=..,ff=..,bram18=..,uram=..,dsp=.., and of its memory "
            "gbps=..,ports=..,port_bits=.. (all in one, without spaces)."
        ),
    ] = None

    def __post_init__(self) -> None:
        self._take_board()
        self._take_rows()
        most = MAX_MULTIPLIERS if self.is_bank else MAX_PES
        checks = [
            (
                self.pes is None or 1 <= self.pes <= most,
                f"{self.pes} PEs",
                f"choose 1 to {most} (--pes)",
            ),
            (
                self.is_bank or (self.rows is None and self.banks is None),
                f"rows and banks with the {self.dataflow} dataflow",
                "leave out --rows and --banks, or choose --dataflow bank",
            ),
            (
                self.rows is None or self.rows >= 1,
                f"{self.rows} rows at a time",
                "choose 1 or more, whole cells of four gates (--rows)",
            ),
            (
                self.banks is None or (self.banks >= 1 and self.banks & (self.banks - 1) == 0),
                f"{self.banks} banks",
                "choose a power of two (--banks)",
            ),
            (
                not self.is_bank or self.index_bits is None,
                "index bits with the bank dataflow",
                "leave out --index-bits: an address has as many as its bank needs",
            ),
            (
                self.lanes in LANE_CHOICES,
                f"{self.lanes} lanes",
                "choose 1, 2, 4, 8, 16 or 32 (--lanes)",
            ),
            (
                self.interleave >= 1 and self.lanes % self.interleave == 0,
                f"{self.lanes} lanes of which {self.interleave} take turns",
                "choose a divisor of the lanes (--interleave)",
            ),
            (
                self.interleave == 1 or self.is_bank,
                f"lanes that take turns with the {self.dataflow} dataflow",
                "leave out --interleave, or choose --dataflow bank",
            ),
            (
                self.interleave == 1 or self.weight_storage != "stream",
                "lanes that take turns and weights that are streamed",
                "leave out --interleave, or choose --weights onchip: a turn takes all words again",
            ),
            (
                self._has_possible_cell_units(),
                f"{self.elements_per_cycle} elements per cycle with {self.pes} PEs",
                f"choose {self._nearest_cell_units()} (--elements-per-cycle), of the divisors of "
                f"the PEs up to {MAX_CELL_UNITS}",
            ),
            (
                self.accumulator_banks in (None, 4, 8, 16),
                f"{self.accumulator_banks} accumulator banks",
                "choose 4, 8 or 16",
            ),
            (
                2 <= self.hazard_distance <= 16,
                f"hazard_distance {self.hazard_distance}",
                "choose 2 to 16 cycles",
            ),
            (
                self.dataflow in DATAFLOWS,
                f"the dataflow {self.dataflow!r}",
                "choose gather, broadcast, bank or auto (--dataflow)",
            ),
            (
                self.queue_depth is None or self.is_broadcast,
                "activation queues with the gather dataflow",
                "leave out --queue-depth, or choose --dataflow broadcast",
            ),
            (
                1 <= self.activation_queue <= DEEPEST_QUEUE,
                f"activation queues {self.activation_queue} deep",
                f"choose 1 to {DEEPEST_QUEUE} (--queue-depth)",
            ),
            (
                not ((self.is_broadcast or self.is_bank) and self.overlap),
                f"overlap with the {self.dataflow} dataflow",
                "leave out --overlap, or choose --dataflow gather",
            ),
            (
                not self.is_broadcast or (self.pes or 1) <= MAX_BROADCAST_PES,
                f"{self.pes} PEs with the broadcast dataflow",
                f"choose up to {MAX_BROADCAST_PES} PEs (--pes), or --dataflow gather",
            ),
            (
                self.assign in ASSIGNMENTS,
                f"assign {self.assign!r}",
                "choose best, interleave, balance or search",
            ),
            (
                self.index_bits is None or 1 <= self.index_bits <= 8,
                f"{self.index_bits} index bits",
                "choose 1 to 8",
            ),
            (
                self.weight_storage in WEIGHT_STORAGES,
                f"weights {self.weight_storage!r}",
                "choose auto, stream or onchip",
            ),
            (
                self.io in IOS,
                f"io {self.io!r}",
                "choose memory or stream",
            ),
            (
                self.port_bits in (None, *PORT_BITS),
                f"a memory port of {self.port_bits} bits",
                "choose 64, 128, 256 or 512",
            ),
            (
                1 <= self.max_steps <= MAX_STEPS,
                f"max_steps {self.max_steps}",
                f"give 1 to {MAX_STEPS:,} steps",
            ),
            (
                0 < self.clock_mhz <= FASTEST_MHZ,
                f"a clock of {self.clock_mhz} MHz",
                f"give a frequency up to {FASTEST_MHZ:g}",
            ),
            (
                self.part is None or re.fullmatch(r"[A-Za-z0-9_-]+", self.part) is not None,
                f"the part {self.part!r}",
                "name it as Vivado does, such as xcu55c-fsvh2892-2L-e",
            ),
        ]
        for holds, what, hint in checks:
            if not holds:
                raise PenstockError(f"the hardware can't have {what}", "hardware settings", hint)
        _ = self.device  # refuses what is not known

    def _take_rows(self) -> None:
        """Rows times banks are the PEs."""
        if not self.is_bank or self.rows is None or self.banks is None:
            return
        if self.pes not in (None, self.rows * self.banks):
            raise PenstockError(
                f"{self.rows} rows of {self.banks} banks are not {self.pes} PEs",
                "hardware settings",
                "leave out --pes",
            )
        if self.rows * self.banks > MAX_MULTIPLIERS:
            raise PenstockError(
                f"{self.rows} rows of {self.banks} banks are more than {MAX_MULTIPLIERS:,} "
                "multipliers",
                "hardware settings",
                "choose fewer (--rows, --banks)",
            )
        object.__setattr__(self, "pes", self.rows * self.banks)

    def _take_board(self) -> None:
        """The clock is the board's, or the default; the part must be the board's, too."""
        board = None if self.board is None else board_of(self.board)
        if self.clock_mhz is None:
            clock_mhz = DEFAULT_MHZ if board is None else board.clock_mhz
            object.__setattr__(self, "clock_mhz", clock_mhz)
        if self.part_resources is not None and self.part is None and board is None:
            raise PenstockError(
                "nothing says which part has these resources", "hardware settings",
                "name it: --part NAME",
            )  # fmt: skip
        own = None if board is None else known_device(board.part).name
        if board is not None and self.part and not self.part.lower().startswith(str(own)):
            raise PenstockError(
                f"the board {board.name} has the part {board.part}, not {self.part}",
                "hardware settings",
                "give one of --board and --part",
            )

    @property
    def target(self) -> str:
        """The part that is built for: ``part``, the board's, or the default."""
        if self.part is not None:
            return self.part
        return DEFAULT_PART if self.board is None else board_of(self.board).part

    @property
    def names_device(self) -> bool:
        """True if a device is named, which then is to be filled."""
        return self.board is not None or self.part is not None

    @property
    def device(self) -> Device:
        """The device, from the table or as ``part_resources`` describes it."""
        return known_device(self.target, self.part_resources)

    @property
    def beat_bits(self) -> int:
        """Width of a memory port: ``port_bits``, or the device's."""
        return self.device.port_bits if self.port_bits is None else self.port_bits

    def _nearest_cell_units(self) -> int:
        """The divisor of the PEs that is nearest to what was asked; the smaller of two."""
        asked, pes = self.elements_per_cycle or 1, max(self.pes or MAX_CELL_UNITS, 1)
        most = min(pes, MAX_CELL_UNITS)
        divisors = [count for count in range(1, most + 1) if pes % count == 0]
        return min(divisors, key=lambda count: abs(count - asked))

    def _has_possible_cell_units(self) -> bool:
        units = self.elements_per_cycle
        divides = units is None or self.pes is None or self.pes % max(units, 1) == 0
        return units is None or (1 <= units <= MAX_CELL_UNITS and divides)

    @property
    def left_open(self) -> tuple[str, ...]:
        """The settings for the compiler to choose, see ``machine.choose``."""
        unset = {"pes": None, "elements_per_cycle": None, "overlap": None, "weight_storage": "auto"}
        return tuple(name for name, value in unset.items() if getattr(self, name) == value)

    @property
    def lanes_at_once(self) -> int:
        """Lanes that lie side by side in the data path; the others take turns."""
        return self.lanes // self.interleave

    @property
    def overlaps(self) -> bool:
        """True if products run beside the cell unit: ``overlap``, or its default."""
        default = self.lanes == 1 and self.dataflow == "gather"
        return default if self.overlap is None else self.overlap

    @property
    def is_broadcast(self) -> bool:
        """True for the dataflow ``broadcast``."""
        return self.dataflow == "broadcast"

    @property
    def is_bank(self) -> bool:
        """True for the dataflow ``bank``."""
        return self.dataflow == "bank"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and banks of the bank dataflow; (1, 1) where there are none, or they are open."""
        return self.rows or 1, self.banks or 1

    @property
    def activation_queue(self) -> int:
        """Depth of each PE's activation queue: ``queue_depth``, or its default."""
        return EIE_QUEUE_DEPTH if self.queue_depth is None else self.queue_depth

    @property
    def streams_io(self) -> bool:
        """True if frames and results are AXI streams."""
        return self.io == "stream"

    @property
    def cell_units(self) -> int:
        """Copies of the cell unit, side by side: ``elements_per_cycle``, or its default."""
        if self.elements_per_cycle is not None:
            return self.elements_per_cycle
        if self.rows is not None and self.banks is not None:
            cells = max(self.rows // GATES, 1)
            return math.gcd(self.banks, cells & -cells, MOST_UNITS)
        most = min(
            max(USUAL_UNITS, self.pes // USUAL_UNITS),
            MOST_UNITS,
            MOST_ELEMENTS // self.lanes_at_once,
        )  # fmt: skip
        return next(
            units
            for units in (32, 16, 8, 4, 2, 7, 5, 3, 1)
            if units <= most and self.pes % units == 0
        )

    @property
    def copied_elements(self) -> int:
        """Of a packet, how many the copies of the activations take in a cycle, if products overlap.

        Wider words would leave block RAMs, which are 512 deep, mostly empty.
        """
        most = min(self.cell_units, MOST_COPIED)
        return next(count for count in range(most, 0, -1) if self.cell_units % count == 0)


class Balance(NamedTuple):
    """What a network's masks are balanced for: so many PEs, or so many banks. None: not known."""

    pes: int | None = None
    banks: int | None = None


@dataclass(frozen=True)
class Precision:
    """Number formats. An int is a width whose binary point calibration places; a Fixed is taken as
    is.

    Defaults are ESE's: 12-bit weights, 16-bit activations and state, 2048-entry tables.
    ``accumulators``: None for the proven width of each; an int widens them all to that width, and
    is refused where the proof needs more. ``interpolate_bits`` > 0 interpolates linearly between
    table entries over that many more input bits. ``row_scales``: every row of a weight matrix has a
    power of two of its own, up to 2**7, which its sum is divided by; ``row_exponents`` gives them
    by the matrix's name, one for each row. ``range_method``: what a binary point and the reach of a
    table are chosen by: the least ``error`` for what calibration saw, its ``peak``, or the
    ``percentile`` that holds 99.9 % of it. ``overrides`` maps a tensor's name (``l0.W_ix``,
    ``l0.c``) to its type.
    """

    weights: Annotated[int | Fixed, Option("Bits of a weight.", "--weight-bits")] = 12
    biases: Annotated[int | Fixed, Option("Bits of a bias.", "--bias-bits")] = 16
    inputs: Annotated[int | Fixed, Option("Bits of an input.", "--input-bits")] = 16
    gates: Annotated[int | Fixed, Option("Bits of a gate.", "--gate-bits")] = 16
    cell_state: Annotated[int | Fixed, Option("Bits of the cell state.", "--cell-bits")] = 16
    outputs: Annotated[int | Fixed, Option("Bits of the layers' outputs.", "--output-bits")] = 16
    logits: Annotated[int | Fixed, Option("Bits of a head's result.", "--logit-bits")] = 16
    accumulators: Annotated[
        int | None,
        Option(
            "Bits of an accumulator. Default: what the overflow proof needs.", "--accumulator-bits"
        ),
    ] = None
    table_entries: Annotated[int, Option("Entries of the sigma and tanh tables.")] = 2048
    interpolate_bits: Annotated[int, Option("Extra input bits to interpolate over.")] = 0
    row_scales: Annotated[
        bool, Option("Give every row of a matrix its own power-of-two scale.")
    ] = False
    range_method: Annotated[
        str,
        Option(
            "What binary points are chosen by: error, peak or percentile.", choices=RANGE_METHODS
        ),
    ] = "error"
    row_exponents: Annotated[
        dict[str, list[int]],
        Option("Power of two of each row of a matrix, such as l0.W_ix=0,2,1; may be repeated."),
    ] = field(default_factory=dict)
    overrides: Annotated[
        dict[str, Fixed],
        Option("Type of one tensor, such as l0.c=s16.12; may be repeated.", "--type"),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limits = {
            "weights": 18, "biases": WIDEST, "inputs": WIDEST, "gates": WIDEST,
            "cell_state": WIDEST, "outputs": WIDEST, "logits": WIDEST,
        }  # fmt: skip
        for name, limit in limits.items():
            given = getattr(self, name)
            width = given.width if isinstance(given, Fixed) else given
            if not 2 <= width <= limit:
                raise PenstockError(
                    f"{name} of {width} bits can't be built", "precision", f"choose 2 to {limit}"
                )
        for name, dtype in self.overrides.items():
            if not 2 <= dtype.width <= WIDEST:
                raise PenstockError(
                    f"{name} of {dtype.width} bits can't be built",
                    "precision",
                    f"choose 2 to {WIDEST}",
                )
        for name, exponents in self.row_exponents.items():
            if not all(0 <= one < 1 << EXPONENT_BITS for one in exponents):
                raise PenstockError(
                    f"a row exponent of {name} can't be built",
                    "precision",
                    f"choose 0 to {(1 << EXPONENT_BITS) - 1}",
                )
        entries = self.table_entries
        if not (64 <= entries <= 4096 and entries & (entries - 1) == 0):
            raise PenstockError(
                f"a table of {entries} entries can't be built",
                "precision",
                "choose a power of two from 64 to 4096",
            )
        if not 0 <= self.interpolate_bits <= 8:
            raise PenstockError(
                f"{self.interpolate_bits} bits of interpolation can't be built",
                "precision",
                "choose 0 to 8",
            )
        if self.range_method not in RANGE_METHODS:
            raise PenstockError(
                f"there is no range method {self.range_method!r}",
                "precision",
                "choose error, peak or percentile",
            )
        if self.accumulators is not None and not 8 <= self.accumulators <= 60:
            raise PenstockError(
                f"accumulators of {self.accumulators} bits can't be built",
                "precision",
                "choose 8 to 60, or leave them to the proof",
            )
