"""The bench of networks that others ship in small: made-up packages, voices and sentences."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.long

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("librosa")
pytest.importorskip("rapidfuzz")
pytest.importorskip("onnxruntime")
FOLDER = Path(__file__).parents[2] / "benchmarks/shipped"
NAMES = ("activity", "measure", "packages", "pinyin", "run", "voices")
CELLS = 8


@pytest.fixture
def bench(monkeypatch):
    """Its modules, which import each other by their bare names, for small networks."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import run

    monkeypatch.setattr(run.voices, "TESTED", 2)
    monkeypatch.setattr(run.voices, "ENROLLED", 1)
    for module in (run.activity, run.pinyin, run.voices):
        monkeypatch.setattr(module, "PES", 4)
    for name, value in {"WORDS": 3, "STREAMS": 2, "CALIBRATION": 2, "TEST_INDEX": 12}.items():
        monkeypatch.setattr(run.activity, name, value)
    yield run
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture
def data(tmp_path):
    """Two speakers of 20 recordings each, tones of their own in noise; three sentences."""
    generator, sounds = np.random.default_rng(0), []
    for number in range(40):
        time = np.arange(3300) / 8000
        sound = np.sin(2 * np.pi * (300 + 400 * (number // 20)) * time) * 0.3
        sounds.append(((sound + generator.normal(0, 0.02, len(time))) * 32767).astype(np.int16))
    (tmp_path / "fsdd").mkdir()
    np.savez(
        tmp_path / "fsdd/fsdd.npz", audio=np.concatenate(sounds),
        offset=np.cumsum([0, *map(len, sounds)]), speaker=np.arange(40) // 20,
        index=np.arange(40) % 20,
    )  # fmt: skip
    (tmp_path / "cpp").mkdir()
    for part in ("test", "dev"):
        (tmp_path / f"cpp/{part}.sent").write_text("ab▁a▁c\n▁b▁\ncc▁a▁xyzc\n", "utf-8")
        (tmp_path / f"cpp/{part}.lb").write_text("a1\nb2\nz9\n", "utf-8")
    return tmp_path


@pytest.fixture
def packages(tmp_path):
    """What the packages hold, in small, and not trained."""
    torch.manual_seed(0)
    folder = tmp_path / "packages"
    for name in ("resemblyzer", "g2pM", "silero_vad/data"):
        (folder / name).mkdir(parents=True)
    encoder = torch.nn.ModuleDict(
        {"lstm": torch.nn.LSTM(40, CELLS, 2), "linear": torch.nn.Linear(CELLS, 6)}
    )
    state = encoder.state_dict() | {"similarity_weight": torch.ones(1)}
    torch.save({"step": 1, "model_state": state}, folder / "resemblyzer/pretrained.pt")
    reader = torch.nn.ModuleDict({
        "embedding": torch.nn.Embedding(8, 6),
        "lstm": torch.nn.LSTM(6, CELLS, bidirectional=True),
        "logit_layer": torch.nn.Sequential(
            torch.nn.Linear(2 * CELLS, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)),
    })  # fmt: skip
    characters = ["<PAD>", "<UNK>", "시", "끝", "a", "b", "c"]
    stored = {
        "np_ckpt": {name: value.numpy() for name, value in reader.state_dict().items()},
        "char2idx": {name: index for index, name in enumerate(characters)},
        "class2idx": {"a1": 0, "a2": 1, "b2": 2},
    }
    for name, values in stored.items():
        (folder / f"g2pM/{name}.pkl").write_bytes(pickle.dumps(values, protocol=3))
    save_detector(folder / "silero_vad/data/silero_vad_16k_sequence.onnx")
    return folder


def save_detector(path):
    """The weights of a detector, in a graph that has its LSTM alone."""
    generator = np.random.default_rng(0)
    shapes = {
        "stft.forward_basis_buffer": (10, 1, 256), "encoder.0.weight": (4, 5, 3),
        "encoder.1.weight": (4, 4, 3), "encoder.2.weight": (4, 4, 3), "encoder.3.weight": (6, 4, 3),
        "output.weight": (1, CELLS, 1), "output.bias": (1,), "W": (1, 4 * CELLS, 6),
        "R": (1, 4 * CELLS, CELLS), "B": (1, 8 * CELLS),
    } | {f"encoder.{number}.bias": (size,) for number, size in enumerate((4, 4, 4, 6))}  # fmt: skip
    arrays = {name: generator.normal(0, 0.3, shape).astype(np.float32)
              for name, shape in shapes.items()}  # fmt: skip
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=CELLS)],
        "detector", [], [],
        [onnx.numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph), path)


@pytest.fixture
def measured(bench, data, packages, monkeypatch):
    """One network's exit status and rows; with C simulation if that is wanted."""
    story = bench.Story

    def measure(name, is_simulated=False):
        made = []
        if not is_simulated:
            module = getattr(bench, name)
            monkeypatch.setattr(module, "closing_rows", lambda *_: True)
        monkeypatch.setattr(bench, "Story", lambda *a: made.append(story(*a)) or made[-1])
        given = ["--data", str(data), "--packages", str(packages), "--only", name, "--cache"]
        status = bench.main([*given, str(data / "cache")])
        return status, dict(made[0].rows)

    return measure


@pytest.mark.filterwarnings("ignore:the outputs", "ignore:out of range")
def test_two_voices_are_told_apart_in_every_format(measured, bench):
    status, rows = measured("voices")
    assert status == 0 and rows["test set"] == "4 utterances of 2 speakers"
    for how in ("float", *bench.voices.FORMATS):
        assert rows[f"speakers identified, {how}"].startswith("100.0%")
    assert len([name for name in rows if name.startswith("cosine")]) == 2


def test_every_character_is_read_as_in_float(measured):
    status, rows = measured("pinyin")
    assert status == 0 and rows["readings, bit-true as in float"] == "100.00%"
    assert rows["accuracy, bit-true"] == rows["accuracy, float"]


def test_chances_are_compared_frame_by_frame_and_the_kernel_simulated(
    measured, bench, monkeypatch, cpp_flags
):
    monkeypatch.setattr(bench.activity, "chances_of_the_package", lambda file, sound: 0.25)
    status, rows = measured("activity", is_simulated=True)
    assert status == 0 and rows["test set"].startswith("2 streams, ")
    assert float(rows["decisions, bit-true as in float"].removesuffix("%")) > 90
    assert rows["values, interpreter against C simulation"].endswith(" equal")


def test_the_rates_are_those_of_their_definitions(bench):
    measure = sys.modules["measure"]
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    assert measure.area_under_curve(scores, np.array([False, True, False, True])) == 0.875
    assert measure.area_under_curve(scores, np.array([False, False, True, True])) == 0.875
    high, low = np.array([0.9, 0.8, 0.7, 0.2]), np.array([0.1, 0.1, 0.3, 0.75])
    assert measure.equal_error_rate(high, low) == 0.25
    assert measure.equal_error_rate(high[:3], low[:3]) == 0


def test_an_utterance_is_cut_as_the_package_cuts_it(bench):
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000 * 10).astype(np.float32)
    for seconds, count in ((0.5, 1), (1.6, 1), (2.0, 2), (3.0, 3), (3.3, 3), (10.0, 12)):
        found = bench.voices.pieces(noise[: int(seconds * 16_000)])
        assert found.shape == (count, 160, 40), seconds


def test_a_pickle_that_names_anything_else_is_refused(bench, tmp_path):
    packages, path = sys.modules["packages"], tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(replace))
    with pytest.raises(bench.pinyin.PenstockError) as caught:
        packages.unpickled(path)
    assert caught.value.line() == (
        f"it can't be read: dataclasses.replace is no array ({path}); hint: fetch it again"
    )


def test_a_malformed_sentence_is_named_by_its_line(bench, data, packages, capsys):
    (data / "cpp/dev.sent").write_text("ab▁a▁c\nb\ncc▁a▁c\n", "utf-8")
    given = ["--data", str(data), "--packages", str(packages), "--only", "pinyin"]
    assert bench.main([*given, "--cache", str(data / "cache")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: the line is malformed ({data}/cpp/dev.sent, line 2)")


def test_data_is_asked_for(bench, capsys):
    with pytest.raises(SystemExit):
        bench.main([])
    assert "give --data" in capsys.readouterr().err
