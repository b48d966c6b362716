"""The whole recipe, on small real data: what it saves compiles to what it trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock import Hardware, PenstockError
from penstock.compress.dataset import make_dataset
from penstock.compress.saved import load_formats
from penstock.driver import compile_model
from penstock.frontend import from_state_dict, read_checkpoint
from penstock.frontend.module import load_weights
from penstock_runtime import Interpreter

torch = pytest.importorskip("torch")
sklearn_datasets = pytest.importorskip("sklearn.datasets")
from penstock.compress.recipe import Recipe, run_recipe  # noqa: E402
from penstock.nn import LSTM  # noqa: E402

QUICK = Recipe(
    dense_epochs=10, prune_epochs=6, qat_epochs=1, density=0.2, pes=4, rate=1e-2, weight_bits=6
)


class Classifier(torch.nn.Module):
    def __init__(self, inputs=8, cells=24, classes=10):
        super().__init__()
        self.lstm = torch.nn.LSTM(inputs, cells, batch_first=True)
        self.head = torch.nn.Linear(cells, classes)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Untrained(Classifier):
    """It may be asked for answers only."""

    def forward(self, x):
        assert not (self.training and torch.is_grad_enabled()), "training has begun"
        return super().forward(x)


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 6)
        self.lstm = torch.nn.LSTM(6, 16, batch_first=True)
        self.head = torch.nn.Linear(16, 20)

    def forward(self, x, lengths):
        return self.head(self.lstm(self.embedding(x))[0])


@pytest.fixture(scope="module")
def digits():
    found = sklearn_datasets.load_digits()
    x, y = (found.images / 16).astype(np.float32), found.target
    parts = {"train": slice(0, 900), "valid": slice(900, 1300), "test": slice(1300, None)}
    arrays = {f"x_{name}": x[part] for name, part in parts.items()}
    arrays |= {f"y_{name}": y[part] for name, part in parts.items()}
    return make_dataset(arrays, "classification", "digits")


def tokens():
    """Each token is followed by one that depends on it and the one before."""
    generator = np.random.default_rng(0)
    x = np.zeros((300, 12), dtype=np.int64)
    x[:, :2] = generator.integers(0, 20, (300, 2))
    for t in range(2, 12):
        x[:, t] = (3 * x[:, t - 1] + x[:, t - 2]) % 20
    y = np.roll(x, -1, axis=1)
    arrays = {"x_train": x[:200], "y_train": y[:200], "x_valid": x[200:], "y_valid": y[200:],
              "lengths_train": np.full(200, 11), "lengths_valid": np.full(100, 11)}  # fmt: skip
    return make_dataset(arrays, "language-model", "tokens")


def compiled(path, folder, pes):
    formats = load_formats(path)
    model = from_state_dict(read_checkpoint(path), str(path), formats.head)
    result = compile_model(model, formats.ranges, Hardware(pes=pes), formats.precision)
    return result, Interpreter(result.write(folder))


def test_the_checkpoint_compiles_to_the_accuracy_that_was_measured(digits, tmp_path):
    path = tmp_path / "digits.safetensors"
    outcome = run_recipe(Classifier, digits, QUICK, path)
    assert outcome.split == "test" and abs(outcome.density - 0.2) < 0.01
    assert outcome.scores["dense"][1] > 0.6
    result, interpreter = compiled(path, tmp_path / "project", 4)
    logits = interpreter.run(digits.test.x).values[:, 0]
    accuracy = (logits.argmax(1) == digits.test.y).mean()
    assert accuracy == pytest.approx(outcome.scores["trained quantized"][1], abs=1e-12)
    assert {result.graph[f"l0.W_{gate}x"].tensor.type.width for gate in "ifgo"} == {6}
    loads = [len(set(np.count_nonzero(p.entries["weight"], axis=0))) for p in result.plan.products]
    assert loads[0] == 1, "the PEs of the gates are not balanced"


def test_the_module_loads_what_was_saved_and_answers_alike(digits, tmp_path):
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            lstm = LSTM(8, 24, proj_size=16, peephole=True, cell_activation="sigma",
                        batch_first=True)  # fmt: skip
            self.encoder = torch.nn.ModuleDict({"rnn": lstm})
            self.fc = torch.nn.Linear(16, 10)

        def forward(self, x):
            return self.fc(self.encoder["rnn"](x)[0][:, -1])

    path = tmp_path / "digits.safetensors"
    recipe = replace(QUICK, dense_epochs=4, prune_epochs=2, weight_bits=12)
    outcome = run_recipe(Named, digits, recipe, path)
    module = Named()
    load_weights(module, path)
    with torch.no_grad():
        answers = module(torch.from_numpy(digits.test.x)).argmax(1).numpy()
    accuracy = (answers == digits.test.y).mean()
    assert accuracy == pytest.approx(outcome.scores["trained quantized"].accuracy, abs=0.02)
    assert compiled(path, tmp_path / "project", 4)[0].report["totals"]["density"] < 0.3


@pytest.mark.parametrize("biases", [(False, True), (True, False), (False, False)])
def test_a_module_without_biases_loads_what_was_saved(biases, digits, tmp_path):
    class Unbiased(Classifier):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(8, 24, batch_first=True, bias=biases[0])
            self.head = torch.nn.Linear(24, 10, bias=biases[1])

    path = tmp_path / "digits.safetensors"
    outcome = run_recipe(Unbiased, digits, replace(QUICK, dense_epochs=1, prune_epochs=1), path)
    load_weights(Unbiased(), path)
    logits = compiled(path, tmp_path / "project", 4)[1].run(digits.test.x).values[:, 0]
    accuracy = (logits.argmax(1) == digits.test.y).mean()
    assert accuracy == pytest.approx(outcome.scores["trained quantized"].accuracy, abs=1e-12)


class Mixed(torch.nn.Module):
    """Recurrent modules one behind the other, which a state dict names one by one."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = torch.nn.ModuleList(parts)
        self.head = torch.nn.Linear(16, 10)

    def forward(self, x):
        for part in self.parts:
            x, _ = part(x)
        return self.head(x[:, -1])


SEVERAL = {
    "gru, lstm": lambda: Mixed(
        torch.nn.GRU(8, 12, 2, batch_first=True), torch.nn.LSTM(12, 16, batch_first=True)
    ),
    "lstm, lstm": lambda: Mixed(
        torch.nn.LSTM(8, 12, batch_first=True), torch.nn.LSTM(12, 16, batch_first=True, bias=False)
    ),
    "ours, ours": lambda: Mixed(
        LSTM(8, 12, peephole=True, batch_first=True), LSTM(12, 16, batch_first=True)
    ),
}


@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL.keys())
def test_several_recurrent_modules_keep_their_names(make, digits, tmp_path):
    path = tmp_path / "digits.safetensors"
    outcome = run_recipe(make, digits, replace(QUICK, dense_epochs=1, prune_epochs=1), path)
    saved = read_checkpoint(path)
    assert saved.keys() <= {*make().state_dict()}
    for name, values in saved.items():
        if values.ndim == 2:
            assert len(np.unique(values)) <= 2**QUICK.weight_bits, f"{name} is not quantized"
    load_weights(make(), path)
    logits = compiled(path, tmp_path / "project", 4)[1].run(digits.test.x).values[:, 0]
    accuracy = (logits.argmax(1) == digits.test.y).mean()
    assert accuracy == pytest.approx(outcome.scores["trained quantized"].accuracy, abs=1e-12)


def test_an_embedding_keeps_its_name(tmp_path):
    class Words(Tagger):
        def __init__(self):
            super().__init__()
            self.words = self.embedding
            del self.embedding

        def forward(self, x, lengths):
            return self.head(self.lstm(self.words(x))[0])

    path = tmp_path / "tokens.safetensors"
    recipe = Recipe("language-model", dense_epochs=1, prune_epochs=1, qat_epochs=0, pes=4)
    run_recipe(Words, tokens(), recipe, path)
    load_weights(Words(), path)


def test_an_interrupted_run_goes_on_to_the_same_result(digits, tmp_path):
    whole = run_recipe(Classifier, digits, QUICK, tmp_path / "whole.safetensors")
    seen = []

    def interrupt(text):
        seen.append(text)
        if text.startswith("pruned 2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(Classifier, digits, QUICK, tmp_path / "part.safetensors", interrupt)
    assert not (tmp_path / "part.safetensors").exists()
    later = []
    part = run_recipe(Classifier, digits, QUICK, tmp_path / "part.safetensors", later.append)
    assert not any(text.startswith("dense") for text in later), "the dense stage ran again"
    assert "pruned: going on after epoch 1 of 6" in later
    assert part.scores == whole.scores
    assert (tmp_path / "part.safetensors").read_bytes() == (
        tmp_path / "whole.safetensors"
    ).read_bytes()


def test_a_language_model_keeps_its_embedding_on_the_host(tmp_path):
    path = tmp_path / "tokens.safetensors"
    recipe = Recipe("language-model", dense_epochs=6, prune_epochs=2, qat_epochs=1, density=0.5,
                    pes=4, rate=1e-2)  # fmt: skip
    data = tokens()
    outcome = run_recipe(Tagger, data, recipe, path)
    result, interpreter = compiled(path, tmp_path / "project", 4)
    assert any("embedding" in note for note in result.notes)
    table = read_checkpoint(path)["embedding.weight"]
    logits = interpreter.run(table[data.valid.x]).values
    counts = data.valid.y >= 0
    accuracy = (logits.argmax(2) == data.valid.y)[counts].mean()
    assert accuracy == pytest.approx(outcome.scores["trained quantized"][1], abs=1e-12)


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_trained(digits, tmp_path):
    class Diverging(Classifier):
        calls = 0

        def forward(self, x):
            Diverging.calls += self.training
            return super().forward(x) * (float("nan") if Diverging.calls > 20 else 1.0)

    path = tmp_path / "model.safetensors"
    with pytest.raises(PenstockError) as caught:
        run_recipe(Diverging, digits, QUICK, path)
    assert "the loss became nan in epoch 2 of dense" in caught.value.line()
    kept = torch.load(tmp_path / "model.safetensors.progress/dense.pt", weights_only=True)
    assert kept["epoch"] == 0 and all(
        torch.isfinite(w).all() for w in kept["best_weights"].values()
    )


def test_single_matrices_can_have_a_density_of_their_own(digits, tmp_path):
    path = tmp_path / "digits.safetensors"
    recipe = replace(QUICK, dense_epochs=1, qat_epochs=0, densities={"lstm.weight_ih_*": 1.0})
    run_recipe(Classifier, digits, recipe, path)
    tensors = read_checkpoint(path)
    share = {name: np.count_nonzero(values) / values.size for name, values in tensors.items()}
    assert share["lstm.weight_ih_l0"] > 0.9 and 0.1 < share["lstm.weight_hh_l0"] <= 0.21


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("density", 1.5, "density 1.5 is outside (0, 1]"),
        ("densities", {"lstm.*": 0.0}, "density 0.0 is outside (0, 1]"),
        ("densities", {"rnn.*": 0.5}, "density names 'rnn.*', which matches no matrix"),
        ("distill", 2.0, "distill 2 is outside [0, 1]"),
        ("weight_bits", 1, "weights of 1 bits can't be built"),
        ("bank", 4, "the pattern pe_balanced has no banks"),
        (("pattern", "bank", "banks"), ("bank_balanced", 2, 2), "bank and banks are both given"),
        (
            ("pattern", "banks"),
            ("bank_balanced", 32),
            "32 banks are more than a vector has columns, 24",
        ),
        (("pattern", "bank"), ("bank_balanced", 5), "banks of 5 do not divide a row of 8 weights"),
    ],
)
def test_what_a_recipe_asks_in_vain_is_refused_before_training(
    digits, tmp_path, field, value, what
):
    fields = dict(zip(field, value, strict=True)) if isinstance(field, tuple) else {field: value}
    with pytest.raises(PenstockError) as caught:
        run_recipe(Untrained, digits, replace(QUICK, **fields), tmp_path / "model.safetensors")
    assert caught.value.what == what
    assert not list(tmp_path.iterdir())


def test_a_loop_over_a_cell_is_refused_before_training(digits, tmp_path):
    class Cells(Untrained):
        def __init__(self):
            super().__init__(classes=64)
            self.lstm = torch.nn.LSTMCell(8, 24)

        def forward(self, x):
            state = None
            for t in range(x.shape[1]):
                state = self.lstm(x[:, t], state)
            return self.head(state[0])

    with pytest.raises(PenstockError) as caught:
        run_recipe(Cells, digits, QUICK, tmp_path / "model.safetensors")
    assert caught.value.what == "lstm is of LSTMCell, whose matrices can't be pruned"
    assert caught.value.hint == "make it of torch.nn.LSTM"


def test_a_module_that_does_not_compile_is_refused_before_training(digits, tmp_path):
    class Gated(Untrained):
        def __init__(self):
            super().__init__()
            self.more = torch.nn.LayerNorm(24)

        def forward(self, x):
            return self.head(self.more(self.lstm(x)[0])[:, -1])

    with pytest.raises(PenstockError, match="LayerNorm has no layer here"):
        run_recipe(Gated, digits, QUICK, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_progress_of_other_settings_weights_or_data_is_not_mixed_in(digits, tmp_path):
    path = tmp_path / "model.safetensors"
    recipe = Recipe(dense_epochs=1, prune_epochs=1, qat_epochs=0, pes=4)
    run_recipe(Classifier, digits, recipe, path)
    x = digits.train.x.copy()
    x[-1, -1, -1] += 1
    others = [
        (Classifier, digits, QUICK),
        (lambda: Classifier(cells=16), digits, recipe),
        (Classifier, replace(digits, train=replace(digits.train, x=x)), recipe),
    ]
    for factory, data, settings in others:
        with pytest.raises(
            PenstockError, match="the saved progress belongs to other settings or data"
        ):
            run_recipe(factory, data, settings, path)
    told = []
    run_recipe(Classifier, digits, recipe, path, told.append)
    assert told == [], "what has been trained was trained again"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"y_valid": None}, "y_valid is missing"),
        ({"x_train": np.zeros((4, 3))}, "x_train is float64 of shape (4, 3)"),
        ({"x_train": np.full((4, 3, 2), np.nan)}, "x_train has NaN or infinite values"),
        ({"y_train": np.zeros(3, int)}, "give integers of shape (4,)"),
        ({"lengths_train": np.array([1, 2, 3, 9])}, "lengths_train must be 4 integers"),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused(change, message):
    arrays = {"x_train": np.zeros((4, 3, 2)), "y_train": np.zeros(4, int),
              "x_valid": np.zeros((4, 3, 2)), "y_valid": np.zeros(4, int)} | change  # fmt: skip
    with pytest.raises(PenstockError) as caught:
        make_dataset({k: v for k, v in arrays.items() if v is not None}, "classification", "here")
    assert message in caught.value.line()
