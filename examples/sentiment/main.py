"""Is a sentence positive? word2vec, an LSTM and a dense head, from text to a proven HLS project.

The classic course experiment: word vectors by gensim (skip-gram), LSTM(150) + Linear + sigmoid in
PyTorch; then pruned, retrained, quantized, compiled with its head, and every test sentence
classified by the bit-true interpreter. The embedding stays on the host.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gensim.models import Word2Vec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from sentiment.corpus import (
    PAD,
    UNK,
    Corpus,
    Numbering,
    Words,
    dataset_of,
    generated_corpus,
    load_corpus,
)
from story import (
    ROOT,
    SEQUENCES_AT_ONCE,
    STAGES,
    Story,
    bit_true,
    check_rows,
    exit_status,
    hardware_rows,
    parse,
    proportion,
    say,
)

from penstock import Hardware, HeadOptions, PenstockError, compile_checkpoint
from penstock.atomic import write_files
from penstock.compress import Recipe, run_recipe
from penstock.fixed import FloatArray, IntArray
from penstock_runtime import Interpreter

DIMENSIONS, WINDOW, MIN_COUNT, PASSES = 250, 5, 5, 20
CELLS, DROPOUT, PES = 150, 0.5, 8
CHECKED = 3
GENERATED = (1000, 200)


@dataclass(frozen=True)
class Vocabulary(Numbering):
    """vectors: a row for each number. Those of <PAD> and <UNK> are zero: the mean."""

    vectors: FloatArray

    @classmethod
    def learn(cls, texts: list[Words], seed: int) -> Vocabulary:
        """Skip-gram over ``texts``. Raises PenstockError if no word is frequent enough."""
        model = Word2Vec(vector_size=DIMENSIONS, window=WINDOW, min_count=MIN_COUNT, sg=1,
                         workers=1, seed=seed, epochs=PASSES)  # fmt: skip
        model.build_vocab(texts)
        if not len(model.wv):
            raise PenstockError(
                f"no word occurs {MIN_COUNT} times", "training text", "give more of it"
            )
        model.train(texts, total_examples=model.corpus_count, epochs=model.epochs)
        words = model.wv.vectors
        words = (words - words.mean(axis=0)) / words.std()  # of a small corpus they differ little
        special = np.zeros((2, DIMENSIONS))
        known = [PAD, UNK, *model.wv.index_to_key]
        number = {word: index for index, word in enumerate(known)}
        return cls(number, np.concatenate([special, words]).astype(np.float32))


class Sentiment(torch.nn.Module):
    """Frozen word vectors, an LSTM, and the logit of "positive" at the last word."""

    def __init__(self, vectors: FloatArray) -> None:
        super().__init__()
        table = torch.from_numpy(vectors)
        self.embedding = torch.nn.Embedding.from_pretrained(table, freeze=True, padding_idx=0)
        self.lstm = torch.nn.LSTM(DIMENSIONS, CELLS, batch_first=True)
        self.dropout = torch.nn.Dropout(DROPOUT)
        self.head = torch.nn.Linear(CELLS, 1)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(sentences, steps) tokens -> (sentences, 1) logits."""
        y, _ = self.lstm(self.dropout(self.embedding(tokens)))
        return self.head(self.dropout(y[torch.arange(len(y)), lengths - 1]))


@dataclass(frozen=True)
class Outcome:
    """What ``run`` leaves."""

    story: Story
    interpreter: Interpreter
    vocabulary: Vocabulary
    passed: bool


def frames_of(vocabulary: Vocabulary, sentences: list[Words]) -> list[tuple[FloatArray, IntArray]]:
    """Batches of (frames, lengths): the look-up that is the host's."""
    found = []
    for start in range(0, len(sentences), SEQUENCES_AT_ONCE):
        tokens, lengths = vocabulary.padded(sentences[start : start + SEQUENCES_AT_ONCE])
        found.append((vocabulary.vectors[tokens], lengths))
    return found


def run(corpus: Corpus, recipe: Recipe, folder: Path, story: Story) -> Outcome:
    """The whole example; project, checkpoint and predictions go to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    say(f"{corpus.origin}: {len(corpus.train):,} to learn from, {len(corpus.asked):,} asked for")
    texts = [words for _, words in corpus.train] + corpus.unlabelled
    vocabulary = Vocabulary.learn(texts, recipe.seed)
    say(f"word vectors of {len(vocabulary.number) - 2:,} words")
    checkpoint = folder / "sentiment.safetensors"
    data = dataset_of(corpus, vocabulary)
    trained = run_recipe(lambda: Sentiment(vocabulary.vectors), data, recipe, checkpoint, say)
    compiled = compile_checkpoint(
        checkpoint, hardware=Hardware(pes=PES), head=HeadOptions("last", "sigmoid")
    )
    for note in compiled.notes:
        say(f"note: {note}")
    interpreter = Interpreter(compiled.write(folder / "project"))
    say(f"classifying {len(corpus.asked):,} sentences bit-true")
    asked = bit_true(interpreter, frames_of(vocabulary, list(corpus.asked.values())))[:, 0, 0]
    write_predictions(folder / "predictions.csv", corpus, asked >= 0.5)

    story.add("data", corpus.origin if "generated" in corpus.origin else "as given by --data")
    if corpus.test:
        sentences = [words for _, words in corpus.test]
        labels = np.array([label for label, _ in corpus.test])
        probability = asked
        if sentences != list(corpus.asked.values()):
            probability = bit_true(interpreter, frames_of(vocabulary, sentences))[:, 0, 0]
        count = len(labels)
        for name, title in STAGES.items():
            if name in trained.scores:
                accuracy = proportion(trained.scores[name].accuracy, count)
                story.add(f"accuracy, {title} (n = {count:,})", accuracy)
        right = float(np.mean((probability >= 0.5) == labels))
        story.add(f"accuracy, bit-true, with sigmoid (n = {count:,})", proportion(right, count))
    hardware_rows(story, compiled)
    say("checking against C simulation")
    sample = list(corpus.asked.values())[:CHECKED]
    ((frames, lengths),) = frames_of(vocabulary, sample)
    checked = check_rows(story, interpreter, frames, lengths)
    story.finish(compiled.report)
    return Outcome(story, interpreter, vocabulary, checked.passed)


def write_predictions(path: Path, corpus: Corpus, is_positive) -> None:
    """``id,label``, a line for each sentence that was asked for."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("id", "label"))
    table.writerows(zip(corpus.asked, is_positive.astype(int), strict=True))
    write_files({path: lambda file: file.write(text.getvalue().encode())})
    say(f"{path}: {len(corpus.asked):,} predictions")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 1 if interpreter and C simulation differ; 2 for a user's fault."""
    parser = argparse.ArgumentParser("python examples/sentiment/main.py", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with training_label.txt(.gz), ...")
    parser.add_argument("--output", type=Path, default=ROOT / "build/sentiment", metavar="DIR")
    parser.add_argument("--density", type=float, default=0.1, help="share of weights to keep")
    parser.add_argument("--weight-bits", type=int, default=6)
    parser.add_argument("--activation-bits", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parse(parser, arguments)
    is_made_up = options.data is None
    epochs = (8, 4, 1) if is_made_up else (12, 10, 3)
    recipe = Recipe(
        pattern="pe_balanced", pes=PES, density=options.density, weight_bits=options.weight_bits,
        activation_bits=options.activation_bits, row_scales=True, dense_epochs=epochs[0],
        prune_epochs=epochs[1], qat_epochs=epochs[2], rate=5e-3 if is_made_up else 2e-3,
        batch=32, seed=options.seed,
    )  # fmt: skip
    title = "sentences, positive or negative"
    story = Story("sentiment", title, options.command, is_kept=options.write)

    def example() -> bool:
        if is_made_up:
            corpus = generated_corpus(*GENERATED, options.seed)
        else:
            corpus = load_corpus(options.data)
        return run(corpus, recipe, options.output, story).passed

    return exit_status(example)


if __name__ == "__main__":
    sys.exit(main())
