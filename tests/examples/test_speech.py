"""examples/speech, on telephone tones: what its README promises holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import run_example

from penstock import PenstockError
from penstock.compress.dataset import IGNORED

pytestmark = pytest.mark.long

pytest.importorskip("torch")
pytest.importorskip("librosa")
soundfile = pytest.importorskip("soundfile")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    """Its modules, as the program imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        import speech.audio
        import speech.main
        import speech.recordings

        yield speech


@pytest.fixture(scope="module")
def ran(example, tmp_path_factory, cpp_flags):
    """(exit status, what was printed, outcome, folder) of a run on tones."""
    folder = tmp_path_factory.mktemp("speech")
    return *run_example(example.main, "--output", str(folder)), folder


def tone(digit, example, rate=8000, seconds=0.25):
    time = np.arange(int(rate * seconds)) / rate
    low, high = example.recordings.TONES[digit]
    sound = 0.4 * (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time))
    sound = np.pad(sound, int(0.08 * rate))
    return sound + np.random.default_rng(digit).normal(0, 0.05, len(sound))


def test_tones_are_recognized_bit_true_and_in_a_stream(ran):
    status, printed, outcome, folder = ran
    rows = dict(outcome.story.rows)
    assert status == 0 and outcome.passed
    assert "telephone tones, generated, stand in for speech" in printed
    assert float(rows["accuracy, bit-true"].split("%")[0]) > 60
    assert rows["streamed, frame by frame"].endswith("frames, the same bits")
    assert rows["values, interpreter against C simulation"].endswith(" equal")
    report = json.loads((folder / "project/report.json").read_text())
    layer = report["network"]["layers"][0]
    assert layer["projection"] and layer["inputs"] == 39


def test_bit_true_accuracy_is_counted_from_the_interpreters_answers(ran):
    outcome = ran[2]
    test = outcome.data.test
    answers = outcome.interpreter.run(test.x, test.lengths).values[:, 0].argmax(axis=1)
    accuracy = np.mean(answers == test.y)
    assert dict(outcome.story.rows)["accuracy, bit-true"].startswith(f"{accuracy:.1%} ")


def test_sound_files_are_recognized_whatever_their_rate_and_channels(
    ran, example, tmp_path, capsys
):
    folder, found = ran[3], []
    for digit in range(10):
        plain, stereo = tmp_path / f"{digit}.wav", tmp_path / f"{digit}-stereo.flac"
        soundfile.write(plain, tone(digit, example), 8000)
        wide = tone(digit, example, 16000)
        soundfile.write(stereo, np.stack([wide, 0.5 * wide], axis=1), 16000)
        found += [plain, stereo]
    command = ["--output", str(folder), "--recognize", *map(str, found)]
    assert example.main.main(command) == 0
    answers = [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    right = [answers[2 * digit] == str(digit) for digit in range(10)]
    assert sum(right) >= 6
    same = [answers[2 * digit] == answers[2 * digit + 1] for digit in range(10)]
    assert sum(same) >= 7


def test_channels_are_averaged_and_rates_converted(example, tmp_path):
    left, right = np.full(800, 0.5), np.full(800, 0.1)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], axis=1), 8000, subtype="FLOAT")
    assert example.audio.read_audio(tmp_path / "two.wav") == pytest.approx(np.full(800, 0.3))
    soundfile.write(tmp_path / "fast.wav", np.zeros(1600), 16000)
    assert len(example.audio.read_audio(tmp_path / "fast.wav")) == 800


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "the sound can't be read"), (b"text", "the sound can't be read"), (b"", "the sound")],
)
def test_a_file_without_sound_is_refused(example, tmp_path, capsys, content, what):
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PenstockError, match=what):
        example.audio.read_audio(path)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(PenstockError, match="there is no sound in the file"):
        example.audio.read_audio(tmp_path / "empty.wav")


def test_missing_recordings_are_one_line_and_status_2(example, tmp_path, capsys):
    for task in ("digits", "phones", "ese"):
        given = ["--data", str(tmp_path), "--task", task, "--output", str(tmp_path / "out")]
        assert example.main.main(given) == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: the recordings can't be read") and shown.count("\n") == 1


@pytest.mark.parametrize("task", ["digits", "phones"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"text", "the recordings can't be read"),
        (b"PK\x03\x04zzz", "the recordings can't be read"),
        (b"", "the recordings can't be read"),
        ({"audio": np.zeros(3), "feat": np.zeros((3, 40))}, "there is no "),
    ],
)
def test_damaged_recordings_are_one_line_and_status_2(
    example, tmp_path, capsys, task, content, what
):
    for name in ("fsdd", "speechocean_phones"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / f"{name}.npz"
        if isinstance(content, dict):
            np.savez(path, **content)
        else:
            path.write_bytes(content)
    given = ["--data", str(tmp_path), "--task", task, "--output", str(tmp_path / "out")]
    assert example.main.main(given) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {what}") and shown.count("\n") == 1


def test_features_are_39_of_zero_mean_with_slopes(example):
    frames = example.audio.mfcc(tone(3, example))
    assert frames.shape[1] == 39 and len(frames) == 41 + 1
    assert np.abs(frames.mean(axis=0)).max() < 1e-4
    ramp = np.arange(30.0)[:, None] * np.array([[1.0, -2.0]])
    both = example.audio.with_deltas(ramp)
    assert both[15].tolist() == pytest.approx([15.0, -30.0, 1.0, -2.0, 0.0, 0.0])
    assert example.audio.mfcc(np.zeros(10)).shape == (1, 39), "short of a frame"


def made_phones(folder, frames=330):
    """A file as of speechocean_phones: 20 speakers to learn from, one utterance each; 3 others."""
    generator = np.random.default_rng(0)
    count = 23
    label = np.repeat(generator.integers(0, 5, count * frames // 10), 10)
    path = folder / "speechocean_phones"
    path.mkdir()
    np.savez(
        path / "speechocean_phones.npz", feat=generator.integers(0, 99, (count * frames, 40)),
        frame_label=label, offset=np.arange(count + 1) * frames, is_test=np.arange(count) >= 20,
        speaker=np.array([f"s{k}" for k in range(count)]), feat_scale=8.0,
    )  # fmt: skip
    return label.reshape(count, frames)


def test_every_labelled_frame_is_trained_on_once_and_comes_late(example, tmp_path):
    label, delay = made_phones(tmp_path), example.recordings.DELAY
    data = example.recordings.phones(tmp_path)
    assert data.train.x.shape[2] == 120 and len(data.valid) == 8 and len(data.test) == 3
    assert data.train.x.shape[1] <= example.recordings.CHUNK + example.recordings.WARM_UP
    assert (data.train.y != IGNORED).sum() == 12 * 330
    assert (data.test.y[:, :delay] == IGNORED).all()
    assert (data.test.y[:, delay:] == label[20:]).all()
    (plain,) = (example.recordings.phones(tmp_path, deltas=False).test.x[0],)
    assert plain.shape == (330 + delay, 40)
    assert (plain[-delay:] == plain[-delay - 1]).all(), "the end is drawn out, to be heard"


def test_phones_are_compared_as_sequences(example):
    errors = example.recordings.phone_errors
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 2, 0, 0])
    assert errors(labels, np.array([0, 1, 1, 1, 3, 2, 2, 2, 4, 4])) == (0, 2), "short runs count"
    assert errors(labels, np.array([1, 1, 1, 3, 3, 3, 3, 4, 4, 4])) == (2, 2)
    assert errors(labels, np.zeros(10)) == (2, 2)
