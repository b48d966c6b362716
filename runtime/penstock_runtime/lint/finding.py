"""What lint says: findings, each of a rule that has a name and a source."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_runtime.lint.pragmas import Place


@dataclass(frozen=True, order=True)
class Finding:
    """A rule that a line of the kernel breaks."""

    at: Place
    rule: str
    what: str
    hint: str = ""

    def line(self) -> str:
        """As it is printed: ``kernel/compute.h:123: rule: what, hint``."""
        return f"{self.at}: {self.rule}: {self.what}" + (
            f"; hint: {self.hint}" if self.hint else ""
        )


@dataclass(frozen=True)
class Rule:
    """What lint looks for, and where the rule comes from."""

    name: str
    sentence: str
    source: str


INTERFACE, DATAFLOW, CODE = "UG1399, interfaces", "UG1399, dataflow", "UG1399, C++ for synthesis"
LOOPS, PRAGMAS, ARRAYS = "UG1399, loops", "UG1399, pragmas", "UG1399, arrays"
HOUSE = "Penstock's own style"

RULES = [
    Rule("parse", "The kernel is C++14 that clang takes.", CODE),
    Rule("not-analysed", "Every construct is one that lint can follow.", HOUSE),
    Rule("port-interface", "Each argument of the top function and its return have an INTERFACE.",
         INTERFACE),
    Rule("port-options", "An m_axi port has a bundle, an offset and a constant depth.", INTERFACE),
    Rule("axis-mixed", "An AXI stream has no register and no memory beside it.", INTERFACE),
    Rule("axis-packet", "AXI streams carry ap_axiu, so that they have a TLAST; no stream and no "
         "array within the kernel does.", "UG1399, AXI4-Stream interfaces"),
    Rule("axis-beat", "Of a beat that leaves, data, keep, strb and last are set.", INTERFACE),
    Rule("axis-flatten", "A pipelined loop that reads an AXI stream is not flattened into the one "
         "around it: what has come would wait in the pipeline for what has not.",
         "UG1448, pipeline styles"),
    Rule("axis-direction", "An AXI stream is read or written, never both.", INTERFACE),
    Rule("shared-bundle", "Each m_axi port has a bundle of its own.", INTERFACE),
    Rule("bundle-options", "All ports of one bundle have the same options.", INTERFACE),
    Rule("partitioned-port", "An m_axi argument is not partitioned.", INTERFACE),
    Rule("struct-port", "An m_axi port moves integers, no structs: they end bursts.", INTERFACE),
    Rule("burst", "An m_axi port is accessed in a burst: unconditionally, in a loop with PIPELINE "
         "II=1, at an index that the loop's counter moves by 1.", "UG1399, message 214-232"),
    Rule("port-offset", "No address within an m_axi port goes into a function that is not inlined.",
         "UG1399, burst preconditions"),
    Rule("volatile", "Nothing is volatile: it ends bursts.", INTERFACE),
    Rule("dataflow-body", "A dataflow region declares channels and calls functions, always.",
         DATAFLOW),
    Rule("dataflow-void", "The processes of a dataflow region return nothing.", DATAFLOW),
    Rule("dataflow-channel", "A channel has one producer and one consumer; a port has one user.",
         DATAFLOW),
    Rule("dataflow-feedback", "A channel leads from an earlier process to a later one.", DATAFLOW),
    Rule("dataflow-counter", "A loop of dataflow regions counts from 0 by 1.", DATAFLOW),
    Rule("stream-depth", "Each stream has a STREAM pragma with its depth; else it is 2 in RTL.",
         DATAFLOW),
    Rule("uninitialised", "No local variable is read before it is written.", CODE),
    Rule("library-call", "Only functions of the kernel and of AMD's headers are called: no heap, "
         "no containers, no system calls.", CODE),
    Rule("recursion", "No function calls itself.", CODE),
    Rule("variable-length", "The length of an array is a constant.", CODE),
    Rule("pointer-to-pointer", "No pointer points to a pointer.", CODE),
    Rule("table-type", "A table of constants holds native integers: AMD's types are initialised at "
         "run time, and compile slowly.", "hls4ml issue 118"),
    Rule("index-range", "A constant index is within its array.", CODE),
    Rule("trip-count", "A loop with a variable bound has a LOOP_TRIPCOUNT with a max.", LOOPS),
    Rule("variable-bound", "A loop in a pipeline, or unrolled, has constant bounds.", LOOPS),
    Rule("inner-unroll", "A loop in a pipeline has an UNROLL.", HOUSE),
    Rule("pragma-name", "Pragmas are those of Vitis HLS.", PRAGMAS),
    Rule("pragma-variable", "A pragma's variable is one that its function knows, with that "
         "dimension.", PRAGMAS),
    Rule("pragma-place", "PIPELINE, UNROLL, LOOP_TRIPCOUNT and LOOP_FLATTEN stand directly in a "
         "loop's body.", PRAGMAS),
    Rule("pragma-dialect", "Types stand by position: `type=` came with 2022.2. BIND_STORAGE and "
         "BIND_OP have always had it.", "UG1399, 2020.2 and 2022.2"),
    Rule("dependence", "A DEPENDENCE ends in true or false; a distance is for true.", PRAGMAS),
    Rule("partition-factor", "A cyclic or block partition has a factor of 2 or more; a complete "
         "one has none.", PRAGMAS),
    Rule("partition-count", "No array is cut into more than 1,024 memories.", "XFORM 203-103"),
    Rule("binding", "An array with a dependence distance has a BIND_STORAGE with type and latency.",
         ARRAYS),
    Rule("ports", "No memory, stream or port is asked for more in a cycle than it has ports.",
         "UG1399, BIND_STORAGE"),
]  # fmt: skip
"""All rules, in the order in which they are told."""
NAMES = {rule.name for rule in RULES}


class Findings:
    """Collects findings, each once."""

    def __init__(self) -> None:
        self._found: set[Finding] = set()

    def add(self, rule: str, at: Place, what: str, hint: str = "") -> None:
        """Note that a line breaks a rule."""
        assert rule in NAMES, rule
        self._found.add(Finding(at, rule, what, hint))

    def __contains__(self, rule: str) -> bool:
        return any(finding.rule == rule for finding in self._found)

    def sorted(self) -> list[Finding]:
        """By place."""
        return sorted(self._found)
