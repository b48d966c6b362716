"""README, Vitis's configuration and Tcl: what can be shown of them without Vitis."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from codegen.emitted import PROJECTS, commands, needs_tcl, run_tcl
from support import random_model

from penstock.driver import compile_model
from penstock.settings import Hardware


def pointer_ports(texts):
    return re.findall(r"m_axi port=(\w+)", texts["kernel/lstm_top.cpp"])


def test_same_input_gives_the_same_text_without_traces_of_the_machine(project):
    model, hardware = PROJECTS[project.name]
    again = compile_model(random_model(**model), None, Hardware(**hardware))
    assert again.files == project.files
    text = "\n".join(project.texts.values())
    for trace in (str(Path.home()), str(project.folder), os.path.realpath(sys.prefix)):
        assert trace not in text


# Build files


def test_every_file_that_the_build_files_name_is_in_the_project(project):
    config = re.findall(r"^(?:syn|tb)\.file=(.+)$", project.texts["hls_config.cfg"], re.M)
    tcl = re.findall(r"^add_files (?:-tb )?(\S+)", project.texts["run_hls.tcl"], re.M)
    assert config == tcl
    assert set(config) <= set(project.files)
    loaded = {path for path in project.files if path.endswith((".bin", ".dat"))}
    assert loaded <= set(config)  # the test bench finds them by their base names
    assert len({Path(name).name for name in config}) == len(config)


def test_config_holds_part_then_one_section_with_known_keys(project):
    lines = [line for line in project.texts["hls_config.cfg"].splitlines() if line[0:1] not in "#"]
    assert lines[:2] == ["part=xcu55c-fsvh2892-2L-e", "[hls]"]
    assert dict(line.split("=", 1) for line in lines[2:] if ".file=" not in line) == {
        "flow_target": "vitis", "clock": "5ns", "clock_uncertainty": "15%", "syn.top": "lstm_top",
        "syn.cflags": "-std=c++14 -Ikernel", "tb.cflags": "-std=c++14 -Ikernel",
        "csim.argv": "vectors.dat", "cosim.trace_level": "none", "cosim.enable_fifo_sizing": "1",
        "cosim.enable_dataflow_profiling": "1",
        "package.output.format": "xo",
    }  # fmt: skip
    assert "package.output.file=lstm_top.xo" in lines


def test_links_every_memory_port_of_the_kernel_to_a_bank(project):
    link = project.texts["link.cfg"]
    connected = re.findall(r"^sp=lstm_top_1\.(\w+):HBM\[(\d+)\]$", link, re.M)
    assert [port for port, _ in connected] == pointer_ports(project.texts)
    banks = [int(bank) for port, bank in connected if port.startswith("weights_")]
    assert banks == list(range(1, len(banks) + 1))
    assert "slr=lstm_top_1:SLR0\n" in link
    assert "freqHz=200000000:lstm_top_1\n" in link


@pytest.mark.parametrize(
    ("part", "target", "package", "bank"),
    [
        ("xcu250-figd2104-2L-e", "vitis", "xo", "DDR[1]"),
        ("xck26-sfvc784-2LV-c", "vivado", "ip_catalog", "DDR[0]"),
        ("xc7z020clg400-1", "vivado", "ip_catalog", "DDR[0]"),
    ],
)
def test_packages_cards_for_the_linker_and_embedded_parts_for_vivado(part, target, package, bank):
    hardware = Hardware(pes=4, part=part, clock_mhz=300)
    files = compile_model(random_model(), None, hardware).files
    config = files["hls_config.cfg"].decode()
    assert f"part={part}\n" in config
    assert f"flow_target={target}\nclock=3.33333ns\n" in config
    assert f"package.output.format={package}\n" in config
    assert f"-flow_target {target}\n" in files["run_hls.tcl"].decode()
    assert f"weights_0:{bank}\n" in files["link.cfg"].decode()
    assert ("slr=" in files["link.cfg"].decode()) == (package == "xo")


def test_says_so_when_a_platform_has_too_few_memory_ports():
    """592 is 37 times 16: there is no group of more PEs that fewer ports could feed."""
    model = random_model(inputs=4, cells=(592,), density=0.02)
    link = (
        compile_model(model, None, Hardware(pes=592, weight_storage="stream"))
        .files["link.cfg"]
        .decode()
    )
    ports = link.count("\nsp=")
    assert ports > 32
    assert f"# {ports} memory ports; a platform has 32: use fewer PEs.\n" in link
    assert "weights_31:HBM[0]\n" in link


@needs_tcl
def test_tcl_runs_as_a_project_or_as_a_component(project):
    classic = run_tcl(project.folder, "open_project").stdout
    opening, top, *_ = classic.splitlines()
    assert (opening, top) == ("open_project -reset vitis_project", "set_top lstm_top")
    assert "open_solution -reset solution -flow_target vitis" in classic
    assert classic.splitlines()[-1] == "csim_design -argv vectors.dat"
    component = run_tcl(project.folder, "open_project open_component").stdout
    assert component.splitlines()[0] == "open_component -reset vitis_component -flow_target vitis"
    assert commands(component)[1:] == [
        name for name in commands(classic)[1:] if name != "open_solution"
    ]


@needs_tcl
def test_tcl_takes_its_steps_from_a_file(project):
    steps = project.folder / "vitis/steps.tcl"
    steps.parent.mkdir(exist_ok=True)
    try:
        steps.write_text("set steps {csynth cosim package}\n")
        done = commands(run_tcl(project.folder, "open_project").stdout)
        assert done[-3:] == ["csynth_design", "cosim_design", "export_design"]
        steps.write_text("set steps {synth}\n")
        assert (
            "unknown step synth in vitis/steps.tcl"
            in run_tcl(project.folder, "open_project").stderr
        )
    finally:
        steps.unlink()


# The README


def test_readme_states_the_layouts_that_the_compiler_uses(project):
    readme, ports = project.texts["README.md"], project.compiled.manifest
    assert f"Pointers are to beats of {ports.port_bits // 8} bytes" in readme
    for path, content in project.files.items():
        if path.endswith(".bin"):
            assert re.search(rf"\| in \| {len(content)} \| `{path}` as it is[ ,|]", readme)
    top = project.texts["kernel/lstm_top.cpp"]
    *ports, last = re.findall(r"s_axilite port=(\w+)", top)
    assert last == "return" and re.findall(r"^\| `(\w+)` \| (?:in|out) \|", readme, re.M) == ports
    assert "No Vitis tool and no card has seen this project." in readme


def test_readme_states_where_and_in_which_order_vectors_lie(project):
    readme, machine = project.texts["README.md"], project.compiled.machine
    beat_bytes, first = machine.hardware.beat_bits // 8, 0
    for state in machine.kept.states:
        order = "the model's" if state.layout.is_identity else "see the manifest"
        row = rf"^\| {state.name} \| {first} \| {state.positions} \|.*\| {order} \|$"
        assert re.search(row, readme, re.M), state.name
        first += state.beats * beat_bytes
    assert first == machine.port("state_in").beats * beat_bytes
    assert first == machine.port("state_out").beats * beat_bytes
    first = 0
    for array in machine.kept.parameters:
        row = rf"^\| {array.name} \| {first} \| {array.positions} \|"
        assert re.search(row, readme, re.M), array.name
        first += -(-4 * array.positions // beat_bytes) * beat_bytes
    step_bytes = machine.step_weight_beats * beat_bytes
    streams = f"Each step streams {step_bytes} bytes of weights through each group's port."
    keeps = "The weights stay on chip: a call with `reload` takes them in, steps read none."
    assert (streams in readme, keeps in readme) == (not machine.on_chip, machine.on_chip)


def test_some_project_has_rows_in_another_order_than_the_model(request):
    model, hardware = PROJECTS["classifier"]
    machine = compile_model(random_model(**model), None, Hardware(**hardware)).machine
    assert not all(state.layout.is_identity for state in machine.kept.states)


def test_the_depths_of_ports_hold_the_calls_of_the_test_bench(project):
    machine = project.compiled.machine
    depths = re.findall(r"m_axi port=(\w+) .*depth=(\d+)", project.texts["kernel/lstm_top.cpp"])
    steps = project.compiled.manifest.golden.steps
    assert steps > 1 and {name: int(depth) for name, depth in depths} == {
        port.name: port.beats * (steps if port.is_per_step else 1) for port in machine.ports
    }


def test_readme_states_the_cycles_of_the_schedule(project):
    plan, order = project.compiled.plan, project.compiled.machine.order
    readme = project.texts["README.md"]
    cycles = order.step_cycles
    assert f"**{cycles} cycles per step** ({cycles / 200:.2f} us at 200 MHz)" in readme
    assert f"the bound is {order.bound_cycles}.\n" in readme
    for phase in plan.products:
        assert re.search(rf"^\| {phase.code.name} \|.*\| {phase.code.words} \|", readme, re.M)
