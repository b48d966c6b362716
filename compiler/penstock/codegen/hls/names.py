"""C++ names and types: the one place where the graph's names become identifiers.

A name is made of the graph's full name, by one rule, and is unique in its scope. Inside a unit, the
last part of the name is enough where it is unambiguous.
"""

from __future__ import annotations

import re
from dataclasses import replace

from penstock.bounds import MAX_PES, MOST_PARTITIONS
from penstock.fixed import Fixed, Overflow, Rounding
from penstock.machine import Machine
from penstock.machine.arrays import Array, Role
from penstock.machine.phases import Load, Phase
from penstock.machine.runs import Run
from penstock.machine.units import Action, Line
from penstock.schedule.plan import BANK_CHOICES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS = _words("""
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class compl concept const consteval constexpr constinit const_cast continue co_await
    co_return co_yield decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if inline int long mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires
    return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename union unsigned using virtual void volatile
    wchar_t while xor xor_eq final override import module posix std main assert errno linux unix
    i386 stdin stdout stderr major minor makedev
""")
"""Words of C++23 (lex.key), those with a meaning in places, and macros of the C library."""
BROADCAST = _words("""
    activation_queue begins broadcast_columns deal feed feed_stream feeds held index index_t last_t
    place queue queued queued_t queues spmv_pe FEED_DEPTH LAST_BITS QUEUE_DEPTH
""")
"""Names of the kernel that only the broadcast dataflow has; part of those below."""
BANKED = _words("""
    acting address at base begins chosen cycle element ended ends entry every_cycle half has_next
    END FIRST
    held image index index_of later lengths more move next_step nothing of_all of_group operand
    part phase registered row sequence siblings so_far step sum_of_row turn turn_t word_sequence
    writing written written_t
""")
"""Names that only the bank dataflow has."""
OF_REGIONS = ("into", "rows_of_sweep", "run_sweep", "vector", "write", "write_rows")
MOST_REGIONS = 64
MOST_ARRAYS = MAX_PES * max(BANK_CHOICES) // MOST_PARTITIONS
"""Of one kind, see ``group_arrays``."""
KERNEL = (
    BROADCAST
    | _words("""
    acc acc_t activation_t activations_t add_parts ap_axiu ap_bigint ap_biguint ap_fixed ap_int
    ap_ufixed ap_uint asked axis_stream axis_t bank beat beat_stream beat_t beats_of best bits_from
    bounded broadcast bytes_of cell_unit clear_slots column_t compute config copied copied_t
    count counters demand differences element emptied entry_t factor_t fetch_frames fetch_parameters
    fetch_state fetch_words final final_beats first_beat frame_stream frames from_raw gap_t
    gathered gathered_t given given_beats greatest group_of hls io_t is_there iterations
    kept_column kept_slot lane lanes_of last length load_parameter loop_t lstm_testbench
    lstm_top no_elements nothing open_file pack_one_state pack_results pack_state packet
    packet_of packet_t packets parameter_beats parameter_packets parameter_stream parameters
    parameters_t part_t parts_t pe phase_t place_in_group position print print_constants
    print_function print_values product_t publish put q raw raw_lanes raw_of read_block read_count
    read_exactly read_file reader reader_of receive reload result_stream results run run_t send
    slot slot_t split spmv spmv_group start start_t state state_in state_out state_stream step
    steps store store_results store_state stored sums sums_t take take_word trace_file
    trace_value unit unpack_frames unpack_one_state unpack_parameter unpack_parameters
    unpack_run unpack_state unpack_words valid value values vector vector_0 vector_1 vector_2
    weight_beats weight_t widened word word_stream word_t words x_beats y_beats zeros
""")
    | {f"{kind}_{number}" for kind in ("acc", "sums") for number in range(MOST_ARRAYS)}
    | {f"{kind}_{number}" for kind in OF_REGIONS for number in range(MOST_REGIONS)}
    | {f"vector_{number}_{block}" for number in range(MOST_REGIONS) for block in range(MOST_ARRAYS)}
    | BANKED
)
"""Names that the kernel and the test bench give to functions, types and variables; AMD's types."""
COUNTERS = _words("g group k n")
"""Names of loop counters where arrays are declared; a unit has none of these."""
LIBRARY = _words("""
    alloca assert_perror be16toh be32toh be64toh htobe16 htobe32 htobe64 htole16 htole32 htole64
    issubnormal le16toh le32toh le64toh math_errhandling offsetof pthread_cleanup_pop
    pthread_cleanup_pop_restore_np pthread_cleanup_push pthread_cleanup_push_defer_np sched_priority
    strdupa strndupa
""")
"""Macros of the C library in small letters; those in capitals are avoided by rule."""
LAYERED = re.compile(r"(l\d+(_reverse)?|head)\.")
"""The names of a layer's nodes; the names of no macro begin like theirs."""
MACROS = ("M_", "L_", "P_")
"""How macros of <cmath> and <cstdio> begin that are not in capitals throughout."""
CONSTANTS = frozenset(
    {f"REGION_{number}_DEPTH" for number in range(MOST_REGIONS)}
    | {
        f"SWEEP_{number}_{field}"
        for number in range(MOST_REGIONS)
        for field in (
            "CYCLES",
            "PHASE",
            "ENDS",
            "ACTING",
            "PART",
            "MOVE",
            "INDEX",
            "WORD_SEQUENCE",
            "SEQUENCE",
            "AT",
        )
    }
) | _words("""
    ACC_DEPTH ALIGN BANKS BEAT_BITS BEAT_BYTES BEAT_PARTS BEAT_STREAM_DEPTH BITS CELL_UNITS
    CHUNKS CHUNKS_OF_BEAT CHUNK_BITS COPIED COPY_PES COUNT DATAFLOW_BEGIN DATAFLOW_END EMPTY
    ENTRY_BITS EOF FILE FIRST_BANK FRAME_STREAM_DEPTH GAP_COLUMNS GAP_SLOTS GROUPS
    GROUP_COPIES GROUP_PES HELD INDEX_BITS INPUTS INPUT_POSITIONS INTERLEAVE IO_BITS IO_CHUNK
    IO_PER_BEAT IS_SIGNED KEPT LANES LEVELS LOOPS MAGIC MAX_PACKETS MAX_STEPS NULL OPERANDS
    OPERAND_BASE OF_TURN OPERAND_END OUTPUTS OWN OWNER OWN_BITS OWN_ROW PACKET
    PARAMETERS_PER_BEAT PARAMETER_BEATS PARAMETER_BITS PARAMETER_CHUNK PARAMETER_STREAM_DEPTH
    PARTS PART_BITS PES PHASES PLACES POSITIONS POSITION_OF PROCESS RESULT_CHUNK
    RESULT_POSITIONS RESULT_STREAM_DEPTH RISE ROWS SHARED_BANKS SLOTS SHARED_ROWS SIBLING SIBLINGS
    SIBLINGS_OF START_CARRIED START_GIVEN START_ZERO STATE_BEATS STATE_STREAM_DEPTH STORED_WORDS
    SUM_ROWS TABLE TRACE UNIT_BITS VECTOR_DEPTH WAYS WEIGHT_BEATS WEIGHT_BITS WEIGHT_PORTS
    WIDEST WORD_BITS WORD_STREAM_DEPTH X_BEATS Y_BEATS
""")
"""Names of its constants and macros."""


class Scope:
    """Names that are taken; gives every request one that is not."""

    def __init__(self, taken: frozenset[str] | set[str]) -> None:
        self._taken = set(taken)

    @property
    def taken(self) -> frozenset[str]:
        """The names that are taken."""
        return frozenset(self._taken)

    def take(self, *wanted: str) -> str:
        """The first of ``wanted`` that is free, else the last of them with a number."""
        free = next((name for name in wanted if name not in self._taken), None)
        count = 2
        while free is None or free in self._taken:
            free, count = f"{wanted[-1]}_{count}", count + 1
        self._taken.add(free)
        return free

    def inside(self) -> Scope:
        """A scope within this one."""
        return Scope(self._taken)


def identifier(name: str) -> str:
    """``l0.W_ix`` -> ``l0_W_ix``: letters, digits and single underscores, a letter first.

    What is in capitals throughout, or begins like a macro of <cmath>, gets an ``n`` in front.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    is_safe = plain[:1].isalpha() and _is_plain(plain) and plain[:2] not in MACROS
    return plain if is_safe else f"n{plain}"


def constant(name: str) -> str:
    """``l0.gates`` -> ``L0_GATES``; ``int.max`` -> ``N_INT_MAX``, for INT_MAX is a macro."""
    text = identifier(name).upper()
    return text if LAYERED.match(name) else f"N_{text}"


def one_line(text: str) -> str:
    """Text that can't leave a comment, a string, a table's cell or a line, in any language."""
    kept = "".join(char if char.isalnum() or char in " ._+-@" else "_" for char in text)
    return " ".join(kept.split())


def lengths_of_lanes(lanes: int) -> list[str]:
    """The kernel's arguments that hold the steps of each lane."""
    return [f"length_{lane}" for lane in range(lanes)]


class Names:
    """The kernel's names for everything in a machine description."""

    def __init__(self, machine: Machine) -> None:
        arguments = lengths_of_lanes(machine.hardware.lanes)
        self.scope = Scope(KEYWORDS | KERNEL | LIBRARY | CONSTANTS | set(arguments))
        kept = machine.kept
        self._segments = {
            segment: self.scope.take(f"{identifier(segment).upper()}_BASE")
            for segment in machine.kept.activations.base
        }
        self._phases = {phase.name: self.scope.take(constant(phase.name)) for phase in
                        machine.phases}  # fmt: skip
        self._units = {phase.name: self.scope.take(f"{identifier(phase.name)}_cells") for phase in
                       machine.phases}  # fmt: skip
        self._tables = {
            node.name: self.scope.take(short(node.name), identifier(node.name))
            for node in machine.tables
        }
        self._drains = {drain.ways: self.scope.take(f"ways_{drain.ways}_drain") for drain in
                        machine.drains}  # fmt: skip
        self._loaders = {
            (load.vector, load.sweep): self.scope.take(f"load_{self.load(load).lower()}")
            for load in machine.loads
        }
        self._packets = {
            segment: self.scope.take(f"{identifier(segment)}_packets")
            for segment in machine.kept.activations.base
        }
        self._parts = {
            parts.phase: self.scope.take(f"{constant(parts.phase)}_PARTS")
            for parts in machine.parts
        }
        self._runs: dict[tuple[str, int, int, str], str] = {}
        for run in machine.every_run:
            if run.key not in self._runs:
                self._runs[run.key] = self.scope.take(_run(run))
        self._states = {state.name: self.scope.take(constant(state.name)) for state in kept.states}
        arrays = [kept.array_of(state) for state in kept.states]
        arrays += [kept.next_of(state) for state in kept.states]
        arrays += [*kept.parameters, *kept.frames, *kept.carries, *kept.captures]
        self._loops: dict[tuple[str, str], str] = {}
        for loop in machine.loops:
            key = (loop.kind, loop.subject)
            if key not in self._loops:
                subject = (identifier(loop.subject),) if loop.subject else ()
                name = "_".join(("loop", loop.kind, *subject))
                self._loops[key] = self.scope.take(name.upper())
        beside = Scope(self.scope.taken | COUNTERS)
        self._arrays = {array: self.scope.take(beside.take(_array(array))) for array in arrays}

    def segment(self, segment: str) -> str:
        """The constant that holds a segment's first address."""
        return self._segments[segment]

    def phase(self, phase: str) -> str:
        """The constant that describes a phase."""
        return self._phases[phase]

    def drain(self, ways: int) -> str:
        """The function that takes sums of so many ways out of the accumulators."""
        return self._drains[ways]

    def parts(self, phase: str) -> str:
        """The constant that describes the parts of a phase's shared rows."""
        return self._parts[phase]

    def packets(self, segment: str) -> str:
        """The array of packets on their way to a segment."""
        return self._packets[segment]

    def run(self, run: Run) -> str:
        """The constant that describes a run."""
        return self._runs[run.key]

    def unit(self, phase: str) -> str:
        """The function of a phase's element-wise unit."""
        return self._units[phase]

    def table(self, node: str) -> str:
        """The function that reads a table."""
        return self._tables[node]

    def state(self, name: str) -> str:
        """A state's name in labels and constants."""
        return self._states[name]

    def loader(self, load: Load) -> str:
        """The function that loads a frame ahead of its step."""
        return self._loaders[load.vector, load.sweep]

    def load(self, load: Load) -> str:
        """A load's name in its label."""
        return f"{identifier(load.vector).upper()}_{load.sweep}"

    @property
    def loops(self) -> list[str]:
        """The constants by which the pipelined loops count, in the order of the machine's loops."""
        return list(self._loops.values())

    def loop(self, kind: str, subject: str = "") -> str:
        """The constant by which a pipelined loop counts its iterations."""
        return self._loops[kind, subject]

    def array(self, array: Array) -> str:
        """The variable of an array."""
        return self._arrays[array]

    def locals_of(self, phase: Phase) -> dict[str, str]:
        """Node -> variable inside a phase's unit."""
        return self._locals(phase)[0]

    def words_of(self, phase: Phase) -> list[str]:
        """Of each line of a phase's unit, the variable that holds all lanes of its value."""
        local, scope = self._locals(phase)
        return [scope.take(f"{local[line.node]}_{_kept_for(line)}") for line in phase.unit.lines]

    def _locals(self, phase: Phase) -> tuple[dict[str, str], Scope]:
        nodes = list(dict.fromkeys(line.node for line in phase.unit.lines))
        shorts = [short(node) for node in nodes]
        is_plain = [_is_plain(node.rpartition(".")[2]) for node in nodes]
        scope = self.scope.inside()
        found = {
            node: scope.take(
                *([name] if plain and shorts.count(name) == 1 else []), identifier(node)
            )
            for node, name, plain in zip(nodes, shorts, is_plain, strict=True)
        }
        return found, scope


def _kept_for(line: Line) -> str:
    if line.action is Action.GATHERED:
        return "gathered"
    if line.action is Action.KEPT:
        return "frame" if line.array is not None and line.array.role is Role.FRAMES else "kept"
    return "lanes"


def _is_plain(name: str) -> bool:
    """False for what looks like a macro."""
    return len(name) == 1 or not name.isupper()


def short(name: str) -> str:
    """The last part of a name, as an identifier."""
    return identifier(name.rpartition(".")[2])


def _run(run: Run) -> str:
    """``L0_GATES_FROM_96``, ``WRITE_L0_Y``."""
    if not run.phase:
        return f"WRITE_{identifier(run.segment)}".upper()
    return f"{identifier(run.phase)}_FROM_{run.first}".upper()


def _array(array: Array) -> str:
    name = identifier(array.name)
    if array.role is Role.FRAMES:
        return f"frames_of_{name}"
    endings = {Role.NEXT: "_next", Role.CARRY: "_of_step", Role.CAPTURE: "_captured"}
    return name + endings.get(array.role, "")


def cpp(dtype: Fixed) -> str:
    """A type's name in Vitis HLS C++; default modes are left out as a C++ author would."""
    name = "ap_fixed" if dtype.signed else "ap_ufixed"
    modes = ""
    if (dtype.rounding, dtype.overflow) != (Rounding.TRN, Overflow.WRAP):
        modes = f", {dtype.rounding.value}, {dtype.overflow.value}"
    return f"{name}<{dtype.width}, {dtype.width - dtype.frac}{modes}>"


def plain_cpp(dtype: Fixed) -> str:
    """The type without modes: for values that are kept, not converted."""
    return cpp(replace(dtype, rounding=Rounding.TRN, overflow=Overflow.WRAP))


def native(dtype: Fixed) -> str:
    """The C++ integer for a table's entries: ap_int initialisers take minutes to compile."""
    sizes = [(8, "signed char", "unsigned char"), (16, "short", "unsigned short")]
    for bits, signed, unsigned in sizes:
        if dtype.width <= bits:
            return signed if dtype.signed else unsigned
    return "int" if dtype.signed else "unsigned"
