"""``--densities``: what is no file of densities is one clear line."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")
from penstock import PenstockError
from penstock.cli.compress import read_densities

NONE = "the file holds no densities"
TEXTS = {
    "deep": ("[" * 200_000, f"{NONE}: Expected `object`, got `array`"),
    "deep within a field that is not read": ('{"rows": ' + "[" * 200_000, NONE),
    "400 digits": (
        '{"densities": {"a": 1' + "0" * 400 + "}}",
        f"{NONE}: Number out of range - at `$.densities[...]`",
    ),
    "no JSON": ("lstm: 0.1", NONE),
    "no UTF-8": ('{"densities": {"\udcff": 0.1}}', NONE),
    "NaN": ('{"densities": {"a": NaN}}', NONE),
    "a list": (
        '{"densities": [0.1]}', f"{NONE}: Expected `object`, got `array` - at `$.densities`",
    ),
    "null": (
        '{"densities": {"a": null}}',
        f"{NONE}: Expected `float`, got `null` - at `$.densities[...]`",
    ),
    "text": (
        '{"densities": {"a": "0.1"}}',
        f"{NONE}: Expected `float`, got `str` - at `$.densities[...]`",
    ),
    "more than one": (
        '{"densities": {"a": 1.5}}', f"{NONE}: Expected `float` <= 1.0 - at `$.densities[...]`",
    ),
    "zero": (
        '{"densities": {"a": 0}}', f"{NONE}: Expected `float` > 0.0 - at `$.densities[...]`",
    ),
    "of a name without end": (
        json.dumps({"densities": {"a" * 5000: 0.5}}),
        f"{NONE}: Expected `str` of length <= 1000 - at `key` in `$.densities`",
    ),
    "no densities": ('{"rows": []}', f"{NONE}: Object missing required field `densities`"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_what_is_no_density_is_refused(case, tmp_path):
    text, what = TEXTS[case]
    path = tmp_path / "found.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(PenstockError) as caught:
        read_densities(path)
    assert caught.value.what == what


def test_densities_stand_beside_whatever_else_was_measured(tmp_path):
    path = tmp_path / "found.json"
    path.write_text(
        '{"rows": [[1, "x"]], "densities": {"lstm.weight_ih_l0": 0.25, "fc.weight": 1}}'
    )
    assert read_densities(path) == {"lstm.weight_ih_l0": 0.25, "fc.weight": 1.0}
