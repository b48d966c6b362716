"""Which word comes next? A word-level LSTM, from text to a proven HLS project.

Perplexity of the float network, pruned, quantized, and of the bit-true interpreter's logits. The
embedding and the soft maximum stay on the host; LSTM and head are compiled.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from language_model.text import Text, dataset_of, made_up, wikitext
from story import (
    ROOT,
    SEQUENCES_AT_ONCE,
    STAGES,
    Story,
    check_rows,
    exit_status,
    hardware_rows,
    parse,
    say,
)

from penstock import Hardware, compile_checkpoint
from penstock.compress import Recipe, run_recipe
from penstock.compress.dataset import Dataset, Split
from penstock.fixed import FloatArray
from penstock.frontend import read_checkpoint
from penstock_runtime import Interpreter

VOCABULARY, TRAIN_TOKENS, STEPS = 2000, 500_000, 64


class LanguageModel(torch.nn.Module):
    """Embedding, LSTM, and logits of the next word at every step."""

    def __init__(self, words: int, width: int, cells: int, dropout: float) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(words, width)
        self.lstm = torch.nn.LSTM(width, cells, batch_first=True)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(cells, words)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(sequences, steps) tokens -> (sequences, steps, words) logits."""
        y, _ = self.lstm(self.dropout(self.embedding(x)))
        return self.head(self.dropout(y))


@dataclass(frozen=True)
class Outcome:
    """What ``run`` leaves. table: the embedding, (words, width)."""

    story: Story
    interpreter: Interpreter
    table: FloatArray
    data: Dataset
    passed: bool


def losses(interpreter: Interpreter, table: FloatArray, split: Split) -> FloatArray:
    """-log probability of every word by the interpreter's logits: (sequences, steps)."""
    found = []
    for start in range(0, len(split), SEQUENCES_AT_ONCE):
        x, y = (part[start : start + SEQUENCES_AT_ONCE] for part in (split.x, split.y))
        logits = torch.from_numpy(interpreter.run(table[x], batch_first=True).values)
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(y).flatten(), reduction="none"
        )
        found.append(loss.reshape(y.shape).numpy())
    return np.concatenate(found)


def perplexity(loss: float, spread: float) -> str:
    """exp(loss), and what one standard error of the loss makes of it."""
    return f"{math.exp(loss):.1f} +- {math.exp(loss) * spread:.1f}"


def run(
    text: Text, factory, pes: int, recipe: Recipe, folder: Path, story: Story
) -> Outcome:  # fmt: skip
    """The whole example; checkpoint and project go to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = dataset_of(text, STEPS)
    say(f"{text.origin}: {data.train.x.size:,} words to learn from, {len(text.words):,} kinds")
    checkpoint = folder / "language_model.safetensors"
    trained = run_recipe(factory, data, recipe, checkpoint, say)
    compiled = compile_checkpoint(checkpoint, hardware=Hardware(pes=pes))
    for note in compiled.notes:
        say(f"note: {note}")
    interpreter = Interpreter(compiled.write(folder / "project"))
    table = read_checkpoint(checkpoint)["embedding.weight"].astype(np.float32)
    test = data.measured[1]
    say(f"foretelling {test.x.size:,} words bit-true")
    loss = losses(interpreter, table, test)
    spread = float(loss.mean(axis=1).std() / math.sqrt(len(loss)))
    story.add("words: kinds, to learn from, to test on",
              f"{len(text.words):,}, {data.train.x.size:,}, {test.x.size:,}")  # fmt: skip
    share = float(np.mean(test.y == 0))
    story.add("of the test's words, cut to <unk>", f"{share:.1%}")
    for name, title in STAGES.items():
        if name in trained.scores:
            story.add(f"perplexity, {title}", perplexity(trained.scores[name].loss, spread))
    story.add("perplexity, bit-true", perplexity(float(loss.mean()), spread))
    hardware_rows(story, compiled)
    say("checking against C simulation")
    sample = table[test.x[:2, :6]]
    checked = check_rows(story, interpreter, sample, np.array([6, 6]))
    story.finish(compiled.report)
    return Outcome(story, interpreter, table, data, checked.passed)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 1 if interpreter and C simulation differ; 2 for a user's fault."""
    parser = argparse.ArgumentParser("python examples/language_model/main.py", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with wiki.train.tokens(.xz), ...")
    parser.add_argument("--output", type=Path, help="default: build/language_model", metavar="DIR")
    parser.add_argument("--density", type=float, default=0.1, help="share of weights to keep")
    parser.add_argument("--weight-bits", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parse(parser, arguments)
    is_made_up = options.data is None
    epochs, pes, rate = ((4, 3, 1), 4, 1e-2) if is_made_up else ((10, 12, 2), 16, 4e-3)
    recipe = Recipe(
        "language-model", pattern="pe_balanced", pes=pes, density=options.density,
        weight_bits=options.weight_bits, activation_bits=12, row_scales=True,
        dense_epochs=epochs[0], prune_epochs=epochs[1], qat_epochs=epochs[2], rate=rate, batch=32,
        seed=options.seed,
    )  # fmt: skip
    name = "language_model-made-up" if is_made_up else "language_model"
    story = Story("language_model", "the next word", options.command, is_kept=options.write)
    width, cells, dropout = (16, 32, 0.0) if is_made_up else (128, 256, 0.3)

    def example() -> bool:
        if is_made_up:
            say("no --data: a made-up chain of words stands in for text")
            text = made_up(12_000)
        else:
            text = wikitext(options.data, VOCABULARY, TRAIN_TOKENS)
        return run(
            text, lambda: LanguageModel(len(text.words), width, cells, dropout), pes, recipe,
            options.output or ROOT / "build" / name, story,
        ).passed  # fmt: skip

    return exit_status(example)


if __name__ == "__main__":
    sys.exit(main())
