"""examples/digits, trained for a few epochs: what its README promises holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support import run_example
from typer.testing import CliRunner

from penstock.cli.main import app
from penstock.ir.evaluate import evaluate, initial_state
from penstock.packing.manifest import unpack_phase
from penstock_runtime import Interpreter, load_project
from penstock_runtime.compare import CheckResult
from penstock_runtime.expected import Difference

pytest.importorskip("torch")
pytest.importorskip("sklearn")
EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclasses.dataclass
class Ran:
    """One run of the example's ``main``."""

    script: object
    status: int
    printed: str
    outcome: object
    folder: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory, cpp_flags):
    folder = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        import digits.main as script

        yield Ran(script, *run_example(script, "--quick", "--output", str(folder)), folder)


@pytest.fixture(scope="module")
def project(ran):
    return load_project(ran.folder / "project")


def test_interpreter_and_c_simulation_agree(ran):
    assert ran.status == 0
    assert ran.outcome.checked.passed
    compared = sum(ran.outcome.checked.values.values())
    assert compared > 10_000
    assert f"{compared:,} equal" in ran.printed


@pytest.mark.parametrize("board", ["pynq-z2", "kv260"])
def test_it_fits_small_boards_with_room_with_no_other_option(board, ran, tmp_path):
    words = [
        "compile",
        str(ran.folder / "digits.pt"),
        "-o",
        str(tmp_path / "out"),
        "--board",
        board,
    ]
    words += ["--calibration", str(ran.folder / "calibration.npy"), "--head", "last"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out/report.json").read_text())
    fits = {name: row["fits"] for name, row in report["resources"]["totals"].items()}
    assert all(fits.values()), fits
    chose = f"for {board}, the compiler chose {report['hardware']['pes']} PEs, "
    assert chose in " ".join(done.output.split())


def test_a_failed_check_is_exit_status_1(ran, monkeypatch, capsys):
    failed = CheckResult(1, {"outputs": 1}, Difference("random", "y", 0, 0, 0, 3, 4))
    monkeypatch.setattr("story.check", lambda *given, own: failed)
    monkeypatch.setattr(ran.script, "train", lambda *given: None)
    assert ran.script.main(["--output", str(ran.folder / "failed")]) == 1
    assert "1 DIFFERENT: y, step 0, lane 0" in capsys.readouterr().out


def test_the_table_has_what_the_readme_explains(ran):
    rows = dict(ran.outcome.story.rows)
    assert rows["PEs"] == "8" and "of 19,072 (15.1%)" in rows["non-zero weights"]
    dense, packed, tables = (
        int(rows[what].replace(",", ""))
        for what in ("fp32, bytes", "compiled, everything counted, bytes",
                     "of the compiled bytes, tables of sigma and tanh")
    )  # fmt: skip
    assert tables == 2 * 2048 * 2 > packed / 2
    assert rows["compression"] == f"{dense / packed:.1f} x"
    assert rows["compression without the tables"] == f"{dense / (packed - tables):.1f} x"
    assert float(rows["CPU seconds"]) > 0
    for row in rows.items():
        assert all(text in ran.printed for text in row)


def test_accuracy_is_far_above_chance(ran):
    outcome = ran.outcome
    for answers in (outcome.dense, outcome.pruned, outcome.bit_true):
        assert np.mean(answers == outcome.labels) > 0.9
    assert len(outcome.labels) == 450


def test_bit_true_answers_are_the_first_of_the_greatest_logits(ran, project):
    frames = np.load(ran.folder / "test_frames.npy")
    (argmax,) = project.graph.of_kind("argmax")
    logits = {}

    def observe(name, step, raw, counts):
        logits[name] = raw

    raw = project.input_type.quantize(frames)
    lengths = np.full(len(raw), raw.shape[1])
    evaluate(project.graph, raw, lengths, initial_state(project.graph, len(raw)), observe)
    greatest = [row.index(max(row)) for row in logits[argmax.inputs[0]].tolist()]
    assert ran.outcome.bit_true.tolist() == greatest
    answers = Interpreter(project).run(frames).values
    assert answers.shape == (450, 1, 1)
    assert answers.ravel().tolist() == greatest


def test_every_pe_has_as_many_non_zeros_in_the_gates_phase(ran, project):
    files = [path.read_bytes() for path in sorted((ran.folder / "project/weights").glob("group*"))]
    (gates,) = [i for i, phase in enumerate(project.manifest.phases) if len(phase.matvecs) == 4]
    code = project.manifest.phases[gates]
    nonzeros, _ = code.format.decode(code, unpack_phase(project.manifest, files, gates))
    counts = np.bincount(nonzeros.pe, minlength=8)
    # Of each gate, a PE has 8 rows: 64 weights of W_x and 512 of W_r, of which 15 % are kept;
    # of the training's few, none is so small that 12 bits make a zero of it.
    assert counts.tolist() == [4 * (10 + 77)] * 8


def test_the_command_line_makes_the_same_project_of_the_saved_files(ran, tmp_path):
    digits, calibration = ran.folder / "digits.pt", ran.folder / "calibration.npy"
    done = CliRunner().invoke(app, [
        "compile", str(digits), "-o", str(tmp_path / "project"), "--calibration", str(calibration),
        "--pes", "8", "--head", "last", "--head-activation", "argmax",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    made = {path.relative_to(tmp_path).as_posix(): path.read_bytes()
            for path in (tmp_path / "project").rglob("*") if path.is_file()}  # fmt: skip
    ours = {name: (ran.folder / name).read_bytes() for name in made}
    differ = {name.removeprefix("project/") for name in made if made[name] != ours[name]}
    assert differ == {"penstock.json", "penstock.toml", "report.html", "report.json"}
    theirs, its = (
        json.loads((folder / "project/report.json").read_text())
        for folder in (tmp_path, ran.folder)
    )
    origin, other = theirs.pop("provenance"), its.pop("provenance")
    assert origin["files"]["model"]["name"] == "digits.pt" and other["files"] == {}
    assert theirs == its


@pytest.mark.parametrize("density", ["0", "1.5", "nan"])
def test_an_impossible_density_is_refused(ran, density, capsys):
    with pytest.raises(SystemExit) as stopped:
        ran.script.main(["--density", density])
    assert stopped.value.code == 2
    assert "is outside (0, 1]" in capsys.readouterr().err
