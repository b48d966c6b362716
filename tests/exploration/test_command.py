"""``penstock explore``: what it prints, writes, refuses, and keeps when it is interrupted."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from inspect import cleandoc

import numpy as np
import pytest
from exploration.conftest import tensors
from safetensors.numpy import save_file

from penstock.cli import explore as command
from penstock.exploration import explore
from penstock.exploration.page import render_page
from penstock.exploration.values import as_values

SPACE = ("--pes", "2,4,8", "--weight-bits", "6..12/3", "--board", "pynq-z2,u55c", "-j", "1")


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file(tensors(), "model.safetensors")
    return tmp_path


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store, so that no point is computed twice."""
    return tmp_path_factory.mktemp("shared") / "s.db"


@pytest.fixture
def run(work, run_penstock, shared):
    def explored(*words):
        store = ("--store", shared) if "-j" in words else ()
        return run_penstock("explore", "model.safetensors", *words, *store)

    return explored


def keys(value):
    """Every key of nested values, but those of settings and resources, which are data."""
    if isinstance(value, list):
        return set().union(*map(keys, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    own = {key for key in value if key not in ("axes", "settings", "resources", "counts")}
    return set(value) | set().union(*(keys(value[key]) for key in own))


def test_json_is_what_python_finds_and_every_key_is_described(run):
    done = run(*SPACE, "--json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    axes = {"pes": [2, 4, 8], "weights": [6, 9, 12], "board": ["pynq-z2", "u55c"]}
    assert found == json.loads(json.dumps(as_values(explore("model.safetensors", axes))))
    assert keys(found) <= {*re.findall(r"\w+", cleandoc(as_values.__doc__))}
    assert found["axes"] == axes and sum(found["counts"].values()) == len(found["points"]) == 18
    by_number = {point["number"]: point for point in found["points"]}
    assert {by_number[n]["state"] for n in found["front"]} == {"front"}
    states = [point["state"] for point in found["points"]]
    assert states.count("front") == len(found["front"])


def test_the_table_has_the_front_and_the_next_command_compiles(run, run_penstock):
    done = run(*SPACE)
    assert (done.status, done.err) == (0, "")
    found = json.loads(run(*SPACE, "--json").out)
    lines = done.out.splitlines()
    assert lines[0] == (f"model.safetensors: {len(found['front'])} of 18 points are on the front")
    rows = [re.findall(r"[^│]+", line) for line in lines if line.startswith("│")]
    shown = [dict(zip(("point", "pes"), map(str.strip, row), strict=False)) for row in rows]
    assert [int(row["point"]) for row in shown] == found["front"][:30]
    first = next(p for p in found["points"] if p["number"] == found["front"][0])
    assert f"{first['figures']['cycles_per_step']:,}" in rows[0][5]
    assert lines[-1].startswith(f"next, for point {first['number']}: penstock compile ")
    words = shlex.split(lines[-1].partition(": penstock ")[2])
    compiled = run_penstock(*words)
    assert compiled.status == 0
    assert f"{first['figures']['cycles_per_step']:,} cycles per step" in compiled.out


def test_the_next_command_reads_the_network_as_it_was_read_here(run, work, run_penstock):
    generator = np.random.default_rng(0)
    np.save("frames.npy", generator.normal(0, 3, (9, 2, 6)))
    np.save("lengths.npy", np.array([9, 5]))
    np.savez("v.npz", x=generator.normal(0, 2, (4, 7, 6)))
    words = ("--calibration", "frames.npy", "--calibration-lengths", "lengths.npy", "--validate",
             "v.npz", "--time-first", "--regression")  # fmt: skip
    found = json.loads(run("--pes", "4", *words, "-j", "1", "-o", "page.html", "--json").out)
    (point,) = found["points"]
    assert point["options"] == ["--pes", "4", *words]
    assert shlex.join(words) in (work / "page.html").read_text()
    done = run_penstock("compile", "model.safetensors", "-o", "p", *point["options"], "--json")
    compiled = json.loads(done.out)
    error = compiled["output_error"]["relative_error"]
    assert float(f"{point['error']['relative_error']:.4g}") == error


def test_a_long_front_is_cut_and_says_so(run, monkeypatch):
    monkeypatch.setattr(command, "MOST_ROWS", 2)
    front = len(json.loads(run(*SPACE, "--json").out)["front"])
    out = run(*SPACE).out
    assert out.count("│\n") == 2 and f"{front - 2} more of them: --all, --json or -o" in out
    assert run(*SPACE, "--all").out.count("│\n") == front


def test_what_was_chosen_is_shown(run):
    words = ("--pes", "auto", "--lanes", "1,16", "--board", "pynq-z2", "-j", "1")
    lines = run(*words).out.splitlines()
    assert re.match(r"┃ point ┃ +pes ┃ +lanes ┃", lines[2])
    chosen = {line.split("│")[2].strip() for line in lines if line.startswith("│")}
    out = run("--pes", "auto,2", "--board", "pynq-z2", "-j", "1").out
    assert re.search(r"│ auto: (\d+) │", out)[1] in chosen


def test_what_is_refused_and_what_does_not_fit_is_counted_with_its_reason(run):
    done = run("--pes", "4,0,48", "--board", "pynq-z2", "--lanes", "1,32", "-j", "1")
    assert done.status == 0
    assert "points: 1 front, 1 does not fit, 4 refused" in done.out
    assert "  2 refused: the hardware can't have 0 PEs\n" in done.out
    assert re.search(r"  1 does not fit: [A-Z].*\n", done.out)


def test_where_nothing_meets_the_constraints_the_nearest_is_said(run, work):
    done = run(*SPACE, "--target-us", "0.01", "--max-error", "0.0001", "-o", "page.html")
    assert done.status == 1
    assert "points: 18 misses\n" in done.out
    assert re.fullmatch(
        r"no point meets the constraints; the nearest is \d+ \(pes 8, board \S+, weight-bits "
        r"\d+\): an error of [\d.]+ %, more than 0.01 %, [\d.]+ us a step, more than 0.01\n",
        done.err,
    )
    found = json.loads(run(*SPACE, "--target-us", "0.01", "--json").out)
    assert found["front"] == [] and found["nearest"] is not None
    assert "No point meets the constraints" in (work / "page.html").read_text()


def test_a_board_to_fit_is_that_of_all_points(run):
    found = json.loads(run("--pes", "2,4", "--fit", "kv260", "-j", "1", "--json").out)
    assert {point["figures"]["part"][:5] for point in found["points"]} == {"xck26"}
    assert found["constraints"]["fits"] is True
    assert found["points"][0]["options"] == ["--pes", "2", "--board", "kv260"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--pes", "8..4"], "the range 8..4 is empty (--pes); hint: write it 4..8"),
        (["--pes", ""], "'' has an empty value (--pes); hint: give 8,16,32 or 8..12"),
        (["--weigth-bits", "8"], "No such option: --weigth-bits *--weight-bits*; hint: see "
         "penstock explore --help"),
        (["--fit", "kv26"], "there is no board 'kv26' *"),
        (["--scheduler", "tcp://127.0.0.1:1"], "the scheduler does not answer "
         "(tcp://127.0.0.1:1); hint: start one with: dask scheduler; its address is such as "
         "tcp://host:8786"),
        (["-o", "page.svg"], "the page is an .html file (page.svg); hint: name it page.html"),
        (["-o", "no/page.html"], "there is no such folder (no); hint: make it, or name another"),
        (["--store", "model.safetensors"], "the store is no SQLite database, or a damaged one: "
         "file is not a database (model.safetensors); hint: name another file, or remove it"),
        (["--jobs", "-1"], "-1 jobs (--jobs); hint: give 1 or more"),
        (["--data", "d.npz"], "trained checkpoints need a place (--data); hint: name a folder: "
         "--models DIR"),
        (["--max-loss", "0.1"], "nothing says what a loss is measured by (--max-loss); hint: give "
         "labels: --validate FILE.npz with x and y"),
        (["--density", "0.1"], "a density is an axis only of a training (density); hint: give the "
         "data to train on (--data), or leave it out"),
        (["--clock-mhz", "5000"], "the hardware can't have a clock of 5000.0 MHz (hardware "
         "settings); hint: *"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_written(words, line, run, work):
    before = sorted(path.name for path in work.iterdir())
    done = run(*words)
    assert (done.status, done.out) == (2, "")
    pattern = ".*".join(map(re.escape, f"error: {line}\n".split("*")))
    assert re.fullmatch(pattern, done.err), done.err
    assert sorted(path.name for path in work.iterdir()) == before


def test_an_interrupt_keeps_what_was_done_and_is_130(work):
    words = [sys.executable, "-u", "-c",
             "from penstock.program import main; from penstock.cli import progress\n"
             "progress.Bar.__call__ = lambda self, *told: print(*told, flush=True)\n"
             "import sys; sys.argv[1:] = sys.argv[2:]; main()", "x", "explore",
             "model.safetensors", "--pes", "2,4,8", "--weight-bits", "4..8", "--assign",
             "interleave,search", "--store", "s.db", "--json"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for jobs in ("1", "2"):
        with subprocess.Popen(
            [*words, "-j", jobs], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment, start_new_session=True,
        ) as process:  # fmt: skip
            for line in process.stdout:
                told = line.split()
                if told[0] == "points" and int(told[1]) >= (3 if jobs == "1" else 15):
                    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
                    break
            rest, err = process.communicate()
        assert process.returncode == 130, err
        assert err == "interrupted; what was done is kept in s.db\n"
        assert "{" not in rest
    with sqlite3.connect("s.db") as kept:
        (count,) = kept.execute("SELECT count(*) FROM results").fetchone()
    assert 5 + 15 <= count < 5 + 30


def test_frames_and_labels_are_read_as_compile_reads_them(run, work):
    generator = np.random.default_rng(3)
    frames = generator.normal(size=(5, 8, 6)).astype(np.float32)
    np.save("x.npy", frames)
    np.savez("v.npz", x=frames, y=generator.normal(size=(5, 8, 24)))
    words = ("--pes", "4", "--weight-bits", "5,12", "-j", "1", "--json")
    found = json.loads(run(*words, "--calibration", "x.npy", "--validate", "v.npz",
                           "--max-loss", "1e-9", "--head", "step").out or "{}")  # fmt: skip
    assert found == {} or found["points"][0]["error"]["labels"]
    found = json.loads(run(*words, "--calibration", "x.npy", "--validate", "v.npz").out)
    labels = [point["error"]["labels"] for point in found["points"]]
    assert {row["measure"] for row in labels} == {"mean squared error"}
    for point, row in zip(found["points"], labels, strict=True):
        assert point["error"]["loss"] == row["fixed"] - row["float"]


def test_the_page_is_whole_and_needs_nothing_else(explored):
    page = render_page(explored)
    assert not re.search(r"https?://|src=|@import|<script", page)
    assert page.count('<svg class="scatter"') == 3 and "prefers-color-scheme: dark" in page
    assert page.count('<p class="command">') == len(explored.front)
    for found in explored.front:
        assert f'<td class="number">{found.figures.cycles_per_step:,}</td>' in page
    assert "PEs can&#39;t share 24 cells" in page


def test_the_page_is_called_after_the_file_and_not_after_its_folders(explored):
    page = render_page(replace(explored, name="/somewhere/else/net.pt"))
    assert "<h1>net.pt</h1>" in page and "<title>net.pt" in page


def test_names_from_outside_are_escaped(network, checkpoint, tmp_path):
    path = tmp_path / "<script>alert(1)<b>.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    assert "<script" not in render_page(explore(path, {"pes": 4}))


def test_a_notebook_shows_the_front(explored):
    shown = explored._repr_html_()
    assert shown.count("<tr>") == 1 + len(explored.front)
    assert "<caption>&lt;Exploration of" in shown and "weight-bits" in shown


def test_one_point_makes_a_page_too(network):
    page = render_page(explore(network, {"pes": 4, "lanes": [2]}))
    assert page.count('<svg class="scatter"') == 1
