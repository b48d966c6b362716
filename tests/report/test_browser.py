"""report.html in headless Chromium: on a desk, on a phone, on paper; by day and by night."""

import re

import pytest
from support import barriers, is_silent

from penstock.report.page import environment

NAMES = ("rich", "ese")
SCREENS = [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]
CHARTS = {
    "#step-chart > svg": 4, "#process-chart > svg": 5, "#sequence-chart > svg": 7,
    "#load .plot": 2, "#sparsity img": 8, "#network .canvas > svg": 1, "#error-chart svg": 10,
    "#error .histograms .plot": 3, "#quantization .plot": 8, ".bits rect": 4, ".meter svg": 5,
}  # fmt: skip
"""What has to be seen, and how many of it at least."""


@pytest.fixture(scope="session")
def files(screenshots, compile_network, tmp_path_factory):
    """Name -> the page as a file."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "rich.html").write_bytes(compile_network("rich").files["report.html"])
    screenshots.write_page(folder).rename(folder / "ese.html")
    return {name: folder / f"{name}.html" for name in NAMES}


@pytest.fixture
def show(open_page, files):
    """See ``open_page``."""
    return lambda name, *screen: open_page(files[name], *screen)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_it_says_nothing_asks_for_nothing_and_does_not_scroll_sideways(name, width, scheme, show):
    page, said = show(name, width, scheme)
    assert is_silent(said)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [1280, 400])
def test_every_chart_is_there_and_is_large_enough_to_be_seen(name, width, show):
    page, _ = show(name, width, "light")
    for selector, least in CHARTS.items():
        boxes = page.evaluate(
            "s => [...document.querySelectorAll(s)].map(e => [e.getBoundingClientRect().width,"
            " e.getBoundingClientRect().height, e.naturalWidth ?? 1])", selector,
        )  # fmt: skip
        assert len(boxes) >= least, selector
        assert min(height for _, height, _ in boxes) >= 7, selector
        assert all(pixels > 0 for *_, pixels in boxes), selector
        assert max(own for own, *_ in boxes) > 40, selector


@pytest.mark.parametrize("width", [1280, 400])
def test_rows_of_a_matrix_stand_beside_its_picture(width, show):
    page, _ = show("rich", width, "light")
    heights = page.evaluate(
        "[...document.querySelectorAll('.matrices .frame')].map(e => [...e.children].slice(0, 2)"
        ".map(child => child.getBoundingClientRect().height))"
    )
    assert heights and all(axis == pytest.approx(picture, abs=1) for axis, picture in heights)


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_the_graph_is_legible_at_full_size_and_inside_its_boxes(name, show):
    page, _ = show(name, 1280, "light")
    assert page.evaluate("""() => [...document.querySelectorAll('.box')].every(box => {
        const frame = box.querySelector('rect').getBoundingClientRect();
        return [...box.querySelectorAll('text')].every(text => {
            const own = text.getBoundingClientRect();
            return own.left >= frame.left && own.right <= frame.right
                && own.top >= frame.top - 1 && own.bottom <= frame.bottom + 2;
        });
    })""")
    sizes = "e => parseFloat(getComputedStyle(e).fontSize) * e.getCTM().a"
    assert page.evaluate(
        f"[...document.querySelectorAll('.graph text')].every(e => ({sizes})(e) >= 9.9)"
    )


def test_the_graph_is_zoomed_without_a_script(chromium, files):
    page = chromium.new_page(
        viewport={"width": 400, "height": 900}, java_script_enabled=False
    )  # fmt: skip
    page.goto(files["ese"].as_uri())
    widths = {}
    for label in ("Full size", "Double", "Fit the width"):
        page.get_by_label(label, exact=True).check()
        widths[label] = page.locator(".canvas > svg").bounding_box()["width"]
    canvas = page.locator(".canvas").bounding_box()["width"]
    page.close()
    assert widths["Full size"] > 2 * canvas
    assert widths["Double"] == pytest.approx(2 * widths["Full size"], rel=0.01)
    assert canvas - 4 <= widths["Fit the width"] <= canvas


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("rich", 1280, "light"), ("rich", 400, "dark"), ("ese", 1280, "dark")],
)
def test_axe_finds_no_barrier(name, width, scheme, show):
    page, _ = show(name, width, scheme)
    assert barriers(page) == []


def test_night_is_dark_and_day_is_light_and_paper_is_white(show):
    grounds = {}
    for scheme in ("light", "dark"):
        page, _ = show("rich", 1280, scheme)
        look = "getComputedStyle(document.body).backgroundColor"
        grounds[scheme] = page.evaluate(look)
        page.emulate_media(media="print")
        assert page.evaluate(look) == "rgb(255, 255, 255)"
    red = {scheme: int(re.search(r"\d+", colour)[0]) for scheme, colour in grounds.items()}
    assert red["light"] > 200 and red["dark"] < 50


def test_paper_has_everything_and_nothing_that_only_a_screen_can_do(chromium, files):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(files["rich"].as_uri())
    page.emulate_media(media="print")
    height = "document.querySelector('#types table').getBoundingClientRect().height"
    assert page.evaluate(height) > 200  # in a closed <details>
    assert not page.locator("nav").is_visible() and not page.locator("#zoom-fit").is_visible()
    wide = "[...document.querySelectorAll('.scroll, .canvas')].every(e => e.scrollWidth <= 1280)"
    assert page.evaluate(wide)
    paper = page.pdf(format="A4", print_background=True)
    page.close()
    pages = paper.count(b"/Type /Page\n") or paper.count(b"/Type /Page")
    assert paper.startswith(b"%PDF") and 3 <= pages <= 40


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_and_bars_stand_out_from_what_is_behind_them():
    style = environment().get_template("style.css.j2").render()
    schemes = style.split("prefers-color-scheme")
    for text in schemes:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text.split("* {")[0]))
        for front, behind, least in (
            ("ink", "surface", 7), ("muted", "surface", 4.5), ("muted", "ground", 4.5),
            ("bad", "surface", 4.5), ("good", "surface", 4.5), ("accent", "surface", 4.5),
            ("on-bar", "spmv", 4.5), ("on-bar", "cells", 4.3), ("spmv", "track", 3),
            ("cells", "surface", 3), ("mark", "spmv", 3),
        ):  # fmt: skip
            high, low = sorted((luminance(colours[front]), luminance(colours[behind])))[::-1]
            assert (high + 0.05) / (low + 0.05) >= least, (front, behind)


def test_pages_are_small(files):
    assert files["ese"].stat().st_size < 450_000
    assert files["rich"].stat().st_size < 370_000
