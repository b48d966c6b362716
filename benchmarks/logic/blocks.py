"""Verilog of composed blocks of the kernel: what the estimate adds up, synthesized in one piece."""

from __future__ import annotations

from banked import banked
from operands import base_of, operand_address, operand_of
from primitives import Design, index_bits, module
from queues import columns, deal, relative_pe
from sums import collector, drain, shared_rows
from units import unit_designs


def pe(lanes: int, banks: int, depth: int, acc_bits: int, apart: int = 0) -> Design:
    """A PE of the gap code with 12 + 6 bits: decode, advance, gather, multiply, accumulate.

    As the kernel has it: two phases, two operands of different scales, activations in block RAM
    (outside), accumulators in LUTs, whose read port the cell unit shares. apart: operands that do
    not lie side by side; 0: the two do.
    """
    slot, address, way = 7, index_bits(depth), index_bits(banks)
    row = "\n".join(_accumulator(lane, banks, depth, acc_bits) for lane in range(lanes))
    base, other, operands = "(phase ? 672 : 0)", "column >= 160", ""
    if apart:
        base, other = "base", "operand != 0"
        operands = "\n" + operand_of(2, apart) + "\n" + base_of(2, apart)
    ports = f"""input clk, start, go, phase, taking, input [17:0] entry, input [{way - 1}:0] n,
input [{address - 1}:0] taken, input [{16 * lanes - 1}:0] activation, output reg [10:0] gather,
output [{acc_bits * banks * lanes - 1}:0] sums"""
    body = f"""reg signed [11:0] w0, w1, w2, w3, w4; reg [5:0] gap; reg [{slot - 1}:0] slot_of;
reg [10:0] column; reg g0, g1, g2, g3, g4, g5, g6; reg [{way - 1}:0] n0, b1, b2, b3, b4, b5, b6;
reg [{address - 1}:0] r1, r2, r3, r4, r5, r6; reg s2, s3, s4, s5;
wire [2:0] gap_columns = phase ? gap[5:4] : 3'd0;
wire [5:0] gap_slots = phase ? gap[3:0] : gap;
wire [{slot}:0] slots = phase ? 16 : 128;
wire [{slot}:0] within = slot_of + gap_slots;
wire signed [{slot + 1}:0] beyond = $signed({{1'b0, within}}) - $signed({{1'b0, slots}});
wire is_beyond = ~beyond[{slot + 1}];
wire [{slot - 1}:0] next = is_beyond ? beyond[{slot - 1}:0] : within[{slot - 1}:0];
wire [10:0] here = column + gap_columns + is_beyond;{operands}
always @(posedge clk) if (start) begin slot_of <= 0; column <= 0; g0 <= 0; end else if (go) begin
  w0 <= entry[11:0]; gap <= entry[17:12]; g0 <= 1; n0 <= n;
  slot_of <= next; column <= here;
end
always @(posedge clk) if (go) begin
  w1 <= w0; g1 <= g0 & (w0 != 0); b1 <= phase ? n0 : next; r1 <= phase ? next : next >> {way};
  gather <= {base} + here; s2 <= phase | {other};
  w2 <= w1; g2 <= g1; b2 <= b1; r2 <= r1; s3 <= s2; w3 <= w2; g3 <= g2; b3 <= b2; r3 <= r2;
  w4 <= s3 ? w3 : w3 <<< 1; g4 <= g3; b4 <= b3; r4 <= r3; g5 <= g4; b5 <= b4; r5 <= r4;
  g6 <= g5; b6 <= b5; r6 <= r5;
end
wire [{address - 1}:0] read = taking ? taken : r5;
{row}"""
    sizes = {"lanes": lanes, "banks": banks, "depth": depth, "acc_bits": acc_bits}
    sizes |= {"apart": apart} if apart else {}
    return Design("pe", sizes, module(ports, body))


def _accumulator(lane: int, banks: int, depth: int, bits: int) -> str:
    """A lane's multiplier and accumulators."""
    lines = [f"""reg signed [15:0] a{lane}; reg signed [28:0] p{lane};
reg signed [{bits - 1}:0] t{lane};
always @(posedge clk) if (go) begin
  a{lane} <= activation[{16 * lane} +: 16]; p{lane} <= w4 * a{lane};
  t{lane} <= old{lane} + p{lane};
end"""]  # fmt: skip
    reads = []
    for bank in range(banks):
        name, at = f"m{lane}_{bank}", (lane * banks + bank) * bits
        reads.append(f"sums[{at} +: {bits}]")
        lines.append(f"""(* ram_style = "distributed" *) reg [{bits - 1}:0] {name} [0:{depth - 1}];
always @(posedge clk) if (taking | g6 & go & b6 == {bank})
  {name}[taking ? taken : r6] <= taking ? 0 : t{lane};
assign sums[{at} +: {bits}] = {name}[read];""")
    chosen = ", ".join(reversed(reads))
    vector = f"wire [{banks * bits - 1}:0] v{lane} = {{{chosen}}};"
    old = f"wire signed [{bits - 1}:0] old{lane} = v{lane}[b5 * {bits} +: {bits}];"
    return "\n".join([*lines, vector, old])


def unpacker(beat_bits: int, word_bits: int) -> Design:
    """Words out of beats without spare bits: a shifted beat fills a residue, a word leaves it."""
    unit = (beat_bits | word_bits) & -(beat_bits | word_bits)
    residue, words, beats = beat_bits + word_bits - unit, word_bits // unit, beat_bits // unit
    count = index_bits(words + beats + 1)
    ports = f"""input clk, start, go, input [{beat_bits - 1}:0] beat, output need,
output reg [{word_bits - 1}:0] word"""
    body = f"""reg [{residue - 1}:0] rest; reg [{count - 1}:0] units;
assign need = units < {words};
wire [{residue - 1}:0] placed = {{{residue - beat_bits}'d0, beat}} << (units * {unit});
wire [{residue - 1}:0] filled = need ? rest | placed : rest;
always @(posedge clk) if (start) begin units <= 0; rest <= 0; end else if (go) begin
  word <= filled[{word_bits - 1}:0]; rest <= filled >> {word_bits};
  units <= units + (need ? {beats} : 0) - {words};
end"""
    sizes = {"beat_bits": beat_bits, "word_bits": word_bits}
    return Design("unpacker", sizes, module(ports, body))


def packer(bits: int, per_beat: int) -> Design:
    """Elements into beats: they fill it from the top and move down."""
    beat, count = bits * per_beat, index_bits(per_beat)
    ports = f"""input clk, start, go, input [{bits - 1}:0] x, output reg [{beat - 1}:0] y,
output reg full"""
    body = f"""reg [{count - 1}:0] n;
always @(posedge clk) if (start) begin n <= 0; full <= 0; end else if (go) begin
  y <= {{x, y[{beat - 1}:{bits}]}}; n <= n == {per_beat - 1} ? 0 : n + 1;
  full <= n == {per_beat - 1};
end"""
    return Design("packer", {"bits": bits, "per_beat": per_beat}, module(ports, body))


def blocks() -> list[Design]:
    """Every block that is measured."""
    return [
        *(operand_address(*sizes) for sizes in ((2, 2), (4, 2), (4, 3), (8, 4), (16, 4))),
        *(pe(*sizes) for sizes in (
            (1, 4, 32, 33), (4, 4, 32, 33), (1, 8, 16, 28), (1, 4, 64, 24), (1, 4, 32, 33, 2),
            (1, 4, 32, 33, 4))),
        *(unpacker(*sizes) for sizes in ((512, 288), (512, 384), (128, 72))),
        *(collector(*sizes) for sizes in (
            (32, 8, [(1, 4)], 33), (32, 8, [(1, 1)], 33), (16, 4, [(1, 4)], 28),
            (32, 8, [(4, 1), (1, 4)], 33), (16, 4, [(4, 4), (2, 8)], 28),
            (8, 1, [(4, 1), (1, 4)], 33), (16, 1, [(4, 2)], 28), (32, 1, [(2, 2)], 24))),
        *(drain(*sizes) for sizes in (
            (32, 8, [(4, 1), (1, 4)], 33), (16, 4, [(4, 4)], 28), (16, 16, [(4, 2)], 24),
            (32, 1, [(4, 1), (1, 4)], 33))),
        *(shared_rows(*sizes) for sizes in ((8, 1, 32, 33), (16, 4, 32, 28), (32, 1, 64, 24))),
        *(columns(*sizes) for sizes in ((32, 2, 2), (8, 4, 3), (128, 2, 2))),
        *(deal(*sizes) for sizes in ((4, 17), (16, 17), (32, 17))),
        *(relative_pe(*sizes) for sizes in ((1, 4, 32, 33), (4, 4, 32, 33), (1, 8, 16, 28))),
        *(packer(*sizes) for sizes in ((16, 32), (64, 8))),
        *banked(),
        *unit_designs(),
    ]  # fmt: skip
