"""What several tests share: AMD's headers, the compiler, and builds that happen once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import Done

from penstock.cli import main
from penstock.errors import PenstockError
from penstock.program import INTERRUPTED
from penstock_runtime import csim


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """Not the user's: one for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(shared / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def width_of_a_line():
    """Nobody says how wide it may be; xdist would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def cpp_flags():
    """Flags for g++ with AMD's headers; skips where they are not installed, never in CI."""
    try:
        csim.compiler()
        return [*csim.FLAGS, *csim.include_flags()]
    except PenstockError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def run_cpp(cpp_flags, tmp_path):
    """Compile one C++ text, run it on what is given, and return what it prints."""

    def run(source: str, *flags: str, status: int = 0, given: bytes = b"") -> str:
        (tmp_path / "main.cpp").write_text(source)
        subprocess.run(
            [csim.compiler(), *cpp_flags, "-O1", *flags, "main.cpp", "-o", "main"],
            cwd=tmp_path, check=True,
        )  # fmt: skip
        done = subprocess.run([tmp_path / "main"], capture_output=True, input=given)
        assert done.returncode == status, done.stderr
        return (done.stdout + done.stderr).decode()

    return run


@pytest.fixture
def run_penstock(monkeypatch, capfd):
    """Run the command line in this process: words -> Done."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["penstock", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as exit_:
            status = exit_.code
        except KeyboardInterrupt:  # told by penstock.program, in a process of its own
            status = INTERRUPTED
        return Done(status, *capfd.readouterr())

    return run


WITHOUT_AXE = "playwright and axe-playwright-python (the dev extra) and a Chromium are needed"


@pytest.fixture(scope="session")
def screenshots():
    """docs/screenshots.py; skips without a browser, never in CI."""
    path = Path(__file__).parents[1] / "docs/screenshots.py"
    try:
        spec = importlib.util.spec_from_file_location("screenshots", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        import axe_playwright_python.sync_playwright  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip(WITHOUT_AXE)
    if module.chromium() is None:
        assert not os.environ.get("CI"), WITHOUT_AXE
        pytest.skip(WITHOUT_AXE)
    return module


@pytest.fixture(scope="session")
def chromium(screenshots):
    """A browser, for all tests."""
    with screenshots.browser() as found:
        yield found


@pytest.fixture
def open_page(chromium):
    """Open a file of HTML with all its details open: -> (page, what it said and asked for)."""
    opened = []

    def open_page(path, width, scheme):
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        return page, said

    yield open_page
    for page in opened:
        page.close()


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/files")
