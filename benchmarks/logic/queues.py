"""Verilog of the broadcast dataflow: the broadcaster, the dealing of words, and a PE."""

from __future__ import annotations

from operands import ADDRESS, COLUMN, base_of, operand_of
from primitives import Design, index_bits, module
from sums import part

VALUE, WEIGHT, INDEX, SLOT = 16, 12, 4, 8


def columns(pes: int, phases: int, operands: int) -> Design:
    """Column after column, an activation to the queues of all PEs, unless one of them is full.

    The activation memory stands outside: its word comes two cycles behind the address.
    """
    number = index_bits(operands)
    ports = f"""input clk, start, input [{index_bits(phases) - 1}:0] phase,
input [{COLUMN - 1}:0] here, input has, input [{pes - 1}:0] full, input [{VALUE - 1}:0] value,
output reg [{ADDRESS - 1}:0] gather, output reg [{VALUE + number - 1}:0] queued, output write"""
    body = f"""{operand_of(phases, operands)}
{base_of(phases, operands)}
reg [{number - 1}:0] operand1, operand2; reg g0, g1, g2;
wire go = ~g2 | ~|full;
assign write = g2 & ~|full;
always @(posedge clk) if (start) begin g0 <= 0; g1 <= 0; g2 <= 0; end else if (go) begin
  g0 <= has; g1 <= g0; g2 <= g1;
end
always @(posedge clk) if (go) begin
  gather <= base + here; operand1 <= operand; operand2 <= operand1; queued <= {{operand2, value}};
end"""
    sizes = {"pes": pes, "phases": phases, "operands": operands}
    return Design("columns", sizes, module(ports, body))


def deal(pes: int, entry_bits: int) -> Design:
    """A word's entries, each to its own PE, unless one of them has no room."""
    bits = pes * entry_bits
    ports = f"""input clk, start, empty, input [{pes - 1}:0] full, input [{bits - 1}:0] word,
output read, write, output reg [{bits - 1}:0] entries"""
    body = """reg has;
wire go = ~has | ~|full;
assign read = go & ~empty, write = has & ~|full;
always @(posedge clk) if (start) has <= 0; else if (go) begin has <= ~empty; entries <= word; end"""
    return Design("deal", {"pes": pes, "entry_bits": entry_bits}, module(ports, body))


def relative_pe(lanes: int, banks: int, depth: int, acc_bits: int) -> Design:
    """A PE of the relative index with 12 + 4 bits and one for a column's last entry.

    It waits for its entries and, where a column begins, for its queue; both stand outside.
    Two operands of different scales; accumulators in LUTs, whose read port the cell unit shares.
    """
    address, way, queued = index_bits(depth), index_bits(banks), VALUE * lanes + 1
    rows = "\n".join(accumulator(lane, banks, depth, acc_bits) for lane in range(lanes))
    ports = f"""input clk, start, phase, taking, more, input empty, none,
input [{WEIGHT + INDEX}:0] entry, input [{queued - 1}:0] queued, input [{way - 1}:0] n,
input [{address - 1}:0] taken, output read, read_queue,
output [{acc_bits * banks * lanes - 1}:0] sums"""
    body = f"""reg signed [{WEIGHT - 1}:0] w0, w1, w2; reg [{SLOT - 1}:0] place; reg begins;
reg [{queued - 1}:0] held; reg [{queued - 2}:0] h1; reg g0, g1, g2, g3, g4, g5;
reg [{way - 1}:0] b0, b1, b2, b3, b4; reg [{address - 1}:0] r0, r1, r2, r3, r4;
wire ready = ~empty & ~(begins & none);
wire go = ready | ~more;
assign read = more & ready, read_queue = read & begins;
wire signed [{WEIGHT - 1}:0] weight = entry[{WEIGHT - 1}:0];
wire [{SLOT - 1}:0] next = (begins ? 0 : place) + entry[{WEIGHT} +: {INDEX}];
always @(posedge clk) if (start) begin begins <= 1; place <= 0; g0 <= 0; end
else if (go) begin
  g0 <= more & weight != 0; begins <= entry[{WEIGHT + INDEX}]; place <= next + (weight != 0);
end
always @(posedge clk) if (read_queue) held <= queued;
always @(posedge clk) if (go) begin
  w0 <= weight; b0 <= phase ? n : next; r0 <= phase ? next : next >> {way};
  w1 <= held[{queued - 1}] ? w0 : w0 <<< 1; h1 <= held[{queued - 2}:0]; w2 <= w1;
  g1 <= g0; g2 <= g1; g3 <= g2; g4 <= g3;
  b1 <= b0; b2 <= b1; b3 <= b2; b4 <= b3; r1 <= r0; r2 <= r1; r3 <= r2; r4 <= r3;
end
wire [{address - 1}:0] from_row = taking ? taken : r3;
wire [{address - 1}:0] to_row = taking ? taken : r4;
{rows}"""
    sizes = {"lanes": lanes, "banks": banks, "depth": depth, "acc_bits": acc_bits}
    return Design("relative_pe", sizes, module(ports, body))


def accumulator(lane: int, banks: int, depth: int, bits: int) -> str:
    """A lane's multiplier and accumulators."""
    lines = [f"""reg signed [{VALUE - 1}:0] a{lane}; reg signed [{VALUE + WEIGHT}:0] p{lane};
reg signed [{bits - 1}:0] t{lane};
always @(posedge clk) if (go) begin
  a{lane} <= h1[{VALUE * lane} +: {VALUE}]; p{lane} <= w2 * a{lane};
  t{lane} <= old{lane} + p{lane};
end"""]  # fmt: skip
    reads = []
    for bank in range(banks):
        name = f"m{lane}_{bank}"
        reads.append(part("sums", lane * banks + bank, bits))
        lines.append(f"""(* ram_style = "distributed" *) reg [{bits - 1}:0] {name} [0:{depth - 1}];
always @(posedge clk) if (taking | g4 & go & b4 == {bank}) {name}[to_row] <= taking ? 0 : t{lane};
assign {reads[-1]} = {name}[from_row];""")
    chosen = ", ".join(reversed(reads))
    vector = f"wire [{banks * bits - 1}:0] v{lane} = {{{chosen}}};"
    old = f"wire signed [{bits - 1}:0] old{lane} = v{lane}[b3 * {bits} +: {bits}];"
    return "\n".join([*lines, vector, old])
