"""Verilog of the primitives that ``penstock.machine.logic`` prices, one module a design."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Design:
    """One module ``top``. block, sizes: of ``calibration.MODELS`` a function, and its arguments."""

    block: str
    sizes: dict[str, int | str]
    verilog: str

    @property
    def name(self) -> str:
        """``adder bits=16``."""
        return " ".join([self.block, *(f"{key}={value}" for key, value in self.sizes.items())])


def module(ports: str, body: str) -> str:
    """A module ``top``."""
    return f"module top({ports});\n{body}\nendmodule\n"


def index_bits(count: int) -> int:
    """Bits that number ``count`` things."""
    return max((count - 1).bit_length(), 1)


def scrambled(index: int, bits: int) -> int:
    """A fixed pseudo-random word: a table without structure (a multiplicative hash)."""
    return ((index + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 64 - bits


def one_of(words: list[str], select: str) -> str:
    """The word with the number ``select``: by pairs, from its lowest bit up."""
    bit = 0
    while len(words) > 1:
        pairs = zip(words[::2], words[1::2], strict=False)
        last = words[-1:] if len(words) % 2 else []
        words = [f"({select}[{bit}] ? {b} : {a})" for a, b in pairs] + last
        bit += 1
    return words[0]


def adder(bits: int) -> Design:
    """A sum or difference of as many bits as its operands."""
    ports = f"input signed [{bits - 1}:0] a, b, output signed [{bits - 1}:0] y"
    return Design("adder", {"bits": bits}, module(ports, "assign y = a + b;"))


def comparator(bits: int) -> Design:
    """a >= b."""
    ports = f"input signed [{bits - 1}:0] a, b, output y"
    return Design("comparator", {"bits": bits}, module(ports, "assign y = a >= b;"))


def multiplexer(ways: int, bits: int) -> Design:
    """One of ``ways`` words."""
    select = index_bits(ways)
    ports = f"input [{ways * bits - 1}:0] a, input [{select - 1}:0] s, output [{bits - 1}:0] y"
    body = f"assign y = {one_of([f'a[{k * bits} +: {bits}]' for k in range(ways)], 's')};"
    return Design("multiplexer", {"ways": ways, "bits": bits}, module(ports, body))


def shifter(bits: int, places: int, step: int = 1) -> Design:
    """A left shift by one of ``places`` multiples of ``step`` bits."""
    select = index_bits(places)
    ports = f"input [{bits - 1}:0] a, input [{select - 1}:0] s, output [{bits - 1}:0] y"
    body = f"assign y = a << (s * {step});"
    sizes = {"bits": bits, "places": places, "step": step}
    return Design("shifter", sizes, module(ports, body))


def table(entries: int, bits: int) -> Design:
    """A constant table in logic."""
    lines = [f"{index}: y = {bits}'d{scrambled(index, bits)};" for index in range(entries)]
    ports = f"input [{index_bits(entries) - 1}:0] a, output reg [{bits - 1}:0] y"
    body = "always @* case (a)\n" + "\n".join(lines) + "\nendcase"
    return Design("table", {"entries": entries, "bits": bits}, module(ports, body))


def multiplier(left: int, right: int) -> Design:
    """A signed product behind registered operands, with one register of its own."""
    ports = (
        f"input clk, input signed [{left - 1}:0] a, input signed [{right - 1}:0] b, "
        f"output reg signed [{left + right - 1}:0] y"
    )
    body = f"""reg signed [{left - 1}:0] c; reg signed [{right - 1}:0] d;
always @(posedge clk) begin c <= a; d <= b; y <= c * d; end"""
    return Design("multiplier", {"left": left, "right": right}, module(ports, body))


def memory(depth: int, bits: int) -> Design:
    """A memory of one write and one asynchronous read port, in LUTs."""
    address = index_bits(depth) - 1
    ports = (
        f"input clk, we, input [{address}:0] w, r, input [{bits - 1}:0] d, output [{bits - 1}:0] y"
    )
    body = f"""(* ram_style = "distributed" *) reg [{bits - 1}:0] m [0:{depth - 1}];
always @(posedge clk) if (we) m[w] <= d;
assign y = m[r];"""
    return Design("memory", {"depth": depth, "bits": bits}, module(ports, body))


def fifo(depth: int, bits: int) -> Design:
    """A FIFO in shift registers, as Vitis HLS makes its streams: data moves up, a pointer reads."""
    top, pointer = bits - 1, index_bits(depth)
    ports = (
        f"input clk, reset, write, read, input [{top}:0] d, output [{top}:0] y, output full, empty"
    )
    body = f"""reg [{pointer}:0] n; reg has, room; genvar k;
wire push = write & room, pop = read & has;
generate for (k = 0; k < {bits}; k = k + 1) begin : bits
  reg [{depth - 1}:0] m;
  always @(posedge clk) if (push) m <= {{m, d[k]}};
  assign y[k] = m[n[{pointer - 1}:0]];
end endgenerate
always @(posedge clk)
  if (reset) begin n <= ~0; has <= 0; room <= 1; end
  else if (push & ~pop) begin n <= n + 1; has <= 1; room <= n != {depth - 2}; end
  else if (pop & ~push) begin n <= n - 1; has <= n != 0; room <= 1; end
assign full = ~room, empty = ~has;"""
    return Design("fifo", {"depth": depth, "bits": bits}, module(ports, body))


def clamp(bits: int, to: int) -> Design:
    """Saturation of a signed value."""
    ports = f"input signed [{bits - 1}:0] a, output signed [{to - 1}:0] y"
    body = f"""wire fits = &a[{bits - 1}:{to - 1}] | ~|a[{bits - 1}:{to - 1}];
assign y = fits ? a[{to - 1}:0] : {{a[{bits - 1}], {{{to - 1}{{~a[{bits - 1}]}}}}}};"""
    return Design("clamp", {"bits": bits, "to": to}, module(ports, body))


def requantizer(bits: int, drop: int, to: int) -> Design:
    """Round half up, then saturate."""
    kept = bits - drop + 1
    ports = f"input signed [{bits - 1}:0] x, output signed [{to - 1}:0] y"
    body = f"""wire signed [{kept - 1}:0] a =
  $signed(x[{bits - 1}:{drop}]) + $signed({{1'b0, x[{drop - 1}]}});
wire fits = &a[{kept - 1}:{to - 1}] | ~|a[{kept - 1}:{to - 1}];
assign y = fits ? a[{to - 1}:0] : {{a[{kept - 1}], {{{to - 1}{{~a[{kept - 1}]}}}}}};"""
    sizes = {"bits": bits, "drop": drop, "to": to}
    return Design("requantizer", sizes, module(ports, body))


def counter(bits: int) -> Design:
    """A loop's counter with its test: the control of one loop that nothing stalls."""
    ports = (
        f"input clk, start, go, input [{bits - 1}:0] limit, output [{bits - 1}:0] y, output last"
    )
    body = f"""reg [{bits - 1}:0] n; wire [{bits - 1}:0] next = n + 1;
always @(posedge clk) if (start) n <= 0; else if (go) n <= next;
assign y = n; assign last = next == limit;"""
    return Design("counter", {"bits": bits}, module(ports, body))


def all_clear(flags: int) -> Design:
    """No flag of many is set: no queue of all is full."""
    ports = f"input [{flags - 1}:0] a, output y"
    return Design("all_clear", {"flags": flags}, module(ports, "assign y = ~|a;"))


def axis(bits: int) -> Design:
    """An AXI stream's register slice as Vitis HLS puts it at a port: two beats are kept, and valid
    and ready come out of registers. Data, keep, strb and last."""
    beat = bits + 2 * (bits // 8) + 1
    ports = f"""input clk, reset, valid_in, ready_in, input [{beat - 1}:0] d,
output ready_out, output valid_out, output [{beat - 1}:0] y"""
    body = f"""reg [{beat - 1}:0] a, b; reg to_b, from_b; reg [1:0] n; reg ready, valid;
wire push = valid_in & ready, pop = valid & ready_in;
always @(posedge clk) if (push & ~to_b) a <= d;
always @(posedge clk) if (push & to_b) b <= d;
always @(posedge clk)
  if (reset) begin to_b <= 0; from_b <= 0; n <= 0; ready <= 1; valid <= 0; end
  else begin
    to_b <= to_b ^ push; from_b <= from_b ^ pop;
    if (push & ~pop) begin n <= n + 1; valid <= 1; ready <= n == 0; end
    else if (pop & ~push) begin n <= n - 1; valid <= n[1]; ready <= 1; end
  end
assign y = from_b ? b : a, valid_out = valid, ready_out = ready;"""
    return Design("axis", {"bits": bits}, module(ports, body))


def primitives() -> list[Design]:
    """Every size that is measured."""
    return [
        *(adder(bits) for bits in (8, 16, 32, 48)),
        *(comparator(bits) for bits in (8, 16, 32)),
        *(multiplexer(ways, 16) for ways in (2, 4, 6, 8, 16, 32)),
        *(shifter(*sizes) for sizes in ((16, 4), (28, 8), (32, 16), (512, 8, 64))),
        *(table(*sizes) for sizes in ((32, 8), (64, 8), (128, 8), (256, 8))),
        *(multiplier(*sizes) for sizes in (
            (4, 4), (12, 16), (18, 27), (20, 24), (32, 32))),
        *(memory(*sizes) for sizes in (
            (16, 16), (32, 30), (64, 30), (128, 30), (256, 30))),
        *(fifo(*sizes) for sizes in ((2, 32), (16, 32), (32, 128), (64, 128), (128, 64))),
        *(clamp(*sizes) for sizes in ((18, 16), (24, 16), (32, 16))),
        *(requantizer(*sizes) for sizes in ((20, 4, 16), (32, 14, 16), (36, 16, 16))),
        *(counter(bits) for bits in (8, 16, 32)),
        *(all_clear(flags) for flags in (4, 16, 32, 128)),
        *(axis(bits) for bits in (32, 128, 512)),
    ]  # fmt: skip
