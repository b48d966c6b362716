"""Every operation has all that its readers need, and element-wise twins compute the same bits."""

from __future__ import annotations

import subprocess
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from penstock.codegen.hls.names import cpp, short
from penstock.codegen.hls.tables import table_functions, table_texts
from penstock.codegen.hls.units import mean_operands, requant_operand
from penstock.codegen.render import render, template_folder
from penstock.fixed import Fixed, Overflow, Rounding, requantize
from penstock.ir import Direction, Graph, Value
from penstock.ir.op import Traits
from penstock.ops import (
    ALL,
    REGISTRY,
    Add,
    Clamp,
    Const,
    Input,
    Lut,
    Mean,
    Mul,
    Relu,
    Requant,
    Scale,
    StateRead,
    Sub,
)
from penstock.ops.lut import lut_input_type, lut_tables
from penstock_runtime import csim

RANDOM = 200
EXPONENT = Fixed(3, 0, signed=False)
TESTED_IN_NETWORKS = {
    "input", "const", "state_read", "matvec", "state_write", "capture", "argmax", "output",
}  # fmt: skip
"""Twins of no single expression: tests/end_to_end/test_bit_true.py runs them in whole kernels."""


def values_of(kind: Fixed, seed: int) -> list[int]:
    """Edges, neighbours of zero, ties of every size, and random values."""
    generator = np.random.default_rng(seed)
    ties = [sign * (1 << bit) + off for bit in range(kind.width - 1) for sign in (1, -1)
            for off in (-1, 0, 1)]  # fmt: skip
    edges = [kind.raw_min, kind.raw_min + 1, -1, 0, 1, kind.raw_max - 1, kind.raw_max, *ties]
    fitting = [value for value in edges if kind.raw_min <= value <= kind.raw_max]
    return fitting + generator.integers(kind.raw_min, kind.raw_max, RANDOM, endpoint=True).tolist()


def cases():
    """(graph, node under test): operands are state reads, so that they may hold anything."""
    wide, narrow = Fixed(28, 22), Fixed(16, 13)
    unsigned = Fixed(16, 15, signed=False)
    for operands in ([wide, narrow], [narrow, unsigned, wide], [Fixed(8, -2), Fixed(9, 12)]):
        yield Add(), operands, []
    for operands in ([wide, narrow], [narrow, unsigned], [unsigned, wide],
                     [Fixed(8, -2), Fixed(9, 12)]):  # fmt: skip
        yield Sub(), operands, []
    for operands in ([narrow, Fixed(12, 11)], [unsigned, narrow], [Fixed(12, 15), Fixed(8, -3)]):
        yield Mul(), operands, []
    for x in (wide, narrow, Fixed(5, -3)):
        yield Scale(), [x, EXPONENT], []
    for x in (wide, unsigned, Fixed(5, -3), Fixed(3, 90)):
        yield Relu(), [x], []
    for x, low, high in ((wide, -70000, 1 << 20), (narrow, 0, 8191), (unsigned, 3, 65535)):
        yield Clamp(low, high), [x], []
    for rounding, overflow in product(Rounding, Overflow):
        yield Requant(Fixed(12, 9, True, rounding, overflow)), [wide], []
        yield Requant(Fixed(6, 9, True, rounding, overflow)), [Fixed(12, 22)], []
        yield Requant(Fixed(6, 4, False, rounding, overflow)), [Fixed(3, 25)], []
        yield Requant(Fixed(6, 4, True, rounding, overflow)), [Fixed(3, 90)], []
    yield Requant(Fixed(16, 20, True, Rounding.RND, Overflow.SAT)), [narrow], []
    for frac in (9, 15, 20, 22):
        yield Mean(Fixed(16, frac, True, Rounding.RND, Overflow.SAT)), [Fixed(36, 15)], []
    yield Mean(Fixed(12, 3, True, Rounding.RND, Overflow.WRAP)), [unsigned], []
    yield Mean(Fixed(12, 9, False, Rounding.RND, Overflow.SAT)), [narrow], []
    yield Requant(Fixed(11, 8, False, Rounding.RND, Overflow.SAT)), [wide], []
    for function, bits, entries in product(("sigma", "tanh"), (0, 5), (64, 2048)):
        to = unsigned if function == "sigma" else Fixed(16, 15)
        to = Fixed(to.width, to.frac, to.signed, Rounding.RND, Overflow.SAT)
        x = lut_input_type(entries, bits, 4.0)
        yield Lut(function, to, bits), [x], lut_tables(function, x, to, bits)


def build(op, operands, tables, number):
    graph = Graph("twins", [Direction.FORWARD])
    names = [
        graph.add(f"in{k}", Const(kind, np.array([0, kind.raw_max]))
                  if kind == EXPONENT else StateRead(f"s{k}", 2, kind))
        for k, kind in enumerate(operands)
    ]  # fmt: skip
    for suffix, raw in zip(("", "_rise"), tables, strict=False):
        kind = op.to if op.to.fits(raw) else Fixed(op.to.width + 1, op.to.frac)
        names.append(graph.add(f"case{number}.table{number}{suffix}", Const(kind, raw)))
    graph.add("result", op, *names)
    return graph


READ_AS_WORD = {"const": "read_parameter.h.j2"}
CONFIG = """
#include <ap_fixed.h>
#include <ap_int.h>
const int LANES = 1, CELL_UNITS = 1;
const int unit = 0, lane = 0;
template <class T>
struct lanes_of {
  T lane[LANES];
};
typedef lanes_of<ap_int<64> > activations_t;
"""
MAIN = """
#include <cstdio>
#include "tables.h"
{%- for case in cases %}

static void case_{{ loop.index0 }}() {
{%- for values in case["values"] %}
  static const long long VALUES_{{ loop.index0 }}[] = { {{- values | join(", ") -}} };
{%- endfor %}
  const unsigned length[1] = { {{- case.steps -}} }, lane = 0;
  (void)length, (void)lane;
  for (unsigned k = 0; k < {{ case["values"][0] | length }}; ++k) {
{%- for type in case.types %}
    const {{ type }} in{{ loop.index0 }} = from_raw<{{ type }} >(ap_int<64>(VALUES_{{ loop.index0
    }}[k]));
{%- endfor %}
{{ case.fragment }}
    std::printf("%lld ", (long long)raw_of(result).to_int64());
  }
  std::printf("\\n");
}
{%- endfor %}

int main() {
{%- for case in cases %}
  case_{{ loop.index0 }}();
{%- endfor %}
}
"""


def twin(kind):
    """A constant is the same in all lanes: it is read where words are, before the lanes."""
    return f"hls/words/{READ_AS_WORD[kind]}" if kind in READ_AS_WORD else f"hls/ops/{kind}.h.j2"


def missing(operation):
    """What an operation lacks, each in the words of the recipe."""
    rules = pytest.importorskip("penstock.compress.rules").RULES
    found = [f"its {name}()" for name in ("infer", "eval", "cost") if not hasattr(operation, name)]
    if not issubclass(operation, Traits):
        found.append("its traits: derive from penstock.ir.op.Traits")
    if not (template_folder() / twin(operation.kind)).exists():
        found.append(f"its twin templates/{twin(operation.kind)}")
    if operation.kind not in rules and operation is not Const:
        found.append("its rule for training in compress/rules.py")
    tested = {op.kind for op, _, _ in cases()} | TESTED_IN_NETWORKS
    if operation.kind not in tested:
        found.append("a case in tests/ops/test_twins.py")
    if REGISTRY.get(operation.kind) is not operation:
        found.append("a line in penstock/ops/__init__.py")
    return found


@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.kind)
def test_no_operation_lacks_what_a_reader_needs(operation):
    lacking = missing(operation)
    assert not lacking, f"operation {operation.kind!r} lacks " + ", ".join(lacking)


def test_what_an_operation_lacks_is_named():
    class Half(Traits):
        kind = "half"

    assert missing(Half) == [
        "its infer()", "its eval()", "its cost()", "its twin templates/hls/ops/half.h.j2",
        "its rule for training in compress/rules.py", "a case in tests/ops/test_twins.py",
        "a line in penstock/ops/__init__.py",
    ]  # fmt: skip


def test_element_wise_operations_are_those_whose_twins_are_tested_one_by_one():
    assert {op.kind for op in ALL if op.is_elementwise} == {op.kind for op, _, _ in cases()}


def test_every_twin_has_an_operation():
    twins = {path.name.removesuffix(".h.j2") for path in (template_folder() / "hls/ops").iterdir()}
    assert {op.kind for op in ALL} - READ_AS_WORD.keys() == twins


def test_element_wise_twins_equal_eval_to_the_last_bit(cpp_flags, tmp_path):
    from jinja2 import Template

    found, tables, expected = [], [], []
    for number, (op, operands, raws) in enumerate(cases()):
        graph = build(op, operands, raws, number)
        node = graph["result"]
        columns = [values_of(kind, number + k) for k, kind in enumerate(operands)]
        length = min(map(len, columns))
        columns = [column[:length] for column in columns]
        operand_values = [
            Value(np.array(column)[None], kind)
            for column, kind in zip(columns, operands, strict=True)
        ]
        operand_values += [Value(raw, op.to) for raw in raws]
        steps = 1 + number % 13
        step = SimpleNamespace(length=np.array([[steps]]))
        expected.append(node.op.eval(step, *operand_values)[0].tolist())
        line = {
            "id": "result", "cpp": cpp(node.tensor.type), "number": 0,
            "inputs": [short(name) for name in node.inputs],
        }  # fmt: skip
        if op.kind == "clamp":
            line |= {"bits": node.tensor.type.width + 1, "low": op.low, "high": op.high}
        if op.kind == "mean":
            line |= mean_operands(op, graph[node.inputs[0]].tensor)
        if op.kind == "requant":
            line["operand"] = requant_operand(operands[0], op.to, "in0")
        if op.kind == "scale":
            line["wide"] = ""  # the exponents begin at 0; tests/graphs.py has others
        if op.kind == "lut":
            tables += table_functions(graph, short, lambda table: 1)
            line |= {"table": tables[-1]["name"], "call": 0}
            for path, text in table_texts(graph, short).items():
                target = tmp_path / path.removeprefix("kernel/")
                target.parent.mkdir(exist_ok=True)
                target.write_text(text)
        fragment = render("hls", f"ops/{op.kind}.h.j2", {"node": line})
        types = [cpp(kind) for kind in operands]
        found.append({"values": columns, "types": types, "fragment": fragment, "steps": steps})
    context = {
        "takes_means": True,
        "clamps": True,
        "version": "test",
        "model": "twins",
        "tables": tables,
    }
    (tmp_path / "config.h").write_text(CONFIG)
    (tmp_path / "raw.h").write_text(render("hls", "kernel/raw.h.j2", context))
    (tmp_path / "tables.h").write_text(render("hls", "kernel/tables.h.j2", context))
    (tmp_path / "main.cpp").write_text(Template(MAIN).render(cases=found))
    command = [csim.compiler(), *cpp_flags, "-O1", "-I.", "main.cpp", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = subprocess.run([tmp_path / "main"], capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == len(expected) > 40
    for (op, operands, _), line, wanted in zip(cases(), lines, expected, strict=True):
        assert list(map(int, line.split())) == wanted, f"{op} of {list(map(str, operands))}"


@pytest.mark.parametrize("function", ["sigma", "tanh"])
def test_a_table_is_as_close_to_its_function_as_its_step_allows(function):
    to = Fixed(16, 15, function == "tanh", Rounding.RND, Overflow.SAT)
    slope = {"sigma": 0.25, "tanh": 1.0}[function]
    for bits, reach in ((0, 8.0), (5, 8.0)):
        x = lut_input_type(2048, bits, reach)
        raws = np.arange(x.raw_min, x.raw_max + 1)
        op = Lut(function, to, bits)
        tables = [Value(raw, to) for raw in lut_tables(function, x, to, bits)]
        got = to.to_float(op.eval(None, Value(raws[None], x), *tables))[0]
        real = {"sigma": lambda v: 1 / (1 + np.exp(-v)), "tanh": np.tanh}[function](
            x.to_float(raws)
        )
        table_step = 2.0 ** (bits - x.frac)
        curve = slope * table_step**2 / 4 if bits else 0.0
        error = np.abs(got - real)
        table_steps = 1 << bits
        inner = slice(table_steps, -2 * table_steps)  # the ends lead to the limits
        assert error[inner].max() <= curve + 2 * to.step
        assert error.max() <= 1 - np.abs(real[inner]).max() + 2 * to.step


def test_an_operation_refuses_operands_that_do_not_fit():
    graph = Graph("refusals", [Direction.FORWARD])
    graph.add("x", Input(3, Fixed(8, 4)))
    graph.add("e", Const(Fixed(3, 0), np.zeros(3, dtype=np.int64)))
    with pytest.raises(ValueError, match=r"exponents must be constant"):
        graph.add("scaled", Scale(), "x", "x")
    with pytest.raises(ValueError, match=r"exponents of type s3\.0 are not unsigned integers"):
        graph.add("scaled", Scale(), "x", "e")
    graph.add("c", StateRead("c", 4, Fixed(8, 4)))
    with pytest.raises(ValueError, match="while adding node sum"):
        graph.add("sum", Add(), "x", "c")
    with pytest.raises(ValueError, match="can't be combined"):
        graph.add("product", Mul(), "x", "c")


def test_a_conversion_that_drops_every_bit_equals_eval(run_cpp):
    """AMD's headers stop where a rounding bit lies above the operand's own."""
    source = Fixed(4, 10)
    kinds = [
        Fixed(6, source.frac - drop, True, rounding, Overflow.SAT)
        for rounding, drop in product(Rounding, range(2, 9))
    ]
    lines = [
        f"{{ const {cpp(to)} y = {requant_operand(source, to, 'x')}; "
        'std::printf("%d ", int(y.range(5, 0).to_int())); }'
        for to in kinds
    ]
    printed = run_cpp(
        f"""
        #include <cstdio>
        #include <ap_fixed.h>
        int main() {{
          for (int raw = -8; raw < 8; ++raw) {{
            {cpp(source)} x;
            x.range(3, 0) = raw;
            {" ".join(lines)}
          }}
        }}
        """
    )
    wanted = [[v & 63 for v in requantize(np.arange(-8, 8), 10, to).tolist()] for to in kinds]
    assert list(map(int, printed.split())) == np.array(wanted).T.ravel().tolist()
