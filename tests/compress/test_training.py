"""The loop: what it trains on, in which order, at which rate, and what it measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock import PenstockError

torch = pytest.importorskip("torch")
from penstock.compress.dataset import IGNORED, Split  # noqa: E402
from penstock.compress.forward import forward_of  # noqa: E402
from penstock.compress.training import Loop, Score, Stage, _alike, _shuffled  # noqa: E402

INPUTS, CLASSES = 4, 3


class Last(torch.nn.Module):
    """A classifier by the last step, with much dropout."""

    def __init__(self, dropout=0.9):
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUTS, 8, batch_first=True)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(8, CLASSES)

    def forward(self, x, lengths):
        y, _ = self.lstm(x)
        return self.head(self.dropout(y[torch.arange(len(x)), lengths - 1]))


class Blind(Last):
    """Knows nothing of lengths."""

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def made(count=40, steps=12, seed=0):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, steps + 1, count)
    x = generator.normal(0, 1, (count, steps, INPUTS)).astype(np.float32)
    return Split(x, generator.integers(0, CLASSES, count), lengths)


def trained(tmp_path, module, epochs=3, **options):
    data = made()
    loop = Loop(tmp_path, batch=8, **options)
    stage = Stage("fit", module, forward_of(module, data), epochs, 0.01)
    loop.fit(stage, data, data)
    return loop, data, stage


def test_batches_hold_every_sequence_once_and_those_of_like_length_together():
    lengths = np.random.default_rng(0).integers(1, 500, 1000)
    batches = _shuffled(lengths, 16, seed=3, epoch=1)
    assert sorted(np.concatenate(batches)) == list(range(1000))
    padded = sum(len(part) * lengths[part].max() for part in batches)
    unsorted = sum(len(part) * lengths[part].max() for part in np.split(np.arange(1000), 125))
    assert padded < 1.1 * lengths.sum() < 0.7 * unsorted
    again, other = _shuffled(lengths, 16, 3, 1), _shuffled(lengths, 16, 3, 2)
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    assert sorted(map(tuple, other)) != sorted(map(tuple, batches)), "batches never mix anew"
    firsts = [lengths[part].max() for part in batches]
    assert firsts != sorted(firsts), "short sequences come first"


def test_what_is_answered_at_once_is_bounded_in_frames():
    lengths = np.random.default_rng(1).integers(1, 500, 1000)
    lengths[3] = 5000
    parts = list(_alike(lengths, 2000))
    assert sorted(np.concatenate(parts)) == list(range(1000))
    frames = [len(part) * lengths[part].max() for part in parts]
    assert frames.pop() == 5000 and parts[-1].tolist() == [3], "a long one goes alone"
    assert max(frames) <= 2000 and len(parts) < 1.2 * lengths.sum() / 2000 + 10


def test_a_batch_is_as_long_as_its_longest_sequence():
    data = made()
    part = data.part(np.argsort(data.lengths)[:5])
    assert part.x.shape == (5, part.lengths.max(), INPUTS)
    tags = Split(data.x, np.zeros(data.x.shape[:2], dtype=np.int64), data.lengths)
    assert tags.part(np.array([0, 1])).y.shape == (2, data.lengths[:2].max())


def test_measuring_takes_no_notice_of_dropout_and_agrees_with_a_plain_loop(tmp_path):
    module = Last()
    loop, data, stage = trained(tmp_path, module)
    assert not module.training
    score = loop.measure(stage.forward, data)
    logits = [module(torch.tensor(data.x[None, k]), torch.tensor(data.lengths[None, k]))
              for k in range(len(data))]  # fmt: skip
    logits = torch.cat(logits).detach()
    assert score.accuracy == (logits.argmax(1).numpy() == data.y).mean()
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(data.y)).item()
    assert score.loss == pytest.approx(loss, rel=1e-5)
    last = loop.history[-1]
    assert last["loss"] < 1.3, "validation was measured under dropout"


def test_labels_that_do_not_count_are_left_out_of_loss_and_accuracy(tmp_path):
    x = np.zeros((2, 3, INPUTS), dtype=np.float32)
    y = np.array([[0, 1, IGNORED], [IGNORED, IGNORED, 1]])
    logits = torch.zeros(2, 3, CLASSES)
    logits[:, :, 1] = 9.0
    score = Loop(tmp_path).measure(lambda x, lengths: logits, Split(x, y, np.array([3, 3])))
    assert score.accuracy == pytest.approx(2 / 3)


def test_the_rate_falls_from_its_start_to_nearly_nothing(tmp_path):
    module, seen = Last(), []
    data = made()
    group = {"params": list(module.parameters()), "lr": 0.02}
    loop = Loop(tmp_path, batch=8, on_update=lambda update: seen.append(group["lr"]))
    forward = forward_of(module, data)
    loop.fit(Stage("fit", module, forward, 4, 1.0, groups=lambda rate: [group]), data, data)
    assert seen[0] == 0.02 and seen == sorted(seen, reverse=True)
    assert len(seen) == 4 * 5 and 0 < seen[-1] < 0.0005 and seen[10] == pytest.approx(0.01)


class Scripted(Loop):
    """Measures what it is told to."""

    def measure(self, forward, split):
        return Score(self.losses[len(self.history)], 0.0)


def scripted(tmp_path, losses, **options):
    data = made(count=4)
    loop = Scripted(tmp_path, batch=4, patience=options.pop("patience", 8))
    loop.losses = losses
    module = Last()
    best = loop.fit(
        Stage("fit", module, forward_of(module, data), len(losses), 0.01, **options), data, data
    )
    return best, len(loop.history)


def test_weights_of_before_the_schedule_has_run_out_are_never_the_best(tmp_path):
    assert scripted(tmp_path, [0.1, 0.2, 0.5, 0.4, 0.6], warmup_epochs=3) == (0.4, 5)


def test_training_ends_when_the_patience_is_out(tmp_path):
    assert scripted(tmp_path, [0.3, 0.2, 0.5, 0.4, 0.6, 0.1], patience=2) == (0.2, 4)


def test_every_update_is_told(tmp_path):
    seen = []
    trained(tmp_path, Last(), on_update=seen.append)
    assert [(u.epoch, u.number, u.of) for u in seen] == [
        (epoch, number, 5) for epoch in range(3) for number in range(1, 6)
    ]
    assert {(u.stage, u.epochs) for u in seen} == {("fit", 3)} and all(u.loss > 0 for u in seen)


def test_a_classifier_must_know_where_sequences_end():
    data = made()
    with pytest.raises(PenstockError) as caught:
        forward_of(Blind(), data)
    assert caught.value.line() == (
        "the sequences differ in length, but forward does not take lengths (Blind); "
        "hint: write forward(self, x, lengths), and take each sequence's last step"
    )
    same = Split(data.x, data.y, np.full(len(data), 12))
    assert forward_of(Blind(), same)(torch.tensor(data.x), None).shape == (40, CLASSES)


def test_a_single_logit_is_that_of_the_second_class(tmp_path):
    logit = torch.tensor([[2.0], [-1.0], [0.5]])
    data = Split(np.zeros((3, 1, INPUTS), np.float32), np.array([1, 0, 0]), np.ones(3, int))
    score = Loop(tmp_path).measure(lambda x, lengths: logit, data)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(
        logit[:, 0], torch.tensor([1.0, 0.0, 0.0])
    )
    assert score.loss == pytest.approx(wanted.item(), rel=1e-6)
    assert score.accuracy == pytest.approx(2 / 3)


class Certain(Last):
    """Gives probabilities, not logits."""

    def __init__(self):
        super().__init__()
        self.soft = torch.nn.Softmax(dim=1)


class Steps(Last):
    """Answers at every step."""

    def forward(self, x, lengths):
        return self.head(self.lstm(x)[0])


@pytest.mark.parametrize(
    ("module", "change", "line"),
    [
        (Certain, {}, "layer soft is a Softmax, but training needs its input (Certain)"),
        (Last, {"x": np.zeros((40, 12, 5), np.float32)},
         "forward fails on the data: input.size(-1) must be equal to input_size"),
        (Last, {"y": np.full(40, 3)},
         "labels go up to 3, but forward has 3 classes (Last); hint: labels count from 0"),
        (Steps, {}, "forward gives (2, 11, 3) (Steps); hint: give logits of shape (2, 'classes')"),
    ],
)  # fmt: skip
def test_a_module_that_does_not_fit_the_data_is_refused(module, change, line):
    with pytest.raises(PenstockError) as caught:
        forward_of(module(), replace(made(), **change))
    assert caught.value.line().startswith(line)


def test_a_teacher_is_followed_where_labels_count():
    """(1 - w) * cross entropy + w * T^2 * KL(teacher, T || network, T), w = distill_weight."""
    generator = torch.Generator().manual_seed(0)
    mine, theirs = torch.randn(2, 2, 3, CLASSES, generator=generator, dtype=torch.float64)
    y = np.array([[0, 1, IGNORED], [IGNORED, 2, 1]])
    part = Split(np.zeros((2, 3, INPUTS), np.float32), y, np.array([3, 3]))
    stage = Stage("fit", Last(), lambda x, lengths: mine, 1, 0.1,
                  teacher=lambda x, lengths: theirs, distill_weight=0.3)  # fmt: skip
    counts = torch.tensor(y != IGNORED)
    log_p = torch.log_softmax(mine[counts] / 2, 1)
    q = torch.softmax(theirs[counts] / 2, 1)
    apart = (q * (q.log() - log_p)).sum(1).mean()
    labels = torch.tensor(y)[counts]
    entropy = -torch.log_softmax(mine[counts], 1)[torch.arange(4), labels].mean()
    assert stage.loss(part).item() == pytest.approx(float(0.7 * entropy + 0.3 * 4 * apart))
    stage.distill_weight = 0.0
    assert stage.loss(part).item() == pytest.approx(float(entropy))
