"""The page of an exploration in headless Chromium, as that of a project in ``report``."""

from __future__ import annotations

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


@pytest.mark.parametrize("width", [1280, 400])
def test_every_chart_has_its_points_inside_and_no_two_labels_of_an_axis_meet(
    width, open_page, files
):
    page, _ = open_page(files["many"], width, "light")
    charts = page.locator(".scatter")
    assert charts.count() == 3
    for chart in charts.all():
        box = chart.bounding_box()
        assert box["width"] > 200 and box["height"] > 200
        for mark in chart.locator("circle").all():
            own = mark.bounding_box()
            assert box["x"] <= own["x"] and own["x"] + own["width"] <= box["x"] + box["width"]
            assert box["y"] <= own["y"] and own["y"] + own["height"] <= box["y"] + box["height"]
        ticks = chart.locator("text[text-anchor=middle]").all()
        places = sorted((t["x"], t["x"] + t["width"]) for t in (t.bounding_box() for t in ticks))
        assert len(places) > 1
        assert all(end < start for (_, end), (start, _) in zip(places, places[1:], strict=False))
