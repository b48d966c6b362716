"""ESE's task in small: speech, a projected LSTM with peepholes, streaming recognition on hardware.

Spoken digits from audio, frame-wise phones, or a layer of ESE's size (1,024 cells, projected to
512) on the phones. Trained, pruned, quantized, compiled, and run frame by frame: the state goes
from call to call, and gives the bits of the whole recording.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from speech.audio import mfcc, read_audio
from speech.recordings import digits, phone_errors, phones, tones
from story import (
    ROOT,
    SEQUENCES_AT_ONCE,
    STAGES,
    Story,
    check_rows,
    clustered,
    exit_status,
    hardware_rows,
    parse,
    proportion,
    say,
)

import penstock.nn
from penstock import Hardware, compile_checkpoint
from penstock.compress import Recipe, run_recipe
from penstock.compress.dataset import IGNORED, Dataset, Split
from penstock.fixed import FloatArray
from penstock_runtime import Interpreter, Session


class Recognizer(torch.nn.Module):
    """A projected LSTM with peepholes, and a Linear layer on every frame or the last one."""

    def __init__(self, inputs: int, cells: int, outputs: int, classes: int, at: str) -> None:
        super().__init__()
        self.lstm = penstock.nn.LSTM(
            inputs, cells, batch_first=True, proj_size=outputs, peephole=True
        )
        self.dropout = torch.nn.Dropout(0.3)
        self.head = torch.nn.Linear(outputs, classes)
        self.at = at

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(recordings, frames, inputs) -> logits of every frame, or of each recording."""
        if self.training:
            x = x + 0.5 * torch.randn_like(x)
        y, _ = self.lstm(x)
        if self.at == "last":
            y = y[torch.arange(len(y)), lengths - 1]
        return self.head(self.dropout(y))


@dataclass(frozen=True)
class Task:
    """load: of --data. epochs: dense, pruned, in fixed point."""

    title: str
    load: Callable[[Path], Dataset]
    network: Callable[[], Recognizer]
    kind: str
    pes: int
    epochs: tuple[int, int, int]
    rate: float = 3e-3


TASKS = {
    "digits": Task("spoken digits", digits, lambda: Recognizer(39, 128, 64, 10, "last"),
                   "classification", 8, (30, 16, 4)),
    "phones": Task("phones of every frame", phones, lambda: Recognizer(120, 256, 128, 40, "step"),
                   "labelling", 8, (12, 8, 2)),
    "ese": Task("phones by a layer of ESE's size", phones,
                lambda: Recognizer(120, 1024, 512, 40, "step"), "labelling", 32, (5, 6, 1), 1e-3),
}  # fmt: skip
QUICK = Task("telephone tones", lambda _: tones(400), lambda: Recognizer(39, 32, 16, 10, "last"),
             "classification", 4, (6, 4, 1), 1e-2)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What ``run`` leaves."""

    story: Story
    interpreter: Interpreter
    data: Dataset
    passed: bool


def run(task: Task, data: Dataset, recipe: Recipe, folder: Path, story: Story) -> Outcome:
    """The whole example; checkpoint and project go to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    checkpoint = folder / "speech.safetensors"
    trained = run_recipe(task.network, data, recipe, checkpoint, say)
    compiled = compile_checkpoint(checkpoint, hardware=Hardware(pes=task.pes))
    interpreter = Interpreter(compiled.write(folder / "project"))
    split = data.measured[1]
    say(f"recognizing {len(split):,} recordings bit-true")
    wrong, count, per = measure(interpreter, split)
    scores = {
        title: trained.scores[name].accuracy
        for name, title in STAGES.items()
        if name in trained.scores
    }
    scores["bit-true"] = 1 - wrong.sum() / count.sum()
    story.add("test set", f"{len(split):,} recordings, {int(count.sum()):,} labels")
    for title, accuracy in scores.items():
        text = proportion(accuracy, len(split))
        if split.y.ndim == 2:  # the frames of a recording go wrong together
            text = f"{accuracy:.1%} +- {clustered(wrong, count):.1%}"
        story.add(f"accuracy, {title}", text)
    if per is not None:
        story.add("phone error rate, bit-true", f"{per:.1%}")
    hardware_rows(story, compiled)
    stream_row(story, interpreter, split)
    say("checking against C simulation")
    sample = split.part(np.argsort(split.lengths)[:2])
    checked = check_rows(story, interpreter, sample.x, sample.lengths)
    story.finish(compiled.report)
    return Outcome(story, interpreter, data, checked.passed)


def measure(interpreter: Interpreter, split: Split) -> tuple[FloatArray, FloatArray, float | None]:
    """Of each recording, wrong labels and labels; for phones, the phone error rate over all."""
    wrong, count, errors = np.zeros(len(split)), np.zeros(len(split)), np.zeros(2)
    order = np.argsort(split.lengths)
    for start in range(0, len(order), SEQUENCES_AT_ONCE):
        chosen = order[start : start + SEQUENCES_AT_ONCE]
        part = split.part(chosen)
        answers = interpreter.run(part.x, part.lengths, batch_first=True).values.argmax(axis=2)
        labels = part.y if part.y.ndim == 2 else part.y[:, None]
        counts = labels != IGNORED
        wrong[chosen] = ((answers != labels) & counts).sum(axis=1)
        count[chosen] = counts.sum(axis=1)
        if part.y.ndim == 2:
            for row, mine, its in zip(labels, answers, counts, strict=True):
                errors += phone_errors(row[its], mine[its])
    return wrong, count, errors[0] / errors[1] if errors[1] else None


def stream_row(story: Story, interpreter: Interpreter, split: Split) -> None:
    """Frame by frame through a session: the same bits, or the example fails."""
    row = int(np.argsort(split.lengths)[len(split) // 2])
    frames = split.x[row, : split.lengths[row]]
    session = Session(interpreter)
    start = time.process_time()
    streamed = np.stack([session.step(frame) for frame in frames])
    seconds = time.process_time() - start
    whole = interpreter.run(frames, batch_first=True).values
    if not (streamed[-len(whole) :] == whole).all():
        raise AssertionError("a stream gives other bits than the whole recording")
    story.add("streamed, frame by frame", f"{len(frames)} frames, the same bits")
    story.add("CPU a streamed frame, interpreter", f"{1e3 * seconds / len(frames):.1f} ms")


def recognize(project: Path, sounds: list[Path]) -> None:
    """Say which digit each file holds."""
    interpreter = Interpreter(project)
    for path in sounds:
        session = Session(interpreter)
        for frame in mfcc(read_audio(path)):
            logits = session.step(frame)
        say(f"{path}: {int(np.argmax(logits))}")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 1 if interpreter and C simulation differ; 2 for a user's fault."""
    parser = argparse.ArgumentParser("python examples/speech/main.py", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with fsdd/ and speechocean_phones/")
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--output", type=Path, help="default: build/speech-TASK", metavar="DIR")
    parser.add_argument("--density", type=float, default=0.1, help="share of weights to keep")
    parser.add_argument("--weight-bits", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recognize", nargs="+", type=Path, metavar="SOUND",
                        help="sound files, for the digits project in --output")  # fmt: skip
    options = parse(parser, arguments)
    is_made_up = options.data is None
    name = "tones" if is_made_up else options.task
    task = QUICK if is_made_up else TASKS[options.task]
    folder = options.output or ROOT / f"build/speech-{name}"
    recipe = Recipe(
        task.kind, pattern="pe_balanced", pes=task.pes, density=options.density,
        weight_bits=options.weight_bits, activation_bits=16, dense_epochs=task.epochs[0],
        prune_epochs=task.epochs[1], qat_epochs=task.epochs[2], rate=task.rate, batch=32,
        seed=options.seed,
    )  # fmt: skip
    story = Story("speech", task.title, options.command, f"speech-{name}", options.write)

    def example() -> bool:
        if options.recognize:
            recognize(folder / "project", options.recognize)
            return True
        if is_made_up:
            say("no --data: telephone tones, generated, stand in for speech")
        return run(task, task.load(options.data), recipe, folder, story).passed

    return exit_status(example)


if __name__ == "__main__":
    sys.exit(main())
