"""Each rule is broken by a change of the kernel, and then told, alone."""

from __future__ import annotations

import pytest

from penstock_runtime.lint.finding import RULES

TOP = 'extern "C" void lstm_top('
CASES = [
    ("parse", [("beat_t beat = 0;", "beat_t beat = nothing;")], "undeclared identifier 'nothing'"),
    ("not-analysed", [("    y[k] = beat;", "    do y[k] = beat; while (false);")], "do stmt"),
    ("not-analysed", [("        sum += offset;", "        if (sum == 0) continue;\n"
                       "        sum += offset;")], "continue stmt"),
    ("not-analysed", [("results.write(packet);", "goto end;\n end:\n results.write(packet);")],
     "goto stmt"),
    ("not-analysed", [("cyclic factor=2", "cyclic factor=UNITS")], "factor=UNITS is no constant"),
    ("port-interface", [("#pragma HLS INTERFACE s_axilite port=start\n", "")],
     "start has no INTERFACE s_axilite pragma"),
    ("port-interface", [("#pragma HLS INTERFACE s_axilite port=return\n", "")], "return"),
    ("port-interface", [("m_axi port=y bundle=gmem_y offset=slave depth=64",
                         "s_axilite port=y")], "y has no INTERFACE m_axi pragma"),
    ("port-options", [("bundle=gmem_y offset=slave depth=64", "bundle=gmem_y depth=64")],
     "y has no offset"),
    ("port-options", [("bundle=gmem_y offset=slave depth=64", "bundle=gmem_y offset=slave depth=N"
                       )],
     "the depth of y is no positive constant"),
    ("port-interface", [("#pragma HLS INTERFACE axis port=from\n", "")],
     "from has no INTERFACE axis pragma"),
    ("axis-mixed", [("#pragma HLS INTERFACE axis port=to\n", "#pragma HLS INTERFACE axis port=to\n"
                     "#pragma HLS INTERFACE s_axilite port=to\n")],
     "to is a stream with INTERFACE s_axilite"),
    ("axis-packet", [("                         axis_stream &from,",
                      "                         beat_stream &from,"),
                     ("relay(axis_stream &from", "relay(beat_stream &from"),
                     ("from.read().data", "from.read()")], "from carries no ap_axiu"),
    ("axis-packet", [("    axis_t out;", "    axis_t out, kept[2];"),
                     ("    to.write(out);", "    kept[0] = out;\n    to.write(out);")],
     "kept holds ap_axiu within the kernel"),
    ("axis-packet", [("  packet_stream results(", "  axis_stream between;\n"
                      "#pragma HLS STREAM variable=between depth=8\n  packet_stream results("),
                     ("relay(from, to, steps);",
                      "relay(from, between, steps);\n  relay(between, to, steps);")],
     "between holds ap_axiu within the kernel"),
    ("axis-beat", [("    out.keep = -1;\n    out.strb = -1;\n", "")], "without its keep and strb"),
    ("axis-beat", [("    out.last = n", "    out.last = 0;\n    if (n) out.strb = n"),
                   ("    out.strb = -1;\n", "")], "without its strb"),
    ("axis-beat", [("to.write(out)", "to.write(from.read())"), ("from.read().data", "n")],
     "without its data and keep and strb and last"),
    ("axis-flatten", [("RELAY:\n", "  for (int m = 0; m < 2; ++m) {\nRELAY:\n"),
                      ("    to.write(out);\n  }", "    to.write(out);\n  }\n  }")],
     "what reads an AXI stream may be flattened"),
    ("axis-direction", [("    to.write(out);", "    to.write(out);\n    from.write(out);")],
     "from is read and written"),
    ("dataflow-channel", [("relay(from, to, steps);",
                           "relay(from, to, steps);\n  relay(from, to, steps);")],
     "the port from is used by relay and relay"),
    ("shared-bundle", [("bundle=gmem_s", "bundle=gmem_y")], "share gmem_y"),
    ("bundle-options", [("bundle=gmem_s", "bundle=gmem_x")], "state has other options than x"),
    ("partitioned-port", [("#pragma HLS DATAFLOW",
                           "#pragma HLS DATAFLOW\n#pragma HLS ARRAY_PARTITION variable=y")],
     "y is an m_axi port"),
    ("struct-port", [(TOP + "const beat_t *x", TOP + "const beat_t *x, const packet_t *p"),
                     ("#pragma HLS DATAFLOW", "#pragma HLS INTERFACE m_axi port=p bundle=gmem_p "
                      "offset=slave depth=1\n#pragma HLS DATAFLOW")], "p points to structs"),
    ("burst", [("    beats.write(x[k]);", "    if (k > 2) beats.write(x[k]);")],
     "the access of x is conditional"),
    ("burst", [("beats.write(x[k]);", "beats.write(x[2 * k]);")], "does not move by 1"),
    ("burst", [("#pragma HLS PIPELINE II=1\n    beats.write", "    beats.write")],
     "stands in no loop with PIPELINE II=1"),
    ("burst", [("    beats.write(x[k]);", "    for (int i = 0; i < 1; ++i) {\n#pragma HLS UNROLL\n"
                "      beats.write(x[k + i]);\n    }")], "stands in an unrolled loop"),
    ("port-offset", [("fetch(x, beats, steps)", "fetch(x + 4, beats, steps)")],
     "an address within x goes into fetch"),
    ("port-offset", [("fetch(x, beats, steps)", "fetch(&x[steps], beats, steps)")],
     "an address within x goes into fetch"),
    ("volatile", [("static void fetch(const beat_t", "static void fetch(const volatile beat_t"),
                  ("beats.write(x[k]);", "beats.write(const_cast<const beat_t *>(x)[k]);")],
     "x is volatile"),
    ("dataflow-body", [("  store(results, y);", "  if (steps > 0) store(results, y);"),
                       ("STREAM variable=results depth=8\n", "STREAM variable=results depth=8\n"
                        "#pragma HLS STABLE variable=y\n")], "neither a channel nor a call"),
    ("dataflow-void", [("static void store(", "static int store("), ("    y[k] = beat;\n  }",
                        "    y[k] = beat;\n  }\n  return 0;")], "store returns a value"),
    ("dataflow-channel", [("fetch(x, beats, steps);\n",
                           "fetch(x, beats, steps);\n  fetch(x, beats, steps);\n")],
     "beats has 2 producers"),
    ("dataflow-channel", [("  fetch(x, beats, steps);\n",
                           "  beat_stream more[2];\n#pragma HLS STREAM variable=more depth=8\n"
                           "  fetch(x, beats, steps);\n  fetch(y, more[0], steps);\n")],
     "more[0] has 0 consumers"),
    ("dataflow-feedback", [("  fetch(x, beats, steps);\n  compute(", "  compute("),
                           ("start);\n  store", "start);\n  fetch(x, beats, steps);\n  store")],
     "compute reads beats, which fetch writes later"),
    ("dataflow-counter", [("  fetch(x, beats, steps);", "  fetch(x, beats, steps);\n"),
                          ("static void compute(", "static void twice(unsigned n) { }\n"
                           "static void more() {\n  for (unsigned n = 1; n < 3; ++n) {\n"
                           "#pragma HLS DATAFLOW\n    twice(n);\n  }\n}\nstatic void compute("),
                          ("  accumulate(beats, acc, steps);",
                           "  more();\n  accumulate(beats, acc, steps);")],
     "does not count from 0 by 1"),
    ("stream-depth", [("#pragma HLS STREAM variable=results depth=8\n", "")],
     "results has no STREAM"),
    ("uninitialised", [("acc_t sum = 0;", "acc_t sum;\n        sum += 1;")],
     "sum is read before it is written"),
    ("uninitialised", [("packet_t packet;\n", "packet_t packet;\n      value_t tail[2];\n"),
                       ("rounded(low);", "rounded(low) + tail[unit];")], "tail is read"),
    ("library-call", [("#include <ap_int.h>", "#include <ap_int.h>\n#include <cstdio>"),
                      ("static acc_t acc[PES]", 'std::printf("x");\n  static acc_t acc[PES]')],
     "printf is not synthesised"),
    ("library-call", [("static acc_t acc[PES]", "int *heap = new int[3];\n  static acc_t acc[PES]"),
                      ("  accumulate(beats, acc, steps);", "  accumulate(beats, acc, heap[0]);")],
     "new and delete"),
    ("library-call", [("#include <ap_int.h>", "#include <ap_int.h>\n#include <vector>"),
                      ("static acc_t acc[PES]", "std::vector<int> v;\n  static acc_t acc[PES]")],
     "v is of std::vector<int>"),
    ("recursion", [("static void store(", "static int again(int n) {\n"
                    "  return n ? again(n - 1) : 0;\n}\n"
                    "static void store("), ("beat_t beat = 0;", "beat_t beat = again(3);")],
     "again calls itself"),
    ("variable-length", [("static acc_t acc[PES]", "short tail[steps];\n  static acc_t acc[PES]"),
                         ("#include <ap_int.h>",
                          '#include <ap_int.h>\n#pragma GCC diagnostic ignored "-Wvla"')],
     "the length of tail is no constant"),
    ("pointer-to-pointer", [("static acc_t acc[PES]", "beat_t **all = &state;\n  (void)all;\n"
                             "  static acc_t acc[PES]")], "all points to pointers"),
    ("table-type", [("static const short TABLE[4] = {0, 1, 3, 7};",
                     "static const value_t TABLE[32] = {0, 1, 3, 7};")],
     "32 entries of ap_int<16>"),
    ("index-range", [("packet.value[unit] = rounded", "packet.value[unit + 1] = rounded")],
     "index 2 of packet.value is not within its 2 elements"),
    ("trip-count", [("#pragma HLS LOOP_TRIPCOUNT max=64\n#pragma HLS PIPELINE II=1\n    beats",
                     "#pragma HLS PIPELINE II=1\n    beats")], "a variable bound"),
    ("variable-bound", [("for (int p = 0; p < PES; ++p)", "for (unsigned p = 0; p < steps; ++p)"),
                        ("variable=acc dim=1", "variable=acc dim=0")],
     "the bound of an unrolled loop is no constant"),
    ("inner-unroll", [("c < PES / CELL_UNITS; ++c) {\n#pragma HLS UNROLL\n",
                       "c < PES / CELL_UNITS; ++c) {\n")], "has no UNROLL"),
    ("pragma-name", [("#pragma HLS BIND_STORAGE", "#pragma HLS BINDSTORAGE"),
                     ("RAW distance=4 true", "false")], "BINDSTORAGE is no HLS pragma"),
    ("pragma-variable", [("#pragma HLS ARRAY_PARTITION variable=kept",
                          "#pragma HLS ARRAY_PARTITION variable=keep")], "knows no variable keep"),
    ("pragma-variable", [("cyclic factor=2 dim=1", "cyclic factor=2 dim=2")],
     "kept has 1 dimensions, and no 2"),
    ("pragma-place", [("#pragma HLS DATAFLOW", "#pragma HLS DATAFLOW\n#pragma HLS UNROLL")],
     "UNROLL stands in no loop's body"),
    ("pragma-dialect", [("variable=kept cyclic factor=2", "variable=kept type=cyclic factor=2")],
     "ARRAY_PARTITION with type=cyclic"),
    ("pragma-dialect", [("m_axi port=y", "mode=m_axi port=y")], "INTERFACE with mode=m_axi"),
    ("pragma-name", [("#pragma HLS DATAFLOW",
                      '#pragma HLS DATAFLOW\n_Pragma("HLS STABLE variable=x")')],
     "_Pragma is no HLS pragma"),
    ("not-analysed", [("  value_t value[CELL_UNITS];",
                       "  value_t value[CELL_UNITS];\n  packet_t() {}\n"
                       "  packet_t(int all) { value[0] = value[1] = all; }"),
                      ("      packet_t packet;", "      packet_t packet(0);")],
     "constructor of the kernel's own"),
    ("dependence", [("acc inter RAW distance=4 true", "acc inter RAW distance=4 dependent=true")],
     "dependent= in a DEPENDENCE"),
    ("dependence", [("acc inter false", "acc inter")], "neither true nor false"),
    ("dependence", [("acc inter RAW distance=4 true", "acc inter RAW distance=4 false")],
     "a distance without true"),
    ("partition-factor", [("cyclic factor=2 dim=1", "cyclic factor=1 dim=1")], "factor=1"),
    ("partition-factor", [("variable=acc dim=1", "variable=acc complete factor=8 dim=1")],
     "a complete partition with a factor"),
    ("partition-count", [("  static acc_t kept[DEPTH];", "  static acc_t wide[2048][4];\n"
                          "#pragma HLS ARRAY_PARTITION variable=wide dim=1\n"
                          "  static acc_t kept[DEPTH];")], "wide is cut into 2,048 memories"),
    ("binding", [("type=ram_s2p impl=lutram latency=1", "type=ram_s2p impl=lutram")],
     "acc has a dependence distance"),
]  # fmt: skip
PORTS = [
    ("a bank that varies", [("const acc_t offset", "const unsigned pe = q * 2 + 1;\n"
      "      acc[pe][slot] = 0;\n      acc[pe % 4][slot] = 1;\n      const acc_t offset")],
     "acc takes 1 reads and 3 writes a cycle in a bank, for the bank of an access is not known; "
     "ram_s2p does 1 read and 1 write"),
    ("the same without a choice", [("if (q == c) {", "{"), ("acc[c * CELL_UNITS + unit][slot] = 0",
      "acc[c * CELL_UNITS + unit][slot + q] = 0"), ("sum = acc[c * CELL_UNITS + unit][slot];",
      "sum = acc[c * CELL_UNITS + unit][slot] + acc[c * CELL_UNITS + unit][slot + 1];")],
     "acc takes 2 reads and 1 writes"),
    ("a memory with one port", [("type=ram_s2p", "type=ram_1p")], "ram_1p does 1 access"),
    ("three reads of a memory with two ports", [("= kept[slot];",
      "= kept[slot] + kept[slot + 2] + kept[slot + 4];")],
     "kept takes 3 reads and 0 writes a cycle in a bank, for the bank of an access is "
     "not known; ram_2p does 2 accesses, at most one a write"),
    ("two writes at two places", [
      ("    kept[k] = state", "    kept[k + 2] = 0;\n kept[k] = state")],
     "kept takes 0 reads and 2 writes"),
    ("a table in a function that is inlined", [
      ("#pragma HLS INLINE off\n#pragma HLS PIPELINE II=1\n  static",
       "#pragma HLS INLINE\n  static"),
      ("rounded(low);", "rounded(low) + rounded(low + 1);")], "TABLE takes 4 reads and 0 writes"),
    ("a stream read twice", [("const packet_t packet = results.read();",
      "packet_t packet = results.read();\n    packet = results.read();")],
     "results takes 2 reads and 0 writes a cycle in its memory; stream does 1 read and 1 write"),
    ("half of a partition", [("variable=acc dim=1", "variable=acc cyclic factor=4 dim=1")],
     "acc takes 2 reads and 2 writes a cycle in a bank; ram_s2p"),
    ("blocks", [("variable=acc dim=1", "variable=acc block factor=4 dim=1")],
     "acc takes 2 reads and 2 writes a cycle in a bank; ram_s2p"),
]  # fmt: skip

IDS = [f"{rule}-{what[:24]}" for rule, _, what in CASES]


def test_the_kernel_breaks_no_rule(linted):
    assert linted().findings == []


@pytest.mark.parametrize(("rule", "changes", "what"), CASES, ids=IDS)
def test_a_broken_rule_is_told_alone(linted, rule, changes, what):
    findings = linted(*changes).findings
    assert {finding.rule for finding in findings} == {rule}, [f.line() for f in findings]
    assert any(what in finding.line() for finding in findings), [f.line() for f in findings]
    assert all(finding.at.file.startswith("kernel/") and finding.at.line for finding in findings)


@pytest.mark.parametrize(("changes", "what"), [c[1:] for c in PORTS], ids=[c[0] for c in PORTS])
def test_too_many_accesses_are_told(linted, changes, what):
    findings = linted(*changes).findings
    assert {finding.rule for finding in findings} == {"ports"}, [f.line() for f in findings]
    assert any(what in finding.line() for finding in findings), [f.line() for f in findings]


def test_every_rule_is_broken_by_a_test():
    assert {rule.name for rule in RULES} == {case[0] for case in CASES} | {"ports"}
