"""``penstock lint``, and what ``penstock check`` says of it."""

from __future__ import annotations

import shutil

import pytest
from lint.conftest import KERNEL, PROJECT
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock_runtime import lint as package
from penstock_runtime.lint import lint
from penstock_runtime.lint.finding import RULES


@pytest.fixture
def no_libclang(monkeypatch):
    from penstock_runtime.lint import libclang

    libclang.bindings.cache_clear()
    monkeypatch.setattr(package, "is_available", lambda: False)
    monkeypatch.setattr(libclang, "is_available", lambda: False)
    yield
    libclang.bindings.cache_clear()


def test_a_clean_kernel(run_penstock):
    assert run_penstock("lint", PROJECT) == (0, "no rule is broken\n", "")


def test_findings_are_lines_with_their_places(run_penstock, tmp_path):
    folder = shutil.copytree(PROJECT, tmp_path / "project")
    text = (folder / KERNEL).read_text().replace("#pragma HLS STREAM variable=beats depth=8\n", "")
    (folder / KERNEL).write_text(text)
    status, out, _ = run_penstock("lint", folder)
    number = text.splitlines().index('  beat_stream beats("beats");') + 1
    assert status == 1
    assert out == (
        f"{KERNEL}:{number}: stream-depth: beats has no STREAM pragma with a depth; hint: "
        "#pragma HLS STREAM variable=beats depth=...\n"
    )


def test_the_rules_are_listed(run_penstock):
    status, out, _ = run_penstock("lint", "--rules")
    assert status == 0 and len(out.splitlines()) == len(RULES)
    assert "stream-depth: Each stream has a STREAM pragma with its depth" in out


def test_the_table_is_listed(run_penstock):
    status, out, _ = run_penstock("lint", PROJECT, "--table")
    assert status == 0
    row = next(line for line in out.splitlines() if " acc " in line)
    assert row.split()[1:6] == ["acc", "ram_s2p", "8", "1", "1"]
    assert row.endswith("1 read and 1 write")


def test_a_folder_without_a_kernel(run_penstock, tmp_path):
    status, _, error = run_penstock("lint", tmp_path)
    assert status == 2 and error == (
        f"error: kernel/lstm_top.cpp is not there ({tmp_path}); hint: give a folder that penstock "
        "compile has written\n"
    )


def test_no_folder(run_penstock):
    assert run_penstock("lint")[::2] == (
        2, "error: no folder was given (lint); hint: penstock lint DIR\n"
    )  # fmt: skip


@pytest.mark.usefixtures("no_libclang")
def test_without_libclang(run_penstock):
    assert run_penstock("lint", PROJECT)[::2] == (
        2, "error: libclang is not installed (lint); hint: pip install 'penstock[lint]'\n"
    )  # fmt: skip


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check") / "project"
    compile_model(random_model(pes=2), None, Hardware(pes=2)).write(folder)
    return folder


def test_check_says_what_lint_finds(run_penstock, emitted):
    status, out, _ = run_penstock("check", emitted, "--steps", 1)
    assert status == 0 and "\nPASS" in out
    assert next(line for line in out.splitlines() if line.startswith("lint: "))


def test_a_check_fails_where_a_rule_is_broken(run_penstock, emitted, monkeypatch):
    monkeypatch.setattr(package, "broken_rules", lambda folder: ["parse", "parse"])
    status, out, _ = run_penstock("check", emitted, "--steps", 1)
    assert status == 1 and "PASS" not in out
    assert "FAIL: bits agree, but rules of synthesis are broken: 2 parse (see penstock lint)" in out


def test_a_kernel_without_findings_is_looked_at_once(emitted, tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    shutil.copytree(emitted, folder)
    looked = []
    monkeypatch.setattr(package, "lint", lambda of: looked.append(of) or lint(of))
    assert package.broken_rules(folder) == package.broken_rules(folder) == []
    assert len(looked) == 1
    kernel = folder / "kernel/compute.h"
    kernel.write_text("// a remark\n" + kernel.read_text())
    assert package.broken_rules(folder) == []
    assert len(looked) == 1
    kernel.write_text(kernel.read_text().replace("HLS PIPELINE II=1", "HLS PIPELINED II=1", 1))
    broken = package.broken_rules(folder)
    assert broken and package.broken_rules(folder) == broken
    assert len(looked) == 3


@pytest.mark.usefixtures("no_libclang")
def test_check_without_libclang(run_penstock, emitted):
    status, out, _ = run_penstock("check", emitted, "--steps", 1)
    assert status == 0 and "\nPASS" in out
    assert "lint: not run, for libclang is not installed: pip install 'penstock[lint]'" in out
