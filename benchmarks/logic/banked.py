"""Verilog of the bank dataflow's datapath: a row of multipliers with its tree, the way to units."""

from __future__ import annotations

from primitives import Design, index_bits, module, one_of

WEIGHT, VALUE = 12, 16
"""Bits of a weight and of an activation."""


def bank_row(
    banks: int, depth: int, bits: int, regions: int, places: int, held: int, slots: int = 0
) -> Design:  # fmt: skip
    """A row of a turn: in each bank a word's weight, brought to the sum's scale, times what its
    address reads; a tree; the sum of the turn so far; the sums of turns that wait for a unit.

    depth: of each region's memory of a bank; places: distances by which a weight may be shifted;
    slots: turns whose sums a memory keeps, where their words do not follow one another.
    """
    address, entry = index_bits(depth), WEIGHT + index_bits(depth)
    ports = f"""input clk, input [{banks * entry - 1}:0] word, input begins,
input [{held - 1}:0] ends, input [{max(index_bits(regions), 1) - 1}:0] region,
input [{banks * max(index_bits(places), 1) - 1}:0] place,
input [{banks * VALUE - 1}:0] written, input [{address - 1}:0] to,
input [{banks * regions - 1}:0] enable, output [{held * bits - 1}:0] sums"""
    lines = [f"reg [{max(index_bits(regions), 1) - 1}:0] region1; always @(posedge clk) "
             "region1 <= region;"]  # fmt: skip
    width = WEIGHT + places - 1
    for bank in range(banks):
        lines.append(f"""reg signed [{WEIGHT - 1}:0] w1_{bank}; reg [{address - 1}:0] a1_{bank};
reg signed [{width - 1}:0] w2_{bank}; reg signed [{VALUE - 1}:0] x2_{bank};
reg signed [{width + VALUE - 1}:0] p_{bank};""")
        values = []
        for part in range(regions):
            name = f"m{part}_{bank}"
            lines.append(f"""(* ram_style = "distributed" *)
reg [{VALUE - 1}:0] {name} [0:{depth - 1}];
always @(posedge clk) if (enable[{bank * regions + part}])
  {name}[to] <= written[{bank * VALUE} +: {VALUE}];""")
            values.append(f"{name}[a1_{bank}]")
        bits_of_place = max(index_bits(places), 1)
        shift = f"place[{bank * bits_of_place} +: {bits_of_place}]" if places > 1 else "0"
        read = one_of(values, "region1") if regions > 1 else values[0]
        lines.append(f"""always @(posedge clk) begin
  w1_{bank} <= word[{bank * entry} +: {WEIGHT}];
  a1_{bank} <= word[{bank * entry + WEIGHT} +: {address}];
  w2_{bank} <= w1_{bank} <<< {shift};
  x2_{bank} <= {read};
  p_{bank} <= w2_{bank} * x2_{bank};
end""")
    terms, level = [f"p_{bank}" for bank in range(banks)], 0
    while len(terms) > 1:
        pairs = list(zip(terms[::2], terms[1::2], strict=True))
        terms = [f"t{level}_{k}" for k in range(len(pairs))]
        for name, (one, other) in zip(terms, pairs, strict=True):
            lines.append(f"reg signed [{bits - 1}:0] {name}; always @(posedge clk) "
                         f"{name} <= {one} + {other};")  # fmt: skip
        level += 1
    if slots:
        ports += f", input [{index_bits(slots) - 1}:0] from, input [{index_bits(slots) - 1}:0] slot"
        lines.append(f"""(* ram_style = "distributed" *) reg [{bits - 1}:0] kept [0:{slots - 1}];
reg signed [{bits - 1}:0] before, sum;
always @(posedge clk) begin
  before <= kept[from];
  sum <= begins ? {terms[0]} : before + {terms[0]};
  kept[slot] <= sum;
end""")
    else:
        lines.append(f"""reg signed [{bits - 1}:0] so_far;
wire signed [{bits - 1}:0] sum = begins ? {terms[0]} : so_far + {terms[0]};
always @(posedge clk) so_far <= sum;""")
    for turn in range(held):
        lines.append(f"""reg signed [{bits - 1}:0] held{turn};
always @(posedge clk) if (ends[{turn}]) held{turn} <= sum;
assign sums[{turn * bits} +: {bits}] = held{turn};""")
    sizes = {"banks": banks, "depth": depth, "bits": bits, "regions": regions, "places": places,
             "held": held, **({"slots": slots} if slots else {})}  # fmt: skip
    return Design("bank_row", sizes, module(ports, "\n".join(lines)))


def bank_choice(rows: int, parts: int, bits: int) -> Design:
    """Of the sums of a turn, the part that the units take: each unit chooses among ``parts``."""
    units, select = rows // parts, index_bits(parts)
    ports = f"""input clk, input [{rows * bits - 1}:0] held, input [{select - 1}:0] part,
output reg [{units * bits - 1}:0] taken"""
    choices = [
        one_of([f"held[{(p * units + unit) * bits} +: {bits}]" for p in range(parts)], "part")
        for unit in range(units)
    ]
    body = "\n".join(
        f"always @(posedge clk) taken[{unit * bits} +: {bits}] <= {choice};"
        for unit, choice in enumerate(choices)
    )
    sizes = {"rows": rows, "parts": parts, "bits": bits}
    return Design("bank_choice", sizes, module(ports, body))


def banked() -> list[Design]:
    """Those that are measured."""
    return [
        *(bank_row(*sizes) for sizes in (
            (8, 32, 28, 1, 1, 1), (32, 32, 33, 2, 1, 1), (32, 64, 33, 2, 1, 2),
            (16, 32, 30, 3, 2, 1), (4, 128, 24, 1, 4, 1), (32, 32, 33, 2, 1, 1, 128),
            (4, 32, 28, 1, 1, 1, 24))),
        *(bank_choice(*sizes) for sizes in ((32, 2, 33), (32, 4, 33), (64, 8, 28))),
    ]  # fmt: skip
