"""The pictures of docs/report.md, of the page that ESE's layer gets: ``make screenshots``.

Needs playwright and a Chromium (``apt-get install chromium``). Each picture has few colours, so
that it is small.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import ese_layer

from penstock import Hardware, compile_checkpoint

PICTURES = Path(__file__).with_name("pictures")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 64
DESK, PHONE = 1280, 400
SECTIONS = {
    "timeline": 1150, "load": 500, "sparsity": 620, "network": 1350, "error": 1000,
    "quantization": 700, "resources": 500,
}  # fmt: skip
"""The parts of the page that have a picture, report-<name>.png, and how much of them is shown."""


def chromium() -> str | None:
    """The path of a Chromium; None if there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless."""
    with sync_playwright() as playwright:
        # root, as in a container, has no sandbox; the pages are our own
        found = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield found
        found.close()


def main() -> None:
    """Compile, look, write."""
    with tempfile.TemporaryDirectory() as scratch, browser() as found:
        page = write_page(Path(scratch))
        desk = found.new_page(viewport={"width": DESK, "height": 900}, color_scheme="light")
        desk.goto(page.as_uri())
        save("top", desk.screenshot(clip={"x": 0, "y": 0, "width": DESK, "height": 720}))
        for name in SECTIONS:
            save(name, picture_of(desk, name, SECTIONS[name]))
        phone = found.new_page(viewport={"width": PHONE, "height": 900}, color_scheme="dark")
        phone.goto(page.as_uri())
        save("phone", phone.screenshot())


def write_page(folder: Path) -> Path:
    """report.html of ESE's layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the error on synthetic frames
        compiled = compile_checkpoint(
            ese_layer.checkpoint(folder), None, Hardware(pes=ese_layer.PES, board="u55c")
        )
    path = folder / "report.html"
    path.write_bytes(compiled.files["report.html"])
    return path


def picture_of(page: Page, name: str, most: int) -> bytes:
    """The top of a section, without its tables."""
    page.add_style_tag(content=".scroll, details { display: none } .canvas { max-height: none }")
    box = page.locator(f"#{name}").bounding_box()
    assert box is not None
    height = min(box["height"], most)
    clip = {"x": box["x"], "y": box["y"], "width": box["width"], "height": height}
    return page.screenshot(clip=clip, full_page=True)


def save(name: str, content: bytes) -> None:
    """Of few colours."""
    path = PICTURES / f"report-{name}.png"
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
