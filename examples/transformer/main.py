"""Is a sentence positive? A transformer's encoder whose position-wise matrices are compiled.

Trained dense, pruned in balance over the PEs, retrained. Query, key and value, the attention's
output, and the feed-forward pair become a project each; the test set goes through their bit-true
interpreters, with attention's scores, softmax and normalization computed by the host in between.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

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
    CHECK_STEPS,
    ROOT,
    Story,
    exit_status,
    hardware_rows,
    in_a_row,
    parse,
    proportion,
    say,
)
from transformer.encoder import Encoder, Size
from transformer.training import Trained, train

import penstock
from penstock import Compiled, Hardware, PenstockError
from penstock.compress import Recipe
from penstock.compress.dataset import Dataset, Split
from penstock.compress.training import Loop
from penstock.fixed import FloatArray, IntArray
from penstock_runtime import Interpreter
from penstock_runtime.compare import check

MIN_COUNT = 2
CALIBRATION_SENTENCES, CHECKED = 256, 3
GENERATED = (2000, 400)
LONGEST = 64
SIZE = Size(LONGEST, width=64, heads=4, hidden=256, layers=1, dropout=0.3, word_dropout=0.6)
SMALL = Size(LONGEST, width=32, heads=4, hidden=64, layers=1, dropout=0.0, word_dropout=0.0)
NOT_SHOWN = "the host's time for attention, softmax and LayerNorm; Vitis and a card were not run"


class Recorder(nn.Module):
    """A block that keeps what it was given last."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block, self.seen = block, torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        """As the block."""
        self.seen = x
        return self.block(x)


class BitTrue(nn.Module):
    """A block as its project computes it: real numbers in, the kernel's very bits out."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__()
        self.interpreter = interpreter

    def forward(self, x: Tensor) -> Tensor:
        """(sentences, positions, inputs) -> (sentences, positions, outputs)."""
        return torch.from_numpy(self.interpreter.run(x.numpy(), batch_first=True).values).to(x)


class Silent(nn.Module):
    """In place of a block that a residual is added to: nothing is added."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros, as many as there are inputs."""
        return torch.zeros_like(x)


@dataclass(frozen=True)
class Outcome:
    """What ``run`` leaves. inputs: what the blocks of the pruned encoder were calibrated on."""

    story: Story
    encoder: Encoder
    interpreters: dict[str, Interpreter]
    inputs: dict[str, FloatArray]
    data: Dataset
    passed: bool


def numbering_of(texts: Iterable[Words]) -> Numbering:
    """Of the words that ``texts`` has at least MIN_COUNT times, the frequent ones first."""
    counts = Counter(word for words in texts for word in words)
    known = [word for word, count in counts.most_common() if count >= MIN_COUNT]
    return Numbering({word: number for number, word in enumerate([PAD, UNK, *known])})


def inputs_of_blocks(encoder: Encoder, split: Split) -> dict[str, FloatArray]:
    """Block -> what it is given, (sentences, positions, inputs)."""
    recorders = {name: Recorder(block) for name, block in encoder.blocks().items()}
    with torch.no_grad():
        encoder.with_blocks(recorders)(torch.from_numpy(split.x), torch.from_numpy(split.lengths))
    return {name: recorder.seen.numpy() for name, recorder in recorders.items()}


def compile_blocks(
    encoder: Encoder, inputs: dict[str, FloatArray], lengths: IntArray, recipe: Recipe
) -> dict[str, Compiled]:
    """A project for each block, calibrated on what the encoder gives it."""
    compiled = {
        name: penstock.compile(
            block, inputs[name], Hardware(pes=recipe.pes), recipe.precision,
            calibration_lengths=lengths, regression=True,
        )
        for name, block in encoder.blocks().items()
    }  # fmt: skip
    for name, one in compiled.items():
        for note in one.notes:
            say(f"note: {name}: {note}")
    return compiled


def logits(encoder: Encoder, split: Split) -> FloatArray:
    """Of "positive", for each sentence."""
    found = np.zeros(len(split))
    for chosen, answers, _ in Loop(Path()).answers(encoder, split):
        found[chosen] = answers[:, 1].numpy()
    return found


def accuracy_rows(
    story: Story, trained: Trained, interpreters: dict[str, Interpreter], test: Split
) -> None:
    """The end task: in float, with the blocks in the interpreter, and with no use of them."""
    pruned = trained.pruned
    fixed = pruned.with_blocks({name: BitTrue(one) for name, one in interpreters.items()})
    silent = pruned.with_blocks({name: Silent() for name in interpreters if "qkv" not in name})
    encoders = {
        "embeddings alone, without a layer": trained.bare,
        "float, dense": trained.dense,
        "float, dense, trained on as long": trained.longer,
        "float, pruned": pruned,
        "blocks bit-true, attention in float": fixed,
        "float, pruned, zero for what the layers add": silent,
    }
    said = {title: logits(encoder, test) for title, encoder in encoders.items()}
    for title, found in said.items():
        right = float(np.mean((found > 0) == test.y))
        story.add(f"accuracy, {title} (n = {len(test):,})", proportion(right, len(test)))
    exact, rounded = said["float, pruned"], said["blocks bit-true, attention in float"]
    same, far = np.count_nonzero((exact > 0) == (rounded > 0)), np.abs(exact - rounded).max()
    story.add("same decision, float pruned and bit-true", f"{same:,} of {len(test):,}")
    story.add("their logits differ by up to (standard deviation)",
              f"{far:.4f} ({exact.std():.2f})")  # fmt: skip


def check_rows(
    story: Story, interpreters: dict[str, Interpreter], encoder: Encoder, sample: Split
) -> bool:
    """Interpreter against C simulation, every project, on the check's own stimuli and on what the
    encoder gives it for real sentences."""
    given, compared, wrong = inputs_of_blocks(encoder, sample), 0, []
    for name, interpreter in interpreters.items():
        own = interpreter.quantize(given[name], sample.lengths, batch_first=True)
        result = check(interpreter.project, CHECK_STEPS, own=own)
        compared += sum(result.values.values())
        wrong += [] if result.passed else [f"{name}: {result.difference}"]
    verdict = f"DIFFERENT: {'; '.join(wrong)}" if wrong else "equal"
    story.add("values, interpreters against C simulations", f"{compared:,} {verdict}")
    story.add("of these calls, on the example's own data", f"{len(sample)} sentences a project")
    return not wrong


def speed_rows(story: Story, compiled: dict[str, Compiled]) -> None:
    """Of all projects together, and the cycles of each on its own."""
    hardware_rows(story, *compiled.values(), step="position")
    for name, one in compiled.items():
        timeline = one.report["timeline"]
        cycles, bound = timeline["cycles_per_step"], timeline["bound_per_step"]
        story.add(f"cycles per position, {name} (bound)", f"{cycles:,} ({bound:,})")


def run(corpus: Corpus, size: Size, recipe: Recipe, folder: Path, story: Story) -> Outcome:
    """The whole example; a project for each block goes to ``folder``."""
    if not corpus.test:
        hint = "give testing_label.txt"
        raise PenstockError("no sentence to test on has a label", corpus.origin, hint)
    torch.set_num_threads(1)
    numbering = numbering_of(words for _, words in corpus.learned())
    data = dataset_of(corpus, numbering)
    say(f"{corpus.origin}: {len(data.train):,} sentences to learn from, {len(data.valid):,} to "
        f"choose by, {len(numbering.number) - 2:,} words")  # fmt: skip
    trained = train(len(numbering.number), size, data, recipe, say)
    sample = data.train.part(np.arange(min(len(data.train), CALIBRATION_SENTENCES)))
    inputs = inputs_of_blocks(trained.pruned, sample)
    compiled = compile_blocks(trained.pruned, inputs, sample.lengths, recipe)
    interpreters = {name: Interpreter(one.write(folder / name)) for name, one in compiled.items()}
    test = data.measured[1]
    say(f"classifying {len(test):,} sentences, the blocks bit-true")
    story.add("data", corpus.origin if "generated" in corpus.origin else "as given by --data")
    story.add("encoder", str(size))
    accuracy_rows(story, trained, interpreters, test)
    speed_rows(story, compiled)
    say("checking against C simulation")
    passed = check_rows(story, interpreters, trained.pruned, test.part(np.arange(CHECKED)))
    story.add("not in these figures", NOT_SHOWN)
    story.finish(in_a_row(compiled))
    return Outcome(story, trained.pruned, interpreters, inputs, data, passed)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 1 if interpreter and C simulation differ; 2 for a user's fault."""
    parser = argparse.ArgumentParser("python examples/transformer/main.py", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with training_label.txt(.gz), ...")
    parser.add_argument("--output", type=Path, default=ROOT / "build/transformer", metavar="DIR")
    parser.add_argument("--density", type=float, default=0.1, help="share of weights to keep")
    parser.add_argument("--weight-bits", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parse(parser, arguments)
    is_made_up = options.data is None
    size, pes = (SMALL, 4) if is_made_up else (SIZE, 8)
    epochs, rate, batch = ((4, 4), 6e-3, 32) if is_made_up else ((8, 8), 1e-3, 64)
    recipe = Recipe(
        pattern="pe_balanced", pes=pes, density=options.density, weight_bits=options.weight_bits,
        dense_epochs=epochs[0], prune_epochs=epochs[1], rate=rate, batch=batch, seed=options.seed,
    )  # fmt: skip
    title = "sentences, positive or negative, by a transformer"
    story = Story("transformer", title, options.command, is_kept=options.write)

    def example() -> bool:
        recipe.check()
        if is_made_up:
            corpus = generated_corpus(*GENERATED, options.seed)
        else:
            corpus = load_corpus(options.data)
        return run(corpus, size, recipe, options.output, story).passed

    return exit_status(example)


if __name__ == "__main__":
    sys.exit(main())
