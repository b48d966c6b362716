"""The logic of a whole kernel, block by block: primitives times sizes times how many there are.

Each function below is one block, and reads nothing but the machine description. The memories
themselves are counted in ``resources``.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.ir import Graph, Node
from penstock.machine import banks, broadcast, logic, operands, sums
from penstock.machine.logic import Logic, total
from penstock.machine.machine import Machine
from penstock.machine.units import Action, Unit


@dataclass(frozen=True)
class Block:
    """``count`` equal parts of the kernel. each: what one of them takes."""

    name: str
    count: int
    each: Logic

    @property
    def all(self) -> Logic:
        """What all of them take."""
        return self.each * self.count


@dataclass(frozen=True)
class PeShape:
    """A PE. Fields are widths in bits but for the counts.

    tables: entries of the gap tables that are no identity, over all phases; places: distances by
    which a weight may be shifted; operands: vectors of a phase that are told apart, is_scattered:
    because they do not lie side by side. queued: of what waits in its activation queue; 0 where it
    gathers activations itself.
    """

    weight: int
    gap: int
    slot: int
    column: int
    address: int
    activation: int
    accumulator: int
    banks: int
    lanes: int
    phases: int = 1
    operands: int = 1
    is_scattered: bool = False
    places: int = 1
    tables: int = 0
    queued: int = 0


def blocks(machine: Machine) -> tuple[Block, ...]:
    """Every block, in the order of the data."""
    if machine.programs:
        return (
            *ports(machine), unpackers(machine), *of_banks(machine), *cell_units(machine),
            *packers(machine), streams(machine), control(machine),
        )  # fmt: skip
    return (
        *ports(machine),
        unpackers(machine),
        pe_array(machine),
        *broadcasts(machine),
        *collectors(machine),
        *adders_of_parts(machine),
        *cell_units(machine),
        *packers(machine),
        streams(machine),
        activations(machine),
        control(machine),
    )


def of_banks(machine: Machine) -> tuple[Block, ...]:
    """The multipliers of the bank dataflow, the sums of rows, what is written, the program."""
    hardware, codes = machine.hardware, [product.code for product in machine.plan.products]
    fields = {field.name: field.bits for code in codes for field in code.fields}
    aligns = {shift for phase in machine.products for row in phase.aligns for shift in row}
    parts = 1 + max(cycle.part for own in machine.programs.values() for cycle in own.cycles)
    each = banks.multiplier(
        fields["weight"], machine.activation_bits, machine.accumulator_bits, hardware.lanes_at_once,
        len(machine.kept.activations.regions), len(aligns), fields["index"],
    )  # fmt: skip
    held = max(own.held for own in machine.programs.values())
    in_passes = any(own.slots for own in machine.programs.values())
    of_row = banks.sums(
        machine.accumulator_bits, parts, held, hardware.lanes_at_once, in_passes
    )  # fmt: skip
    return (
        Block("multipliers", hardware.pes, each),
        Block("sums of rows", hardware.shape[0], of_row),
        Block("activation memory", 1, banks.writes(machine)),
        Block("program", 1, banks.program(machine)),
    )


def ports(machine: Machine) -> tuple[Block, ...]:
    """An adapter for each direction of each memory port, a register slice for each AXI stream, and
    the registers of the host.
    """
    directions = len(machine.memory_ports)
    registers = 64 * directions + 32 * (3 + machine.hardware.lanes)
    streams = len(machine.ports) - directions
    return (
        Block("memory ports", directions, logic.m_axi(machine.beats.port_bits)),
        *([Block("AXI streams", streams, logic.axis(machine.beats.port_bits))] * bool(streams)),
        Block("control registers", 1, Logic(registers, registers)),
    )


def unpackers(machine: Machine) -> Block:
    """Words out of beats: one unpacker for each width of entries, behind each port."""
    widths = sorted({product.code.entry_bits for product in machine.plan.products})
    each = [unpacker(machine.beats.port_bits, machine.groups.group_pes * bits) for bits in widths]
    return Block("unpackers of words", machine.weight_ports, total(each))


def unpacker(beat_bits: int, word_bits: int) -> Logic:
    """A residue that a shifted beat fills and a word leaves."""
    unit = (beat_bits | word_bits) & -(beat_bits | word_bits)
    residue, places = beat_bits + word_bits - unit, word_bits // unit
    if places == 1 and beat_bits == word_bits:
        return logic.register(beat_bits)
    steps = logic.total([logic.adder(8), logic.adder(8), logic.register(8)])
    filled = logic.shifter(residue, places) + Logic(beat_bits - unit)
    return filled + steps + logic.register(beat_bits - unit + word_bits)


def pe_array(machine: Machine) -> Block:
    """All PEs, with the logic of their accumulators."""
    return Block("PE array", machine.hardware.pes, pe(pe_shape(machine)))


def pe_shape(machine: Machine) -> PeShape:
    """The widest of what each phase asks for."""
    products = [phase.product for phase in machine.products if phase.product is not None]
    codes = [product.code for product in products]
    fields = {field.name: field.bits for code in codes for field in code.fields}
    slots = max(code.slots for code in codes)
    columns = max(phase.operand_ends[-1] for phase in machine.products)
    aligns = {shift for phase in machine.products for row in phase.aligns for shift in row}
    gap = max(code.entry_bits for code in codes) - fields["weight"]
    queued = next((s.width for s in machine.streams if s.name == "queues"), 0)
    regular = sum(code.slots >= 1 << gap for code in codes)
    is_scattered = any(phase.is_scattered for phase in machine.products)
    are_told_apart = is_scattered or any(aligns)
    most = max(len(phase.operand_ends) for phase in machine.products)
    return PeShape(
        weight=fields["weight"], gap=gap, slot=slots.bit_length(),
        column=columns.bit_length(), address=machine.kept.activations.depth.bit_length(),
        activation=machine.activation_bits, accumulator=machine.accumulator_bits,
        banks=machine.plan.banks, lanes=machine.hardware.lanes_at_once, phases=len(codes),
        operands=most if are_told_apart else 1, is_scattered=is_scattered,
        places=len(aligns), queued=queued,
        tables=0 if queued else (len(codes) - regular) << gap,
    )  # fmt: skip


def pe(shape: PeShape) -> Logic:
    """Decode, advance, gather or hold, multiply, and of each lane the accumulators' logic."""
    advance = total([
        logic.adder(shape.slot), logic.adder(shape.slot), logic.multiplexer(2, shape.slot),
        logic.adder(shape.column), logic.table(shape.tables, shape.gap),
        logic.register(shape.gap + shape.slot + shape.column),
    ])  # fmt: skip
    gather = total([
        column_address(shape), logic.register(shape.address),
        logic.multiplexer(shape.places, shape.weight) if shape.places > 1 else Logic(),
        Logic(-(-shape.weight // 6) + 1),
        logic.register(3 * shape.weight), logic.delay(shape.weight, 3),
    ])  # fmt: skip
    way_in = advance + gather
    address = logic.delay(shape.slot, 5)
    if shape.queued:
        way_in = broadcast.way_in(shape.slot, shape.queued, shape.weight, shape.places)
        address = logic.delay(shape.slot, 3) + logic.register(2 * shape.slot)
    row = logic.multiplexer(2, shape.slot) if shape.phases > 1 else Logic()
    return total([way_in, row, address, pe_lane(shape) * shape.lanes])


def column_address(shape: PeShape) -> Logic:
    """Which operand a column is of, and its address."""
    told = operands.number(shape.phases, shape.operands, shape.column)
    if shape.is_scattered:
        return told + operands.address(shape.phases, shape.operands, shape.address)
    return told + logic.adder(shape.address if shape.phases > 1 else 0)


def broadcasts(machine: Machine) -> tuple[Block, ...]:
    """What brings columns and words to the queues of all PEs, if anything does."""
    shape = pe_shape(machine)
    if not shape.queued:
        return ()
    pes, groups = machine.hardware.pes, machine.groups
    columns = broadcast.columns(pes, shape.address, shape.queued)
    dealt = broadcast.deal(groups.group_pes, machine.stream("feeds").width * groups.group_pes)
    return (
        Block("broadcast of columns", 1, columns + column_address(shape)),
        Block("dealing of words", groups.groups, dealt),
    )


def pe_lane(shape: PeShape) -> Logic:
    """Multiply, choose a bank, add, and write: the sum, or the zero that the cell unit leaves."""
    product = shape.weight + shape.activation
    return total([
        logic.multiplier(shape.weight, shape.activation), logic.adder(shape.accumulator),
        logic.multiplexer(shape.banks, shape.accumulator), Logic(shape.accumulator),
        Logic(shape.banks), logic.register(shape.activation + product + shape.accumulator),
    ])  # fmt: skip


def collectors(machine: Machine) -> tuple[Block, ...]:
    """What brings a slot's sums to the cell units: a choice among PEs, then adder trees.

    Where sums are drained first, each PE has its trees, and the choice follows.
    """
    hardware, bits = machine.hardware, machine.accumulator_bits
    codes = [product.code for product in machine.plan.products]
    neighbours, units = (
        hardware.pes // hardware.cell_units,
        hardware.cell_units * hardware.lanes_at_once,
    )
    if not hardware.overlaps:
        each = sums.collector(neighbours, [(code.siblings, code.ways) for code in codes], bits)
        return (Block("sums to the cell units", units, each),)
    drains = [(drain.siblings, drain.ways) for drain in machine.drains]
    taken = sums.drained(neighbours, [code.siblings for code in codes], bits)
    return (
        Block("sums of the PEs", hardware.pes * hardware.lanes_at_once, sums.drain(drains, bits)),
        Block("sums to the cell units", units, taken),
    )


def adders_of_parts(machine: Machine) -> tuple[Block, ...]:
    """Of shared rows: a tree over all PEs for each accumulator bank, and in each PE the places."""
    if not machine.parts:
        return ()
    hardware, banks = machine.hardware, machine.shared_banks
    tree = sums.tree_of_parts(hardware.pes, machine.accumulator_bits)
    address = (machine.rows.depth - 1).bit_length()
    place = sums.place_of_parts(hardware.pes, banks, address)
    return (
        Block("sums of shared rows", banks * hardware.lanes_at_once, tree),
        Block("places of shared rows", hardware.pes, place),
    )


def cell_units(machine: Machine) -> tuple[Block, ...]:
    """The element-wise unit of each phase: phases do not share theirs."""
    count = machine.hardware.cell_units * machine.hardware.lanes_at_once
    return tuple(
        Block(f"cell unit of {phase.name}", count, unit_logic(machine.graph, phase.unit))
        for phase in machine.phases
    )


def unit_logic(graph: Graph, unit: Unit) -> Logic:
    """Every operation with its registers, and what waits for a later one."""
    ready: dict[str, int] = {}
    waits: dict[str, set[int]] = {}
    parts: list[Logic] = []
    for line in unit.lines:
        node = graph[line.node]
        if line.action is not Action.COMPUTE or node.name in ready:
            continue
        sources = graph.vectors(node)
        start = max((ready.get(source.name, 0) for source in sources), default=0)
        for source in sources:
            first = ready.setdefault(source.name, start)  # a memory is read when it is needed
            waits.setdefault(source.name, set()).add(start - first)
        latency = _cost_cycles(graph, node)
        ready[node.name] = start + latency
        parts.append(operation(graph, node, latency))
    parts += [logic.delay(kept_bits(graph, graph[name]), max(waits[name])) for name in waits]
    return total(parts)


def kept_bits(graph: Graph, node: Node) -> int:
    """Of a value, those that a register has to hold: rounding needs but one of what it drops."""
    width = node.tensor.type.width
    users = graph.users(node.name)
    if not users or any(user.op.kind != "requant" for user in users):
        return width
    drop = min(node.tensor.type.frac - user.tensor.type.frac for user in users)
    return width - max(drop - 1, 0)


def _cost_cycles(graph: Graph, node: Node) -> int:
    return node.op.cost(*(source.tensor for source in graph.inputs(node))).latency_cycles


def operation(graph: Graph, node: Node, latency: int) -> Logic:
    """One element of one operation, by its kind; what is unknown here is taken for an adder."""
    types = [source.tensor.type for source in graph.vectors(node)]
    to = node.tensor.type
    kept = logic.register(kept_bits(graph, node) * latency)
    if node.op.kind == "mul":
        left, right = (dtype.width + int(not dtype.signed) for dtype in types[:2])
        product = logic.multiplier(left, right)
        return product if product.dsp else product + kept  # a DSP has registers of its own
    if node.op.kind == "requant":
        return logic.requantizer(types[0].width, types[0].frac - to.frac, to.width) + kept
    if node.op.kind == "lut":
        dsp = node.op.cost(*(source.tensor for source in graph.inputs(node))).dsp
        return Logic(dsp=dsp) + (logic.adder(to.width) + kept if dsp else Logic())
    if node.op.kind == "mean":  # a divider, a bit a stage
        return (logic.adder(to.width) + logic.register(3 * to.width)) * latency
    if node.op.kind in ("scale", "clamp", "relu"):
        places = 8 if node.op.kind == "scale" else 2
        return logic.shifter(to.width, places) + logic.comparator(to.width) + kept
    return logic.adder(to.width) * max(len(types) - 1, 0) + kept


def packers(machine: Machine) -> tuple[Block, ...]:
    """Beats to elements and back: the frames, the results, each state in both directions."""
    beats = machine.beats
    ways = 2 + 2 * len(machine.kept.states) + len(machine.kept.parameters)
    return (
        Block(
            "elements and beats", ways, packer(beats.io_bits * beats.lanes_at_once, beats.per_beat)
        ),
    )


def packer(bits: int, per_beat: int) -> Logic:
    """A beat that moves by an element a cycle."""
    count = max((per_beat - 1).bit_length(), 1)
    return logic.register(bits * per_beat + 1) + logic.counter(count)


def streams(machine: Machine) -> Block:
    """The control of every stream, and the register behind a memory."""
    parts = [
        (logic.fifo_control(stream.depth) + logic.register(stream.width)) * stream.count
        for stream in machine.streams
    ]
    return Block("control of streams", 1, total(parts))


def activations(machine: Machine) -> Block:
    """Each copy's banks: a choice for each of its two ports, and the writer's address and value.

    Where products overlap, a copy is one memory of wide words: a choice of one of its elements.
    """
    memory, hardware = machine.memory("activations"), machine.hardware
    count = sum(one.count for one in machine.memories if one.kind == "activations")
    if hardware.overlaps:
        copied = hardware.copied_elements
        bits = memory.width // copied
        chosen = logic.multiplexer(copied, bits) if copied > 1 else Logic()
        return Block("activation memory", count, chosen + logic.register(bits))
    banks = hardware.cell_units
    read = logic.multiplexer(banks, memory.width) if banks > 1 else Logic()
    address = memory.depth.bit_length()
    write = logic.multiplexer(2, 2 * address) * banks + logic.register(memory.width)
    each = (read + logic.register(memory.width)) * machine.copy_pes + write
    return Block("activation memory", count // banks, each)


def control(machine: Machine) -> Block:
    """A counter of 32 bits and a small state machine for every loop."""
    loops = 2 * len(machine.order.issues) + 2 * len(machine.kept.states) + 8
    if machine.hardware.is_broadcast:
        loops += machine.hardware.pes + machine.groups.groups + 1
    return Block("loops and states", loops, logic.counter(32) + Logic(20, 12))
