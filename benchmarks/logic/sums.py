"""Verilog of what happens to sums: the ways to the cell units, and the parts of shared rows."""

from __future__ import annotations

from primitives import Design, index_bits, module, one_of

Phases = list[tuple[int, int]]
"""Of each phase: siblings, and ways of each."""


def named(phases: Phases) -> str:
    """``4x1+1x4``."""
    return "+".join(f"{siblings}x{ways}" for siblings, ways in phases)


def tree(terms: list[str]) -> str:
    """The sum of a power of two of terms."""
    while len(terms) > 1:
        terms = [f"({a} + {b})" for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


def part(vector: str, index: int, bits: int) -> str:
    """The ``index``-th of a vector's words."""
    return f"{vector}[{index * bits} +: {bits}]"


def choice(vector: str, select: str, unit: int, pes: int, units: int, bits: int) -> str:
    """Of the PEs of one cell unit, the ``bits`` of the one that the phase's unit has come to."""
    words = [part(vector, c * units + unit, bits) for c in range(pes // units)]
    return one_of(words, select)


def collector(pes: int, units: int, phases: Phases, bits: int) -> Design:
    """What brings sums to the cell units: of each phase's, one of its PEs, then adder trees."""
    banks = max(siblings * ways for siblings, ways in phases)
    ports = [f"input clk, input [{pes * banks * bits - 1}:0] sums"]
    lines = []
    for number, (siblings, ways) in enumerate(phases):
        ports += [f"input [{index_bits(pes // units) - 1}:0] q{number}",
                  f"output reg [{units * siblings * bits - 1}:0] y{number}"]  # fmt: skip
        width = siblings * ways * bits
        used = ", ".join(f"sums[{pe * banks * bits} +: {width}]" for pe in reversed(range(pes)))
        lines.append(f"wire [{pes * width - 1}:0] banks{number} = {{{used}}};")
        for unit in range(units):
            name = f"s{number}_{unit}"
            chosen = choice(f"banks{number}", f"q{number}", unit, pes, units, width)
            lines.append(f"reg [{width - 1}:0] {name}; always @(posedge clk) {name} <= {chosen};")
            for sibling in range(siblings):
                terms = [part(name, sibling * ways + way, bits) for way in range(ways)]
                to = part(f"y{number}", unit * siblings + sibling, bits)
                lines.append(f"always @(posedge clk) {to} <= {tree(terms)};")
    sizes = {"pes": pes, "units": units, "phases": named(phases), "bits": bits}
    return Design("collector", sizes, module(", ".join(ports), "\n".join(lines)))


def drain(pes: int, units: int, phases: Phases, bits: int) -> Design:
    """The same where sums leave the accumulators first: in each PE the trees of each phase, into
    memories (outside); then of each phase's sums those of one PE.
    """
    banks = max(siblings * ways for siblings, ways in phases)
    kept = max(siblings for siblings, _ in phases)
    ports = [f"""input clk, input [{index_bits(len(phases)) - 1}:0] phase,
input [{pes * banks * bits - 1}:0] sums, input [{pes * kept * bits - 1}:0] read,
output reg [{pes * kept * bits - 1}:0] written"""]  # fmt: skip
    lines = []
    for pe in range(pes):
        for sibling in range(kept):
            total = f"{bits}'d0"
            for number, (siblings, ways) in enumerate(phases):
                if sibling < siblings:
                    terms = [part("sums", pe * banks + sibling * ways + way, bits)
                             for way in range(ways)]  # fmt: skip
                    alone = all(other <= sibling for other, _ in phases[:number])
                    total = tree(terms) if alone else f"phase == {number} ? {tree(terms)} : {total}"
            to = part("written", pe * kept + sibling, bits)
            lines.append(f"always @(posedge clk) {to} <= {total};")
    for number, (siblings, _) in enumerate(phases):
        ports += [f"input [{index_bits(pes // units) - 1}:0] q{number}",
                  f"output reg [{units * siblings * bits - 1}:0] y{number}"]  # fmt: skip
        width = siblings * bits
        used = ", ".join(f"read[{pe * kept * bits} +: {width}]" for pe in reversed(range(pes)))
        lines.append(f"wire [{pes * width - 1}:0] read{number} = {{{used}}};")
        for unit in range(units):
            chosen = choice(f"read{number}", f"q{number}", unit, pes, units, width)
            lines.append(f"always @(posedge clk) {part(f'y{number}', unit, width)} <= {chosen};")
    sizes = {"pes": pes, "units": units, "phases": named(phases), "bits": bits}
    return Design("drain", sizes, module(", ".join(ports), "\n".join(lines)))


def shared_rows(pes: int, banks: int, depth: int, bits: int) -> Design:
    """The sums of shared rows, with the accumulators that they come from and go to.

    In one cycle all PEs' parts are read, in the next zeros take their place; the sum comes out of
    the tree some cycles later, and goes to the row's own place. At other times PEs read and write.
    """
    address, owner = index_bits(depth), index_bits(pes)
    ports = f"""input clk, go, even, summing, input [{address - 1}:0] first, row,
input [{owner - 1}:0] of_pe,
input [{pes * address - 1}:0] reads, writes, input [{pes * banks - 1}:0] put,
input [{pes * bits - 1}:0] sums, output [{pes * banks * bits - 1}:0] old"""
    levels = (pes - 1).bit_length()
    lines = [f"""reg [{address - 1}:0] from_row; reg was_even;
always @(posedge clk) begin from_row <= first; was_even <= go & even; end
reg [{address - 1}:0] to_row [0:{levels}]; reg [{owner - 1}:0] to_pe [0:{levels}];
reg [{levels}:0] there; integer k;
always @(posedge clk) begin
  to_row[0] <= row; to_pe[0] <= of_pe; there <= {{there, go & even}};
  for (k = 0; k < {levels}; k = k + 1) begin
    to_row[k + 1] <= to_row[k]; to_pe[k + 1] <= to_pe[k];
  end
end"""]  # fmt: skip
    for pe in range(pes):
        own = part("reads", pe, address)
        lines.append(f"""wire [{address - 1}:0] read{pe} = summing ? first : {own};
wire mine{pe} = there[{levels}] & to_pe[{levels}] == {pe};
wire [{address - 1}:0] write{pe} = ~summing ? {part("writes", pe, address)}
  : was_even ? from_row : to_row[{levels}];""")  # fmt: skip
    for bank in range(banks):
        terms = []
        for pe in range(pes):
            name = f"m{pe}_{bank}"
            terms.append(part("old", pe * banks + bank, bits))
            lines.append(f"""(* ram_style = "distributed" *)
reg [{bits - 1}:0] {name} [0:{depth - 1}];
always @(posedge clk) if (summing ? was_even | mine{pe} : put[{pe * banks + bank}])
  {name}[write{pe}] <= ~summing ? {part("sums", pe, bits)} : was_even ? 0 : total{bank};
assign {terms[-1]} = {name}[read{pe}];""")  # fmt: skip
        for level in range(levels):
            sums = []
            for k, (a, b) in enumerate(zip(terms[::2], terms[1::2], strict=True)):
                name = f"t{bank}_{level}_{k}"
                sums.append(name)
                lines.append(f"reg [{bits - 1}:0] {name};")
                lines.append(f"always @(posedge clk) {name} <= {a} + {b};")
            terms = sums
        lines.append(f"wire [{bits - 1}:0] total{bank} = {terms[0]};")
    sizes = {"pes": pes, "banks": banks, "depth": depth, "bits": bits}
    return Design("shared_rows", sizes, module(ports, "\n".join(lines)))
