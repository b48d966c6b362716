"""Number formats in a checkpoint's metadata: what is changed there is never compiled."""

from __future__ import annotations

import contextlib
import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from penstock import Fixed, HeadOptions, PenstockError, Precision, compile_checkpoint
from penstock.calibration import Ranges
from penstock.compress.saved import (
    KEY,
    Formats,
    Metadata,
    load_formats,
    metadata_of,
    save_compressed,
)
from penstock.layers.types import Types
from penstock.settings import Hardware

MATRICES = [f"l0.W_{gate}{source}" for gate in "ifgo" for source in "xr"]
FORMATS = Formats(
    Ranges(
        {"x": 1.5, "l0.c": 2.0, "l0.m": 0.9, "l0.y": 0.9}
        | {f"l0.pre_{gate}": 3.0 for gate in "ifgo"}
    ),
    Precision(
        weights=6, row_scales=True, row_exponents={name: [1, 0, 2] for name in MATRICES},
        overrides={"x": Fixed(12, 9, True, "AP_RND", "AP_SAT")},
    ),
)  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path):
    generator = np.random.default_rng(0)
    tensors = {
        "weight_ih_l0": generator.normal(size=(12, 2)),
        "weight_hh_l0": generator.normal(size=(12, 3)),
        "bias_ih_l0": np.ones(12), "bias_hh_l0": np.zeros(12),
    }  # fmt: skip
    tensors = {name: value.astype(np.float32) / 8 for name, value in tensors.items()}
    save_compressed(tensors, FORMATS, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def metadata(path):
    with safe_open(path, "numpy") as file:
        return file.metadata()[KEY]


def resave(path, change=lambda text: text, change_tensors=lambda tensors: None, sign=False):
    """Change formats or tensors; keep the digest, or (``sign``) make it anew."""
    tensors = load_file(path)
    change_tensors(tensors)
    found = json.loads(metadata(path))
    text = change(bytes(msgspec.json.decode(metadata(path), type=Metadata).formats).decode())
    signed = metadata_of(text, path.read_bytes())
    if not sign:
        signed = signed.replace(json.loads(signed)["sha256"] if text else "", found["sha256"])
    save_file(tensors, path, {KEY: signed})


def fault(path):
    with pytest.raises(PenstockError) as caught:
        compile_checkpoint(path, hardware=Hardware(pes=1))
    return caught.value.line()


def test_what_was_saved_is_what_is_read(checkpoint):
    assert load_formats(checkpoint) == FORMATS
    compiled = compile_checkpoint(checkpoint, hardware=Hardware(pes=1))
    assert compiled.graph["x"].tensor.type == FORMATS.precision.overrides["x"]


def test_the_order_of_tensors_does_not_matter(checkpoint):
    text = metadata(checkpoint)
    save_file(dict(reversed(load_file(checkpoint).items())), checkpoint, {KEY: text})
    assert load_formats(checkpoint) == FORMATS


def test_equal_formats_give_equal_bytes(checkpoint, tmp_path):
    for number in range(8):  # an order of metadata that is drawn would differ once
        save_compressed(load_file(checkpoint), FORMATS, tmp_path / f"{number}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def set_at(*keys, value):
    """A change of one field of the text; None deletes it."""

    def change(text):
        content = json.loads(text)
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        if value is None:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = value
        return json.dumps(content)

    return change


CHANGES = {
    "exponents of the second matrix": set_at("row_exponents", "l0.W_ir", value=[3, 3, 3]),
    "exponents of the first": set_at("row_exponents", "l0.W_ix", value=[0, 0, 0]),
    "a peak": set_at("peak", "l0.c", value=4.0),
    "an override deleted": set_at("overrides", "x", value=None),
    "the width of weights": set_at("precision", "weights", value=7),
    "white space": lambda text: text.replace("{", "{ ", 1),
    "nothing left": lambda text: "{}",
}


@pytest.mark.parametrize("case", CHANGES)
def test_formats_that_were_changed_are_refused(case, checkpoint):
    resave(checkpoint, CHANGES[case])
    assert fault(checkpoint) == (
        "the checkpoint's number formats do not match its tensors: one or the other was "
        f"changed ({checkpoint}); hint: compress it again, or save the tensors without metadata"
    )


def flip(tensors):
    tensors["bias_hh_l0"][0] = 1.0


def rename(tensors):
    tensors["rnn.weight_ih_l0"] = tensors.pop("weight_ih_l0")


def swap(tensors):
    tensors["bias_ih_l0"], tensors["bias_hh_l0"] = tensors["bias_hh_l0"], tensors["bias_ih_l0"]


def reshape(tensors):
    """The same bytes under the same name."""
    tensors["bias_hh_l0"] = tensors["bias_hh_l0"].reshape(2, -1)


def test_what_calibration_saw_is_saved_whole():
    """So that a checkpoint compiles to the binary points it was trained for, by every method."""
    seen = np.random.default_rng(0).laplace(0, 1, (500, 2))
    ranges = Ranges()
    ranges.watch("x", 0, seen)
    for method in ("error", "peak", "percentile"):
        formats = Formats(ranges, Precision(inputs=5, range_method=method))
        again = Formats.from_json(formats.to_json())
        assert again == formats and again.ranges.counts.keys() == {"x"}
        assert (again.ranges.counts["x"] == ranges.counts["x"]).all()
        types = [Types(one.precision, one.ranges).input() for one in (formats, again)]
        assert types[0] == types[1]


@pytest.mark.parametrize("change", [flip, rename, swap, reshape])
def test_tensors_that_were_changed_are_refused(change, checkpoint):
    resave(checkpoint, change_tensors=change)
    assert "number formats do not match its tensors" in fault(checkpoint)


ENVELOPES = {
    "of an older schema": (
        '{"schema": 1, "peak": {"x": 1}}', "are damaged: schema 1, but this version reads schema 4",
    ),
    "without a digest": ('{"schema": 4, "formats": {}}', "do not match its tensors"),
    "without formats": ('{"schema": 4, "sha256": "0"}', "do not match its tensors"),
    "deep": ("[" * 200_000, "are damaged: Expected `object`, got `array`"),
    "deep within": ('{"schema": 4, "formats": ' + "[" * 200_000, "are damaged: "),
    "of no JSON": ("formats", "are damaged: JSON is malformed"),
    "empty": ("", "are damaged: Input data was truncated"),
    "of no number": ('{"schema": true}', "are damaged: Expected `int`, got `bool`"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENVELOPES)
def test_metadata_of_another_kind_are_refused(case, checkpoint):
    text, message = ENVELOPES[case]
    save_file(load_file(checkpoint), checkpoint, {KEY: text})
    assert fault(checkpoint).startswith(f"the checkpoint's number formats {message}")


def test_formats_are_found_whatever_the_files_suffix(checkpoint):
    wanted = load_formats(checkpoint)
    assert load_formats(checkpoint.rename(checkpoint.with_suffix(".ckpt"))) == wanted is not None


def test_without_metadata_it_is_an_ordinary_checkpoint(checkpoint):
    save_file(load_file(checkpoint), checkpoint, {"format": "pt"})
    assert load_formats(checkpoint) is None
    assert (
        compile_checkpoint(checkpoint, hardware=Hardware(pes=1)).graph["x"].tensor.type.width == 16
    )


BOUNDS = {
    "a bin beyond all": (set_at("counts", value={"x": [[5000, 1]]}), "Expected `int` <= 1024"),
    "a bin of nothing": (set_at("counts", value={"x": [[5, 0]]}), "Expected `int` >= 1"),
    "an unknown method": (
        set_at("precision", "range_method", value="best"), "Invalid enum value 'best'",
    ),
    "a list for precision": (set_at("precision", value=[]), "Expected `object`, got `array`"),
    "a list for overrides": (set_at("overrides", value=[]), "Expected `object`, got `array`"),
    "a list for peak": (set_at("peak", value=[]), "Expected `object`, got `array`"),
    "a peak null": (
        lambda text: text.replace("1.5", "null"), "Expected `float`, got `null` - at `$.peak[...]`",
    ),
    "a peak NaN": (lambda text: text.replace("1.5", "NaN"), "JSON is malformed"),
    "a peak of 400 digits": (
        lambda text: text.replace("1.5", "1" + "0" * 400), "Number out of range",
    ),
    "a peak below zero": (set_at("peak", "x", value=-1.0), "Expected `float` >= 0.0"),
    "a peak of 1e300": (set_at("peak", "x", value=1e300), "Expected `float` < 1e+300"),
    "a denormal peak": (set_at("peak", "x", value=1e-310), "a peak is too small"),
    "frac of 10^9": (set_at("overrides", "x", "frac", value=10**9), "Expected `int` <= 1000"),
    "frac of -10^9": (set_at("overrides", "x", "frac", value=-(10**9)), "Expected `int` >= -1000"),
    "frac of 4.5": (set_at("overrides", "x", "frac", value=4.5), "Expected `int`, got `float`"),
    "frac true": (set_at("overrides", "x", "frac", value=True), "Expected `int`, got `bool`"),
    "signed as text": (
        set_at("overrides", "x", "signed", value="yes"), "Expected `bool`, got `str`",
    ),
    "an exponent of 1.5": (
        set_at("row_exponents", "l0.W_ix", value=[1.5] * 3), "Expected `int`, got `float`",
    ),
    "an exponent of 8": (
        set_at("row_exponents", "l0.W_ix", value=[8] * 3), "Expected `int` <= 7",
    ),
    "no head": (set_at("head", value=None), "Object missing required field `head`"),
    "an unknown head": (set_at("head", value=["never", "none"]), "Invalid enum value 'never'"),
    "an unknown field": (set_at("more", value=1), "Object contains unknown field `more`"),
    "weights of 40 bits": (
        set_at("precision", "weights", value=40), "weights of 40 bits can't be built",
    ),
    "nothing": (lambda text: "{}", "Object missing required field `peak`"),
}  # fmt: skip


@pytest.mark.parametrize("case", BOUNDS)
def test_formats_out_of_bounds_are_refused_though_their_digest_fits(case, checkpoint):
    change, message = BOUNDS[case]
    resave(checkpoint, change, sign=True)
    line = fault(checkpoint)
    assert line.startswith(f"the checkpoint's number formats are damaged: {message}"), line
    assert line.endswith(f"({checkpoint}); hint: compress it again")


@pytest.mark.parametrize(
    "change",
    [
        set_at("row_exponents", "l0.W_ix", value=[1]), set_at("peak", "l0.c", value=None),
        set_at("overrides", "l7.W_ix", value=Fixed(8, 3).to_json()),
        set_at("overrides", "x", "frac", value=900), set_at("overrides", "x", "frac", value=-900),
        set_at("row_exponents", "l0.W_ix", value=None),
    ],
    ids=["one exponent", "no peak", "no such tensor", "frac 900", "frac -900", "no exponents"],
)  # fmt: skip
def test_formats_that_do_not_fit_the_network_are_refused_or_taken_but_never_crash(
    change, checkpoint
):
    resave(checkpoint, change, sign=True)
    try:
        compile_checkpoint(checkpoint, hardware=Hardware(pes=1))
    except PenstockError as error:
        assert "\n" not in error.line()


fixed = st.builds(
    Fixed, st.integers(2, 24), st.integers(-100, 100), st.booleans(),
    st.sampled_from(["AP_RND", "AP_TRN"]), st.sampled_from(["AP_SAT", "AP_WRAP"]),
)  # fmt: skip
names = st.text(min_size=1, max_size=8)
formats = st.builds(
    Formats,
    st.builds(Ranges, st.dictionaries(names, st.one_of(st.just(0.0), st.floats(1e-99, 1e99)))),
    st.builds(
        Precision, weights=st.one_of(st.integers(2, 18), st.just(Fixed(12, 9))),
        cell_state=st.one_of(st.integers(2, 24), fixed), row_scales=st.booleans(),
        row_exponents=st.dictionaries(names, st.lists(st.integers(0, 7), max_size=4)),
        overrides=st.dictionaries(names, fixed),
    ),
    st.one_of(st.none(), st.builds(HeadOptions, st.sampled_from(["step", "last", "final"]))),
)  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(formats)
def test_any_formats_go_to_text_and_back(drawn):
    assert Formats.from_json(drawn.to_json()) == drawn


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
PATHS = [
    ("peak",), ("peak", "x"), ("precision",), ("precision", "weights"),
    ("precision", "accumulators"), ("overrides",), ("overrides", "x"), ("overrides", "x", "frac"),
    ("overrides", "x", "rounding"), ("row_exponents",), ("row_exponents", "l0.W_ix"), ("head",),
]  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(PATHS), json_like.filter(lambda value: value is not None))
def test_any_value_in_any_field_is_taken_or_refused(path, value):
    text = set_at(*path, value=value)(FORMATS.to_json())
    with contextlib.suppress(PenstockError, ValueError):
        Formats.from_json(text).to_json()
