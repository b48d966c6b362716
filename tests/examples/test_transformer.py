"""examples/transformer, on little generated text: what its README promises holds."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import run_example

import penstock
from penstock import compress
from penstock.frontend import from_module
from penstock_runtime import Interpreter

pytestmark = pytest.mark.long

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parents[2] / "examples"
BLOCKS = ["l0.qkv", "l0.output", "l0.feed"]


@pytest.fixture(scope="module")
def example():
    """Its modules, as the program imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        import transformer.encoder
        import transformer.main

        yield transformer


@pytest.fixture(scope="module")
def ran(example, tmp_path_factory, cpp_flags):
    """(exit status, what was printed, outcome, folder) of a run on generated text."""
    folder = tmp_path_factory.mktemp("transformer")
    return *run_example(example.main, "--output", str(folder)), folder


def percent(rows, title):
    (value,) = (value for what, value in rows.items() if what.startswith(f"accuracy, {title} ("))
    return float(value.split("%")[0])


def test_a_run_learns_compiles_every_block_and_agrees_with_c_simulation(ran):
    status, printed, outcome, folder = ran
    rows = dict(outcome.story.rows)
    assert status == 0 and outcome.passed
    assert "a generated corpus, not real text" in printed
    assert percent(rows, "embeddings alone, without a layer") < 75, "word order decides"
    assert percent(rows, "float, pruned") > 90
    assert percent(rows, "blocks bit-true, attention in float") > 90
    assert percent(rows, "float, pruned, zero for what the layers add") < 75
    assert rows["values, interpreters against C simulations"].endswith(" equal")
    assert list(outcome.interpreters) == BLOCKS
    assert all((folder / name / "report.html").exists() for name in BLOCKS)


def test_every_position_wise_matrix_is_pruned_and_nothing_else(ran):
    encoder = ran[2].encoder
    matrices = {name: part for name, part in encoder.named_modules()
                if isinstance(part, torch.nn.Linear | torch.nn.Embedding)}  # fmt: skip
    kept = {name: float((part.weight != 0).float().mean()) for name, part in matrices.items()}
    pruned = {name for name, density in kept.items() if density < 0.2}
    assert pruned == {name for name in kept if ".blocks." in name} and len(pruned) == 6
    assert kept["head"] == 1.0


def test_the_cycles_of_a_position_are_those_of_all_blocks(ran):
    rows = dict(ran[2].story.rows)
    figure = {
        what: int(value.split(" (")[0].replace(",", ""))
        for what, value in rows.items()
        if what.startswith("cycles per position")
    }
    total = figure.pop("cycles per position by the timeline (bound)")
    assert total == sum(figure.values()) and len(figure) == len(BLOCKS)


def test_the_pictures_show_every_block_one_after_the_other(ran, tmp_path):
    import story

    reports = {name: json.loads((ran[3] / name / "report.json").read_text()) for name in BLOCKS}
    drawn = story.in_a_row({name: SimpleNamespace(report=one) for name, one in reports.items()})
    spans, start = drawn["timeline"]["spans"], 0
    for name, one in reports.items():
        mine = [span for span in spans if span["name"].startswith(f"{name} ")]
        assert min(span["start"] for span in mine) == start
        start += one["timeline"]["cycles_per_step"]
        assert max(span["start"] + span["cycles"] for span in mine) == start
    assert sum(not span["is_first"] for span in spans) == len(spans) > 0
    story.draw_load(drawn, tmp_path / "load.svg")
    assert "l0.feed up.dense" in (tmp_path / "load.svg").read_text()


def test_the_bit_true_encoder_calls_the_projects_and_nothing_else_differs(ran, example):
    """Each block gives exactly what its project says, and float blocks in its place give the float
    encoder's logits."""
    outcome = ran[2]
    test = outcome.data.test.part(np.arange(5))
    tokens, lengths = torch.from_numpy(test.x), torch.from_numpy(test.lengths)
    with torch.no_grad():
        same = outcome.encoder.with_blocks(outcome.encoder.blocks())
        assert (same(tokens, lengths) == outcome.encoder(tokens, lengths)).all()
        for name, interpreter in outcome.interpreters.items():
            x = outcome.inputs[name][:4]
            y = example.main.BitTrue(interpreter)(torch.from_numpy(x))
            assert (y.numpy() == interpreter.run(x).values).all()


def test_a_position_gives_the_same_bits_wherever_it_stands(ran):
    """The projects have no state: nothing but attention joins positions."""
    outcome = ran[2]
    for name, interpreter in outcome.interpreters.items():
        assert not interpreter.project.graph.states()
        x = outcome.inputs[name][:3, :6]
        alone = interpreter.run(x.reshape(-1, 1, x.shape[-1])).raw
        assert (interpreter.run(x).raw.reshape(alone.shape) == alone).all()
        assert (interpreter.run(x[:, ::-1]).raw[:, ::-1] == interpreter.run(x).raw).all()


def test_a_block_can_be_trained_in_fixed_point(ran, tmp_path):
    """For fewer bits than it can be rounded to: what is trained is what its project computes."""
    block, frames = ran[2].encoder.blocks()["l0.feed"], ran[2].inputs["l0.feed"][:4, :5]
    model, precision = from_module(block, calibration=frames), penstock.Precision(weights=8)
    ranges = compress.calibrate(model, frames)
    network = compress.QuantizedNetwork(model, ranges, precision)
    y = network(torch.from_numpy(frames))
    y.sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.weights.values())
    trained = penstock.compile(
        network.to_model(), ranges, penstock.Hardware(pes=4), network.trained_precision
    )
    interpreter = Interpreter(trained.write(tmp_path / "feed"))
    assert (interpreter.run(frames).values == y.detach().numpy()).all()


def test_padding_does_not_reach_a_word(example):
    size = example.encoder.Size(16, 8, 2, 16, layers=2, dropout=0.1, word_dropout=0.1)
    encoder = example.encoder.Encoder(9, size).eval()
    tokens = torch.tensor([[3, 4, 5, 0, 0], [3, 4, 5, 8, 8]])
    lengths = torch.tensor([3, 3])
    with torch.no_grad():
        padded, alone = encoder(tokens, lengths), encoder(tokens[:1, :3], lengths[:1])
    assert padded[0] == padded[1]
    torch.testing.assert_close(padded[:1], alone)


def test_attention_is_torchs(example):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 5, 8)
    is_word = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    heads = (part.unflatten(-1, (4, 2)).transpose(1, 2) for part in (query, key, value))
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *heads, attn_mask=is_word[:, None, None, :]
    )
    found = example.encoder.attention(query, key, value, is_word, 4)
    torch.testing.assert_close(found, wanted.transpose(1, 2).flatten(-2))


def test_words_are_numbered_by_frequency_and_rare_ones_are_unknown(example):
    numbering = example.main.numbering_of([["b", "a", "b"], ["a", "b", "c"]])
    assert numbering.number == {"<PAD>": 0, "<UNK>": 1, "b": 2, "a": 3}
    tokens, lengths = numbering.padded([["a", "c"], []])
    assert tokens.tolist() == [[3, 1], [1, 0]] and lengths.tolist() == [2, 1]


def test_a_fault_of_the_users_is_one_line_and_status_2(example, tmp_path, capsys):
    assert example.main.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: training_label.txt is missing") and shown.count("\n") == 1
    (tmp_path / "training_label.txt").write_text("1 +++$+++ a fine film\n0 +++$+++ a bad film\n")
    (tmp_path / "testing_data.txt").write_text("id,text\n1,fine\n")
    assert example.main.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: no sentence to test on has a label")
    assert example.main.main(["--density", "2", "--output", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
