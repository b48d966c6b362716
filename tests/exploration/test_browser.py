"""The page of an exploration in headless Chromium, as that of a project in ``report``."""

from __future__ import annotations

from itertools import pairwise

import pytest
from exploration.conftest import AXES
from support import barriers, is_silent

from penstock.exploration import explore

SCREENS = [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]
NAMES = ("many", "none")


@pytest.fixture(scope="session")
def files(explored, checkpoint, store, tmp_path_factory):
    """A page with points of every state, and one without a front."""
    folder = tmp_path_factory.mktemp("pages")
    none = explore(checkpoint, AXES, store=store, target_us=1e-3, max_error=1e-6)
    return {
        "many": explored.write(folder / "many.html"), "none": none.write(folder / "none.html")
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_it_says_nothing_does_not_scroll_sideways_and_axe_finds_no_barrier(
    name, width, scheme, open_page, files
):
    page, said = open_page(files[name], width, scheme)
    assert is_silent(said)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert barriers(page) == []


def inside(own, box):
    return (
        box["x"] <= own["x"] and own["x"] + own["width"] <= box["x"] + box["width"]
        and box["y"] <= own["y"] and own["y"] + own["height"] <= box["y"] + box["height"]
    )  # fmt: skip


@pytest.mark.parametrize("width", [1280, 400])
def test_every_chart_has_its_points_inside_and_no_text_covers_another(width, open_page, files):
    page, _ = open_page(files["many"], width, "light")
    charts = page.locator(".scatter")
    assert charts.count() == 3
    for chart in charts.all():
        box = chart.bounding_box()
        assert box["width"] > 200 and box["height"] > 200
        assert all(inside(mark.bounding_box(), box) for mark in chart.locator("circle").all())
        ticks = chart.locator("text:not(.number)")
        labels = ticks.all_text_contents()
        assert len(labels) == len({*labels}) > 3
        for which in ("text[text-anchor=middle]", ".number"):
            boxes = [text.bounding_box() for text in chart.locator(which).all()]
            boxes.sort(key=lambda box: box["x"])
            for own, other in pairwise(boxes):
                is_apart = abs(own["y"] - other["y"]) >= own["height"] - 3
                assert is_apart or own["x"] + own["width"] <= other["x"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_a_chart_says_can_be_read_by_day_and_by_night(scheme, open_page, files):
    """axe does not look at the text of an SVG."""
    page, _ = open_page(files["many"], 1280, scheme)
    colours = page.evaluate("""() => [...document.querySelectorAll('.scatter text')].map(
        text => getComputedStyle(text).fill)""")
    grey = page.evaluate("getComputedStyle(document.querySelector('.axis')).color")
    ink = page.evaluate("getComputedStyle(document.querySelector('h2')).color")
    assert {*colours} == {grey, ink}
    style = "getComputedStyle(document.querySelector('.key')).listStyleType"
    assert page.evaluate(style) == "none"
