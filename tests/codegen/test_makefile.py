"""The emitted Makefile: csim for real, the vendor's tools as stubs that print their command."""

from __future__ import annotations

import re
import shutil

import pytest
from codegen.emitted import TCL_STUBS, commands, install, make, needs_tcl

from penstock_runtime import csim


def test_make_csim_compiles_without_warnings_and_passes(project, cpp_flags):
    flags = " ".join(csim.include_flags())
    done = make(project.folder, "csim", f"AP_INCLUDE={flags}")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert re.search(r"^PASS: 3 calls, \d+ beats compared, 0 different$", done.stdout, re.M)
    assert (project.folder / "csim/lstm_tb").is_file()


def test_make_csim_says_what_is_missing(project):
    folder = project.folder.parent / "without_headers"
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("csim"))
    done = make(folder, "csim", "PYTHON=false")
    assert done.returncode == 2
    assert "AMD's ap_int.h is not found: pip install 'penstock[csim]'" in done.stderr


def test_make_clean_removes_what_it_made_and_nothing_else(project, tmp_path):
    folder = tmp_path / "project"
    project.compiled.write(folder)
    before = sorted(folder.rglob("*"))
    for made in ("csim/lstm_tb", "vitis/x.rpt", "lstm_top.xo", "lstm_top.xclbin", "host/host"):
        (folder / made).parent.mkdir(exist_ok=True)
        (folder / made).touch()
    assert make(folder, "clean").returncode == 0
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("target", ["vitis-csim", "csynth", "cosim", "cosim-stall", "package"])
def test_without_vitis_a_target_says_what_to_do(project, tmp_path, target):
    done = make(project.folder, target, path=tmp_path)
    assert done.returncode == 2
    assert "Vitis is not on PATH: neither vitis-run (2023.1 and later) nor vitis_hls" in done.stderr


def test_with_the_unified_tools_each_target_runs_its_command(project, tmp_path):
    for tool in ("vitis-run", "v++", "vitis_hls"):
        install(tmp_path / "bin", tool, f'#!/bin/sh\necho "{tool} $*" >> {tmp_path}/log\n')
    folder = tmp_path / "project"
    project.compiled.write(folder)
    targets = ("vitis-csim", "csynth", "cosim", "package", "cosim-stall")
    assert [make(folder, name, path=tmp_path / "bin").returncode for name in targets] == [0] * 5
    common = "--config hls_config.cfg --work_dir vitis"
    assert (tmp_path / "log").read_text().splitlines() == [
        f"vitis-run --mode hls --csim {common}", f"v++ -c --mode hls {common}",
        f"vitis-run --mode hls --cosim {common}", f"vitis-run --mode hls --package {common}",
        "vitis-run --mode hls --cosim --config hls_stall.cfg --work_dir vitis",
    ]  # fmt: skip
    plain = (folder / "hls_config.cfg").read_text()
    assert (folder / "hls_stall.cfg").read_text() == plain + "cosim.random_stall=1\n"


@needs_tcl
def test_with_the_classic_tool_each_target_runs_its_steps(project, tmp_path):
    install(tmp_path / "bin", "vitis_hls", f"#!/bin/sh\ntclsh {tmp_path}/stubs.tcl\n")
    (tmp_path / "stubs.tcl").write_text(TCL_STUBS.format(opens="open_project"))
    folder = tmp_path / "project"
    project.compiled.write(folder)
    expected = {
        "vitis-csim": ["csim_design"], "csynth": ["csynth_design"],
        "cosim": ["csynth_design", "cosim_design"], "package": ["csynth_design", "export_design"],
        "cosim-stall": ["csynth_design", "cosim_design"],
    }  # fmt: skip
    for target, steps in expected.items():
        done = make(folder, target, path=tmp_path / "bin")
        assert done.returncode == 0
        assert [name for name in commands(done.stdout) if name.endswith("_design")] == steps
        assert ("-random_stall" in done.stdout) is (target == "cosim-stall")
        assert not (folder / "vitis/steps.tcl").exists()


def test_link_asks_for_a_platform_the_tool_and_a_kernel(project, tmp_path):
    folder = tmp_path / "project"
    project.compiled.write(folder)
    assert "which platform?" in make(folder, "link", path=tmp_path).stderr
    assert "v++ is not on PATH" in make(folder, "link", "PLATFORM=p", path=tmp_path).stderr
    install(tmp_path, "v++", '#!/bin/sh\necho "v++ $*"\n')
    assert "make package first" in make(folder, "link", "PLATFORM=p", path=tmp_path).stderr
    (folder / "lstm_top.xo").touch()
    assert (
        "v++ -l -t hw --platform p --config link.cfg lstm_top.xo -o lstm_top.xclbin"
        in make(folder, "link", "PLATFORM=p", path=tmp_path).stdout
    )
