"""Completion: asked as each shell asks, in the shell itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from penstock.cli.main import COMMANDS


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Run a script in a shell that finds the program: (shell, script) -> what it prints.

    Skips where there is no such shell, never in CI.
    """
    program = tmp_path / "bin/penstock"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m penstock "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("HOME", str(tmp_path))  # fish writes there

    def run(name, script):
        if shutil.which(name) is None and not os.environ.get("CI"):
            pytest.skip(f"{name} is not installed")
        alone = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
        done = subprocess.run(
            [name, *alone, "-c", script], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0 and done.stderr == "", done
        return done.stdout.splitlines()

    return run


BASH = """
eval "$(penstock completion bash)"
COMP_WORDS=({words} "{last}"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_penstock_completion penstock
[ ${{#COMPREPLY[@]}} = 0 ] || printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
autoload -Uz compinit; compinit -u -d dump
eval "$(penstock completion zsh)"
[ $_comps[penstock] = _penstock_completion ] || exit 1
_arguments() {{ print -rl -- ${{${{(Q)${{(z)${{${{1#*\\(\\(}}%\\)\\)}}}}}}%%:*}} }}
_files() {{ }}
words=({words} "{last}"); CURRENT=$#words
_penstock_completion
"""
FISH = """
penstock completion fish | source
complete -C '{words} {last}' | string split -f1 \\t; true
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(("words", "last", "wanted"), [
    ("penstock", "comp", {"compile", "compress", "completion"}),
    ("penstock completion", "", {"bash", "zsh", "fish"}),
    ("penstock compile --board", "zcu", {"zcu102", "zcu104"}),
    ("penstock compile", "--accumulator-b", {"--accumulator-banks", "--accumulator-bits"}),
])  # fmt: skip
def test_what_could_follow_is_offered(name, words, last, wanted, shell):
    found = shell(name, SCRIPTS[name].format(words=words, last=last))
    assert {line for line in found if line} == wanted


def test_all_commands_are_offered(shell):
    found = shell("bash", BASH.format(words="penstock", last=""))
    assert {*found} == {*COMMANDS}


@pytest.mark.parametrize("name", ["bash", "fish"])
def test_files_are_left_to_the_shell(name, shell, tmp_path):
    (tmp_path / "model.pt").touch()
    found = shell(name, SCRIPTS[name].format(words="penstock compile", last="mod"))
    assert found == ([] if name == "bash" else ["model.pt"])  # bash: ``complete -o default``


def test_a_shell_that_there_is_not_is_one_line(refused):
    assert refused("completion", "tcsh") == (
        "there is no completion for 'tcsh' (completion); hint: choose one of bash, zsh, fish"
    )


def test_completion_loads_no_more_than_the_options(monkeypatch):
    """A shell asks at every key."""
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from penstock.program import main; sys.argv[1:] = []; main()"
    )
    asked = {
        "_PENSTOCK_COMPLETE": "complete_bash",
        "COMP_WORDS": "penstock comp",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        env={**os.environ, **asked, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.split() == ["compress", "compile", "completion"]
    assert not {"numpy", "torch", "penstock.settings", "rich"} & {*done.stderr.split()}
