"""examples/sentiment, on little generated text: what its README promises holds."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from support import run_example

from penstock import PenstockError
from penstock_runtime import Interpreter

pytestmark = pytest.mark.long

pytest.importorskip("torch")
pytest.importorskip("gensim")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    """Its modules, as the program imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        import sentiment.corpus
        import sentiment.main

        yield sentiment


@pytest.fixture(scope="module")
def ran(example, tmp_path_factory, cpp_flags):
    """(exit status, what was printed, outcome, folder) of a run."""
    folder = tmp_path_factory.mktemp("sentiment")
    return *run_example(example.main, "--output", str(folder)), folder


def words_of(example, count=12):
    corpus = example.corpus.generated_corpus(0, count, seed=5)
    return [words for _, words in corpus.test]


def test_a_run_learns_compiles_and_agrees_with_c_simulation(ran):
    status, printed, outcome, folder = ran
    rows = dict(outcome.story.rows)
    assert status == 0 and outcome.passed
    assert "a generated corpus, not real text" in printed
    assert "the look-up stays on the host" in printed
    assert float(rows["accuracy, bit-true, with sigmoid (n = 200)"].split("%")[0]) > 65
    assert rows["values, interpreter against C simulation"].endswith(" equal")
    assert float(rows["compression"].split()[0]) > 10
    assert (folder / "project/report.html").exists()


def test_every_sentence_is_predicted_as_the_interpreter_says(ran, example):
    _, _, outcome, folder = ran
    with (folder / "predictions.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["id", "label"]
    asked = example.corpus.generated_corpus(1000, 200, seed=0).asked
    assert [key for key, _ in rows] == list(asked)
    batches = example.main.frames_of(outcome.vocabulary, list(asked.values()))
    values = example.main.bit_true(outcome.interpreter, batches)[:, 0, 0]
    assert [label for _, label in rows] == [str(int(value >= 0.5)) for value in values]
    assert len({label for _, label in rows}) == 2


def test_padding_and_company_change_no_bit(ran, example):
    """In a padded batch, in another order, and each alone; words unknown and no words at all."""
    interpreter = ran[2].interpreter
    sentences = [*words_of(example), ["neverseen"], []]
    vocabulary = ran[2].vocabulary
    ((frames, lengths),) = example.main.frames_of(vocabulary, sentences)
    assert len(set(lengths)) > 3
    together = interpreter.run(frames, lengths).raw
    for row, (frame, length) in enumerate(zip(frames, lengths, strict=True)):
        assert (interpreter.run(frame[None, :length]).raw == together[row]).all()
    longer = np.pad(frames, ((0, 0), (0, 7), (0, 0)), constant_values=3.0)
    assert (interpreter.run(longer, lengths).raw == together).all()
    assert (together[-1] == together[-2]).all(), "an empty sentence is one unknown word"


def test_the_checkpoint_compiles_by_itself(ran, tmp_path):
    import penstock

    folder = ran[3]
    compiled = penstock.compile_checkpoint(
        folder / "sentiment.safetensors", hardware=penstock.Hardware(pes=8),
        head=penstock.HeadOptions("last", "sigmoid"),
    )  # fmt: skip
    made = Interpreter(compiled.write(tmp_path / "project"))
    assert (folder / "project/graph.json").read_bytes() == (
        tmp_path / "project/graph.json"
    ).read_bytes()
    assert made.project.graph.of_kind("lut")[-1].name == "head.probability"


FILES = {
    "training_label.txt": "1 +++$+++ a fine film\n0 +++$+++ a bad film\n",
    "testing_label.txt": "1 +++$+++ fine\n0 +++$+++ bad\n",
}


def write(folder, files):
    for name, text in files.items():
        content = text.encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_are_read_plain_or_packed(example, tmp_path, suffix):
    more = {"training_nolabel.txt": "some text\nmore\n",
            "testing_data.txt": "id,text\n7,one, two\n9,\n"}  # fmt: skip
    write(tmp_path, {name + suffix: text for name, text in (FILES | more).items()})
    corpus = example.corpus.load_corpus(tmp_path)
    assert corpus.train == [(1, ["a", "fine", "film"]), (0, ["a", "bad", "film"])]
    assert corpus.test == [(1, ["fine"]), (0, ["bad"])]
    assert corpus.unlabelled == [["some", "text"], ["more"]]
    assert corpus.asked == {"7": ["one,", "two"], "9": []}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"training_label.txt": None}, "training_label.txt is missing (DATA)"),
        ({"testing_label.txt": None}, "there is nothing to test on (DATA)"),
        ({"training_label.txt": "1 +++$+++ good\n2 +++$+++ bad\n"},
         "the line is malformed (DATA/training_label.txt, line 2)"),
        ({"training_label.txt": "1 +++$+++ good\n0 bad\n"},
         "the line is malformed (DATA/training_label.txt, line 2)"),
        ({"training_label.txt": "1 +++$+++ good\n1 +++$+++ fine\n"},
         "there are not two kinds of labels (DATA/training_label.txt)"),
        ({"testing_label.txt": "1 +++$+++  \n"},
         "the line is malformed (DATA/testing_label.txt, line 1)"),
        ({"testing_data.txt": "id,text\n1,a\n1,b\n"},
         "the line is malformed (DATA/testing_data.txt, line 3)"),
        ({"training_label.txt.gz": "x", "training_label.txt": None}, "the file can't be read"),
    ],
)  # fmt: skip
def test_files_that_are_wrong_are_named_with_the_line(example, tmp_path, change, line):
    files = {name: text for name, text in (FILES | change).items() if text is not None}
    write(tmp_path, files)
    if "training_label.txt.gz" in files:
        (tmp_path / "training_label.txt.gz").write_bytes(gzip.compress(b"1 +++$+++ x\n" * 99)[:30])
    with pytest.raises(PenstockError) as caught:
        example.corpus.load_corpus(tmp_path)
    assert caught.value.line().startswith(line.replace("DATA", str(tmp_path)))


def test_a_fault_of_the_users_is_one_line_and_status_2(example, tmp_path, capsys):
    assert example.main.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: training_label.txt is missing") and shown.count("\n") == 1
    write(tmp_path, FILES)
    assert example.main.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "no word occurs 5 times" in capsys.readouterr().err


def test_figures_are_kept_with_the_command_that_gave_them_and_of_real_data_only(example, capsys):
    import story

    parser = example.main.argparse.ArgumentParser("python examples/sentiment/main.py")
    parser.add_argument("--data")
    parser.add_argument("--output")
    parser.add_argument("--weight-bits", type=int, default=6)
    given = ["--data", "/some/where", "--output", "there", "--weight-bits", "5", "--write"]
    shown = story.parse(parser, given).command
    assert shown == "python examples/sentiment/main.py --data DATA --weight-bits 5 --write"
    with pytest.raises(SystemExit) as caught:
        example.main.main(["--write"])
    assert caught.value.code == 2 and "--write is for figures on real data" in (
        capsys.readouterr().err
    )


def test_the_pictures_show_every_pe_and_phase(ran, tmp_path):
    import story

    report = json.loads((ran[3] / "project/report.json").read_text())
    story.draw_load(report, tmp_path / "load.svg")
    story.draw_timeline(report, tmp_path / "timeline.svg")
    assert "l0.gates" in (tmp_path / "load.svg").read_text()
    assert (tmp_path / "timeline.svg").read_text().count("spmv") >= 2
