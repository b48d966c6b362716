"""Reports in the documented forms, as Vitis HLS would write them of our kernel.

``OLD`` is 2019.2: a file for each function, typed pointers, DSP48E. ``NEW`` is 2022.1 and later:
all modules in csynth.xml, pipelined loops in modules of their own, opaque pointers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

OLD, NEW = "2019.2", "2024.1"


@dataclass(frozen=True)
class Written:
    """What the reports say. loops: ``function.LABEL`` -> (II, trip count, depth)."""

    loops: dict[str, tuple[str, str, str]]
    part: str
    version: str = NEW
    top: str = "lstm_top"
    target: str = "5.00"
    uncertainty: str = "0.75"
    estimated: str = "4.012"
    latency: tuple[str, ...] = ("12000", "undef", "undef")
    used: dict[str, str] = field(
        default_factory=lambda: {
            "BRAM_18K": "120", "DSP": "24", "FF": "21034", "LUT": "17312", "URAM": "0",
        }
    )  # fmt: skip
    load_state: int = 6
    store_state: int = 8
    packet_state: int | None = None  # in which a packet is written beside the words
    cosim: tuple[str, ...] | None = ("Pass", "1200", "1300", "1400")

    def with_loop(self, name, ii="1", trips="16", depth="5"):
        return replace(self, loops=self.loops | {name: (ii, trips, depth)})

    def without(self, name):
        return replace(self, loops={key: row for key, row in self.loops.items() if key != name})


def write(written: Written, solution: Path) -> Path:
    """The files under a solution's folder."""
    reports, database = solution / "syn/report", solution / ".autopilot/db"
    for folder in (reports, database):
        folder.mkdir(parents=True)
    (reports / "csynth.xml").write_text(design_xml(written))
    by_function = _by_function(written)
    if written.version == OLD:
        for function, loops in by_function.items():
            text = function_xml(written, function, loops)
            (reports / f"{function}_csynth.xml").write_text(text)
    name = "spmv_group" if written.version == OLD else "spmv_group_Pipeline_WORDS"
    (database / f"{name}.verbose.sched.rpt").write_text(schedule_rpt(written))
    if written.cosim is not None:
        write_cosim(written.cosim, solution)
    return solution


def write_cosim(row: tuple[str, ...], solution: Path) -> None:
    folder = solution / "sim/report/verilog"
    folder.mkdir(parents=True)
    status, *cycles = row
    cells = [status, *cycles, *cycles, "9000"]
    empty = ["NA"] * len(cells)
    lines = ["Report time       : Mon Jan  5 10:00:00 2026.", "Solution          : hls.", ""]
    lines += [
        "+---+",
        "|   RTL    |  Status  | min | avg | max | min | avg | max | Total |",
        "+---+",
    ]
    lines += [f"|      VHDL|{'|'.join(empty)}|", f"|   Verilog|{'|'.join(cells)}|", "+---+", ""]
    (folder.parent / "lstm_top_cosim.rpt").write_text("\n".join(lines))
    calls = "transaction       0:            1200            1200\n"
    calls += "transaction       1:            1400            1300\n"
    calls += "transaction       2:            1300               x\n"
    head = "                             latency        interval\n"
    (folder / "result.transaction.rpt").write_text(head + calls)


def design_xml(written: Written) -> str:
    modules = ""
    if written.version != OLD:
        for name, row in written.loops.items():
            function, _, label = name.partition(".")
            own = f"{function}_Pipeline_{label}"
            estimates = _estimates(written, _loop(label, row, named=True))
            modules += f"<Module>\n<Name>{own}</Name>\n<Loops>\n<{label}/>\n</Loops>\n"
            modules += f"{estimates}</Module>\n"
        modules += _stepping(written)
        modules = f"<ModuleInformation>\n{modules}</ModuleInformation>\n"
    return _profile(written, written.top, "", modules)


def function_xml(written: Written, function: str, loops: dict[str, tuple[str, str, str]]) -> str:
    inside = "".join(_loop(label, row) for label, row in loops.items())
    nested = (
        f"<AROUND>\n<TripCount>undef</TripCount>\n<Latency>undef</Latency>\n{inside}</AROUND>\n"
    )
    return _profile(written, function, nested, "")


def _stepping(written: Written) -> str:
    loop = "<SWEEP_0>\n<Name>SWEEP_0</Name>\n"
    loop += "<TripCount>\n<range>\n<min>1</min>\n<max>256</max>\n</range>\n</TripCount>\n"
    loop += "<Latency>undef</Latency>\n<IterationLatency>300 ~ 700</IterationLatency>\n"
    loop += "<PipelineType>no</PipelineType>\n</SWEEP_0>\n"
    return f"<Module>\n<Name>compute</Name>\n{_estimates(written, loop)}</Module>\n"


def _by_function(written: Written) -> dict[str, dict[str, tuple[str, str, str]]]:
    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    for name, row in written.loops.items():
        function, _, label = name.partition(".")
        found.setdefault(function, {})[label] = row
    return found


def _loop(label: str, row: tuple[str, str, str], named: bool = False) -> str:
    ii, trips, depth = row
    label = f"{label}_1" if label.startswith("VITIS_LOOP_") else label
    name = f"<Name>{label}</Name>\n" if named else ""
    return (
        f"<{label}>\n{name}<Slack>3.65</Slack>\n<TripCount>{trips}</TripCount>\n"
        f"<Latency>undef</Latency>\n<PipelineII>{ii}</PipelineII>\n"
        f"<PipelineDepth>{depth}</PipelineDepth>\n<InstanceList/>\n</{label}>\n"
    )


def _estimates(written: Written, loops: str) -> str:
    best, average, worst = written.latency
    return (
        "<PerformanceEstimates>\n<SummaryOfTimingAnalysis>\n<unit>ns</unit>\n"
        f"<EstimatedClockPeriod>{written.estimated}</EstimatedClockPeriod>\n"
        "</SummaryOfTimingAnalysis>\n<SummaryOfOverallLatency>\n"
        f"<Best-caseLatency>{best}</Best-caseLatency>\n"
        f"<Average-caseLatency>{average}</Average-caseLatency>\n"
        f"<Worst-caseLatency>{worst}</Worst-caseLatency>\n</SummaryOfOverallLatency>\n"
        f"<SummaryOfLoopLatency>\n{loops}</SummaryOfLoopLatency>\n</PerformanceEstimates>\n"
    )


def _profile(written: Written, top: str, loops: str, more: str) -> str:
    dsp = "DSP48E" if written.version == OLD else "DSP"
    used = {dsp if name == "DSP" else name: count for name, count in written.used.items()}
    rows = "".join(f"<{name}>{count}</{name}>\n" for name, count in used.items())
    total = "".join(f"<{name}>30000</{name}>\n" for name in used)
    return (
        f"<profile>\n<ReportVersion>\n<Version>{written.version}</Version>\n</ReportVersion>\n"
        f"<UserAssignments>\n<unit>ns</unit>\n<Part>{written.part}</Part>\n"
        f"<TopModelName>{top}</TopModelName>\n"
        f"<TargetClockPeriod>{written.target}</TargetClockPeriod>\n"
        f"<ClockUncertainty>{written.uncertainty}</ClockUncertainty>\n</UserAssignments>\n"
        f"{_estimates(written, loops)}<AreaEstimates>\n<Resources>\n{rows}</Resources>\n"
        f"<AvailableResources>\n{total}</AvailableResources>\n</AreaEstimates>\n{more}</profile>\n"
    )


def schedule_rpt(written: Written) -> str:
    """Two accumulators of one PE, one activation memory, and a register."""
    load, store = written.load_state, written.store_state
    last = store + 1
    old = written.version == OLD
    states = " ".join(map(str, range(2, last + 1)))
    lines = ["* Pipeline : 1", f"  Pipeline-0 : II = 1, D = {last - 1}, States = {{ {states} }}"]
    lines += ["", "State 1 <SV = 0> <Delay = 0.49>"]
    lines.append(_operation(1, 9, "1/1", "%store_ln0 = store i14 0, i14 %n"))
    lines.append(_operation(2, 12, "1/1", "%n_load = load i14 %n"))
    for bank in range(2):
        for code, state, share in _bank(f"acc_0_{bank}", load, store, old):
            lines.append(_operation(state, 20 + len(lines), share, code))
    lines.append(_operation(load, 90, "1/1", "%vector_addr = getelementptr i16 %vector, i64 0"))
    lines.append(_operation(load, 91, "2/2", "%activation = load i8 %vector_addr"))
    if written.packet_state is not None:
        at = "[32 x i16]* %vector_addr, align 2" if old else "i8 %vector_addr"
        code = f"%store_ln48 = store i16 %packet, {at}"
        lines.append(_operation(written.packet_state, 95, "1/1", code))
    lines.append(_operation(last, 99, "1/1", "%store_ln9 = store i14 %next, i14 %n"))
    return "\n".join(lines) + "\n"


def _bank(name: str, load: int, store: int, old: bool):
    if old:
        base, at = f"[32 x i33]* %{name}", f"i33* %{name}_addr, align 8"
        read, kept = f"%{name}_load = load {at}", f"store i33 %sum, {at}"
    else:
        base, at = f"i33 %{name}", f"i5 %{name}_addr"
        read, kept = f"%{name}_load = load {at}", f"%store_ln60 = store i33 %sum, {at}"
    yield f"%{name}_addr = getelementptr {base}, i64 0, i64 %zext_ln55", load, "1/1"
    yield read, load, "2/2"
    yield read, load + 1, "1/2"
    yield kept, store, "1/1"


def _operation(state: int, number: int, share: str, code: str) -> str:
    kind = "store" if "store " in code else "load" if "= load" in code else "getelementptr"
    return (
        f'ST_{state} : Operation {number} [{share}] (1.23ns)   --->   "{code}" '
        f"[kernel/pe_array.h:64]   --->   Operation {number} '{kind}' <Predicate = true> "
        "<Delay = 1.23> <CoreInst = \"RAM\">   --->   Core 82 'RAM' <Latency = 1> <II = 1>"
    )
