"""Help, version, exit status, and what is said of JSON."""

from __future__ import annotations

import inspect as inspection
import json
import re

import pytest

from penstock.cli.environment import Environment
from penstock.cli.main import COMMANDS, EXIT_STATUS
from penstock.differences import Differences
from penstock.inspection import Inspection
from penstock.version import __version__


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_h_is_help(words, penstock):
    short, long = penstock(*words, "-h"), penstock(*words, "--help")
    assert short == long and (short.status, short.err) == (0, "")
    assert "Usage: penstock" in short.out and "--help" in short.out


def test_the_help_says_what_an_exit_status_means(penstock):
    out = penstock("--help").out
    assert " ".join(EXIT_STATUS.split()) in " ".join(out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_there_is_not_is_one_line(name, refused):
    assert refused(name, "--nowhere").endswith(f"hint: see penstock {name} --help")


def test_the_version(penstock):
    assert penstock("--version").out == f"penstock {__version__}\n"


WORDS = {
    ("inspect", "model.safetensors"): Inspection.__doc__,
    ("inspect", "project"): Inspection.__doc__,
    ("inspect", "torn.safetensors"): Inspection.__doc__,
    ("diff", "project", "project", "--all"): Differences.as_values.__doc__,
    ("doctor",): Environment.as_values.__doc__,
}
OF_DATA = ("states", "fit", "works", "layers")
"""Whose keys are names of the network, of resources or of commands."""


def keys(value):
    """All keys of objects in objects and lists."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    deeper = (keys(item) for name, item in value.items() if name not in OF_DATA)
    return {*value}.union(*deeper)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_key_of_the_json_is_described_and_all_that_is_described_is_there(
    words, penstock, project, work
):
    from cli.given import lstm_tensors
    from safetensors.numpy import save_file

    odd = {"conv.weight": lstm_tensors()["weight_ih_l0"]}
    save_file(lstm_tensors(prefix="lstm.") | odd, work / "torn.safetensors")
    done = penstock(*words, "--json")
    assert done.err == ""
    found = keys(json.loads(done.out))
    described = {*re.findall(r"\w+", inspection.cleandoc(WORDS[words]))}
    assert found <= described
    if words[0] == "inspect":
        assert set(Inspection.__dataclass_fields__) <= found
