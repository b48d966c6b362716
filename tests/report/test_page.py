"""report.html: complete, harmless, the same every time."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from penstock.report.report import render_report
from penstock.report.sparsity import pictures, placed_matrices
from penstock.report.text import interval, number, percent, size

DOCS = Path(__file__).parents[2] / "docs"
HOSTILE = "<script>alert('x')</script>&\"><img src=x onerror=y>"
VOID = {"meta", "rect", "line", "path", "link", "br", "img", "input"}
PICTURE = "data:image/png;base64,"


class Outline(HTMLParser):
    """Checks that tags are closed in order; keeps tags, attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], set(), [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_a_hostile_name_and_note_stay_text(compile_network):
    hostile = compile_network("rich", {"name": HOSTILE, "notes": [HOSTILE]})
    outline = Outline(hostile.files["report.html"].decode())
    assert "script" not in outline.tags
    sources = [value for tag, name, value in outline.attributes if (tag, name) == ("img", "src")]
    assert all(source.startswith(PICTURE) for source in sources)
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert outline.words.count(HOSTILE) == 2  # the heading and the note
    assert json.loads(hostile.files["report.json"])["network"]["name"] == HOSTILE


def test_the_page_needs_nothing_from_elsewhere(page):
    outline = Outline(page)
    assert "http:" not in page and "https:" not in page
    assert not outline.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"url\((?!#)|@import", page)
    targets = [value for _, name, value in outline.attributes if name in ("href", "src")]
    assert targets and all(target.startswith(("#", PICTURE)) for target in targets)


def test_every_tag_is_closed_and_every_link_has_its_target(page):
    outline = Outline(page)
    assert outline.open == []
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in outline.attributes if name == "href"} <= set(ids)


@pytest.mark.parametrize("name", ["rich", "pruned"])
def test_the_same_input_gives_the_same_bytes(name, compile_network):
    first, second = compile_network(name), compile_network(name)
    for file in ("report.json", "report.html"):
        assert first.files[file] == second.files[file]


def test_the_page_is_made_from_the_json_and_the_pictures(compiled, page):
    report = json.loads(compiled.files["report.json"])
    shown = pictures(placed_matrices(compiled.machine))
    assert render_report(report, shown)["report.html"] == page


def test_no_path_and_no_time_is_in_the_report(compiled, page):
    for text in (page, compiled.files["report.json"].decode()):
        assert not re.search(r"/(home|tmp|root|work|usr)/|\b20\d\d-\d\d|\d\d:\d\d:\d\d", text)


def test_pictures_stay_within_their_width(page):
    bars = re.findall(r'<svg class="[a-z ]+" x="([\d.]+)%" width="([\d.]+)%"', page)
    assert bars
    assert all(float(x) + float(width) <= 100.3 for x, width in bars)
    parts = re.findall(r'<svg x="([\d.]+)%" width="([\d.]+)%" height="30">', page)
    end = 0.0
    for x, width in parts:
        assert float(x) == pytest.approx(end, abs=0.01)
        end = float(x) + float(width)
    assert end == pytest.approx(100, abs=0.01)


def test_key_figures_stand_in_the_page(page, report):
    totals, timeline = report["totals"], report["timeline"]
    assert f"{timeline['cycles_per_step']:,} cycles" in page
    assert f"{totals['bits_per_nonzero']:.2f}" in page
    assert f"{totals['compression']['ratio']:.2f}" in page
    assert totals["compression"]["counted"] in page


@pytest.mark.parametrize("word", ["slot", "bubble", "padding", "bound", "word", "entry"])
def test_words_of_the_field_are_defined(page, word):
    assert f"<dfn>{word}</dfn>" in page


def test_a_share_is_never_rounded_to_all_or_nothing():
    assert percent(0.99999) == "99.9 %"
    assert percent(1.0) == "100.0 %"
    assert percent(0.00001) == "< 0.1 %"
    assert percent(0.0) == "0.0 %"
    assert percent(None) == "\N{EN DASH}"


def test_numbers_are_grouped_and_sizes_have_units():
    assert number(-1234567) == "\N{MINUS SIGN}1,234,567"
    assert interval(-8.0, 7.99975) == "\N{MINUS SIGN}8 … 8"
    assert [size(count) for count in (1, 999, 1000, 754816, 13021184)] == [
        "1 byte", "999 bytes", "1.00 kB", "754.8 kB", "13.0 MB",
    ]  # fmt: skip


def test_every_section_is_explained_in_the_docs_and_its_pictures_are_small(page):
    text = (DOCS / "report.md").read_text()
    headings = re.findall(r"<section id=.*?<h2>([^<]+)", page, re.DOTALL)
    named = [part for line in re.findall(r"^## (.*)$", text, re.MULTILINE) for part in
             (line, *line.split(", "))]  # fmt: skip
    assert len(headings) >= 11
    assert [heading.strip() for heading in headings if heading.strip() not in named] == []
    shown = re.findall(r"!\[[^]]+\]\((pictures/report-[a-z]+\.png)\)", text)
    assert sorted(shown) == sorted(
        path.relative_to(DOCS).as_posix() for path in (DOCS / "pictures").glob("report-*.png")
    )
    assert all((DOCS / picture).stat().st_size < 120_000 for picture in shown)
