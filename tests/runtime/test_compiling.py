"""A test bench is compiled once, whatever its comments say; and never taken for another."""

from __future__ import annotations

import subprocess

import pytest

from penstock_runtime import compiling

KERNEL = "// of one model\nconst int PES = 2;\n"
COMMAND = ["sh", "-O1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    for path in ("kernel/config.h", "tb/lstm_tb.cpp", "headers/ap_int.h"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(KERNEL)
    return tmp_path


@pytest.fixture
def compiled(folder, monkeypatch):
    """Compile the folder; True if it had to be."""
    calls = []

    def compile_(folder, command, target):
        calls.append(command)
        target.write_text(" ".join(command))
        return subprocess.CompletedProcess(command, 0, "", "")

    def run(command=COMMAND):
        calls.clear()
        compiling.compile_testbench(folder, command, folder / "headers", folder / "lstm_tb")
        assert (folder / "lstm_tb").is_file()
        return bool(calls)

    monkeypatch.setattr(compiling, "_compile", compile_)
    monkeypatch.setattr(compiling, "_precompiled", lambda command, headers: [])
    return run


def test_a_kernel_that_differs_in_comments_alone_is_not_compiled_again(folder, compiled):
    assert compiled() and not compiled()
    (folder / "kernel/config.h").write_text(KERNEL.replace("one model", "another"))
    assert not compiled()


@pytest.mark.parametrize("name", ["kernel/config.h", "tb/lstm_tb.cpp", "headers/ap_int.h"])
def test_any_other_change_is(name, folder, compiled):
    assert compiled()
    (folder / name).write_text(KERNEL.replace("2", "3"))
    assert compiled()


def test_so_are_other_flags(compiled):
    assert compiled() and compiled([*COMMAND, "-DOTHER"])


def test_nothing_is_needed_of_the_cache(compiled, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CACHE", "")
    assert compiled() and compiled()


@pytest.mark.parametrize(
    "text",
    [
        b"#define A 1 \\\n// 2\nint x;",
        b"// more \\\nint x;",
        b"/* begins\n// */ int x;",
        b"// more ??/\nint x;",
        b'R"(\n// text)"',
    ],
)
def test_lines_that_may_not_be_comments_are_kept(text):
    assert compiling.without_comments(text) == text


def test_comments_go():
    assert compiling.without_comments(b"a; // b\n  // c\nd;") == b"a; // b\nd;"


def test_headers_are_compiled_beforehand_from_the_fourth_time_on(folder, cpp_flags):
    command = ["g++", *cpp_flags]
    told = [compiling._precompiled(command, folder / "headers") for _ in range(5)]
    assert told[:3] == [[], [], []] and told[3] == told[4] != []
    assert (folder / "cache/headers").is_dir() and "headers.h" in told[3][1]


def test_what_fails_with_compiled_headers_is_tried_without(folder, monkeypatch):
    def compile_(folder, command, target):
        return subprocess.CompletedProcess(command, int("-include" in command), "", "warned")

    monkeypatch.setattr(compiling, "_compile", compile_)
    monkeypatch.setattr(compiling, "_precompiled", lambda command, headers: ["-include", "x"])
    target = folder / "lstm_tb"
    assert compiling.compile_testbench(folder, COMMAND, folder / "headers", target) == "warned"


def test_an_error_is_told_as_the_compiler_tells_it(folder, monkeypatch):
    failed = subprocess.CompletedProcess(COMMAND, 1, "", "error: no")
    monkeypatch.setattr(compiling, "_compile", lambda *words: failed)
    with pytest.raises(ValueError, match="error: no"):
        compiling.compile_testbench(folder, COMMAND, folder / "headers", folder / "lstm_tb")
