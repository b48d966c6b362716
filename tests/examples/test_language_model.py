"""examples/language_model, on a made-up chain of words: what its README promises holds."""

from __future__ import annotations

import lzma
import math
from pathlib import Path

import numpy as np
import pytest
from support import run_example

from penstock import PenstockError

pytestmark = pytest.mark.long

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    """Its modules, as the program imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        import language_model.main
        import language_model.text

        yield language_model


@pytest.fixture(scope="module")
def ran(example, tmp_path_factory, cpp_flags):
    """(exit status, what was printed, outcome) of a run on a made-up chain."""
    folder = tmp_path_factory.mktemp("model")
    return run_example(example.main, "--output", str(folder))


def test_the_chain_is_learned_and_its_perplexity_bit_true(ran):
    status, printed, outcome = ran
    rows = dict(outcome.story.rows)
    assert status == 0 and outcome.passed
    assert "a made-up chain of words stands in for text" in printed
    assert "the look-up stays on the host" in printed
    dense, fixed, bit_true = (
        float(rows[f"perplexity, {title}"].split()[0])
        for title in ("float, dense", "trained in fixed point", "bit-true")
    )
    assert dense < 25 and bit_true < 36, "an even guess among the words has a perplexity of 38"
    assert bit_true == pytest.approx(fixed, abs=0.06)
    assert rows["values, interpreter against C simulation"].endswith(" equal")


def test_perplexity_is_counted_from_the_interpreters_logits(ran, example):
    outcome = ran[2]
    test = outcome.data.test
    logits = outcome.interpreter.run(outcome.table[test.x]).values
    shifted = logits - logits.max(axis=2, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
    loss = -np.take_along_axis(log_p, test.y[:, :, None], axis=2).mean()
    shown = float(dict(outcome.story.rows)["perplexity, bit-true"].split()[0])
    assert math.exp(loss) == pytest.approx(shown, abs=0.051)


def write(folder, suffix=""):
    for part, text in (("train", "a b a\n c a b b\n"), ("valid", "a c d\n"), ("test", "b e\n")):
        content = text.encode()
        path = folder / f"wiki.{part}.tokens{suffix}"
        path.write_bytes(lzma.compress(content) if suffix else content)


@pytest.mark.parametrize("suffix", ["", ".xz"])
def test_rare_and_unseen_words_become_unknown(example, tmp_path, suffix):
    write(tmp_path, suffix)
    text = example.text.wikitext(tmp_path, 4, 100)
    assert text.words == ["<unk>", "<eos>", "a", "b"]
    assert text.tokens["train"].tolist() == [2, 3, 2, 1, 0, 2, 3, 3, 1]
    assert text.tokens["valid"].tolist() == [2, 0, 0, 1]
    assert text.tokens["test"].tolist() == [3, 0, 1]
    assert len(example.text.wikitext(tmp_path, 4, 3).tokens["train"]) == 3


def test_each_word_is_followed_by_the_one_to_foretell(example, tmp_path):
    write(tmp_path)
    data = example.text.dataset_of(example.text.wikitext(tmp_path, 4, 100), 2)
    assert data.train.x.tolist() == [[2, 3], [2, 1], [0, 2], [3, 3]]
    assert data.train.y.tolist() == [[3, 2], [1, 0], [2, 3], [3, 1]]
    with pytest.raises(PenstockError, match="test has 3 words, fewer than a sequence"):
        example.text.dataset_of(example.text.wikitext(tmp_path, 4, 100), 3)


def test_files_that_are_wrong_are_named(example, tmp_path, capsys):
    assert example.main.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: wiki.train.tokens is missing") and shown.count("\n") == 1
    write(tmp_path, ".xz")
    path = tmp_path / "wiki.valid.tokens.xz"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(PenstockError, match="the file can't be read"):
        example.text.wikitext(tmp_path, 4, 100)
    (tmp_path / "wiki.valid.tokens").write_text("")
    with pytest.raises(PenstockError, match="there is no text in the file"):
        example.text.wikitext(tmp_path, 4, 100)
