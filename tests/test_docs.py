"""The pages of docs/: those that are printed from the code say what the code says, and code runs.

A page's blocks run in order, in a folder of their own. ``python`` with ``>>>`` is a session and
prints what the page says; other ``python`` is a script, ``sh`` runs in bash, and a block of either
may have a file's name (``title="model.py"``) and is written there instead. A ``text`` block right
behind one that runs is what it prints; ``...`` stands for anything. Pages of docs/extending are
recipes: their files and ``diff`` blocks change a copy of the repository, where their ``sh`` runs.
What does not run says why: ``<!-- not run: reason -->`` in the line before.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>.+?) -->\n)?^```(?P<language>\S*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<body>.*?)^```$(?P<output>\n+```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
RUN = ("python", "sh", "diff")
SHOWN = ("text", "jinja", "toml")
"""Languages of blocks that show something; what is written down with a title is not among them."""
COPIED = ("compiler", "runtime", "templates", "tests")
PAGES = sorted(
    path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")
    if any(f"```{language}" in path.read_text() for language in RUN)
)  # fmt: skip


class Block(NamedTuple):
    """A block of code. title: the file that it is; printed: what the page says that it prints."""

    why: str | None
    language: str
    title: str | None
    body: str
    printed: str | None


def blocks(text):
    """The blocks of a page, in order."""
    parts = ("why", "language", "title", "body", "printed")
    return [Block(*(found[part] for part in parts)) for found in BLOCK.finditer(text)]


def script_of_docs(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["what_compiles", "command_line", "limits"])
def test_a_page_is_what_the_code_says(name):
    module = script_of_docs(name)
    assert module.PAGE.read_text() == module.page(), f"python docs/{name}.py --write"


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
)
def test_every_block_says_what_it_is(page):
    """So that none is passed over because of how it is written."""
    text = (DOCS / page).read_text()
    found = blocks(text)
    assert text.count("\n```") == 2 * len(found) + 2 * sum(one.printed is not None for one in found)
    assert {one.language for one in found} <= {*RUN, *SHOWN}


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, cpp_flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    if page.startswith("extending/"):
        copy_of_the_tree(tmp_path)
    paths = [str(tmp_path / name) for name in COPIED if (tmp_path / name).exists()]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths or filter(None, sys.path)))
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands(tmp_path)), os.environ["PATH"]]))
    names = {"__name__": "__main__"}
    for number, block in enumerate(blocks((DOCS / page).read_text())):
        where = f"{page}, block {number}"
        if block.why is not None:
            continue
        if block.language == "diff":
            change(tmp_path / block.title, block.body)
        elif block.title:
            path = tmp_path / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body)
        elif block.language == "sh":
            said = shell(block.body, where)
            assert block.printed is None or matches(block.printed, said), f"{where} says\n{said}"
        elif ">>> " in block.body:
            session(block.body, names, where)
        elif block.language == "python":
            said = script(block.body, names, where)
            assert block.printed is None or matches(block.printed, said), f"{where} says\n{said}"


def copy_of_the_tree(folder):
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)


def commands(folder):
    """A folder with ``penstock`` and ``python``: of this environment, and of PYTHONPATH."""
    home = folder / ".commands"
    home.mkdir()
    penstock = f"exec {sys.executable} -c 'from penstock.cli import main; main()' \"$@\"\n"
    for name, line in (("penstock", penstock), ("python", f'exec {sys.executable} "$@"\n')):
        (home / name).write_text(f"#!/bin/sh\n{line}")
        (home / name).chmod(0o755)
    return home


def change(path, body):
    """Each part of the block, up to a line ``@@``, has one place in the file."""
    text = path.read_text()
    for part in body.split("@@\n"):
        old, new = ("".join(f"{line[1:]}\n" for line in part.splitlines() if line[:1] in kept)
                    for kept in (" -", " +"))  # fmt: skip
        assert text.count(old) == 1, f"{text.count(old)} places in {path.name} for\n{old}"
        text = text.replace(old, new)
    path.write_text(text)


def shell(body, where):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", body], capture_output=True, text=True)
    assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
    return done.stdout


def script(body, names, where):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(body, where, "exec"), names)
    return said.getvalue()


def session(body, names, where):
    test = doctest.DocTestParser().get_doctest(body, names, where, where, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=said.append, clear_globs=False)
    names |= test.globs
    assert runner.failures == 0, "".join(said)


def matches(wanted, said):
    return doctest.OutputChecker().check_output(wanted, said, doctest.ELLIPSIS)


def test_the_drawings_are_those_of_their_script():
    """And each says what it shows."""
    module = script_of_docs("drawings")
    for name, draw in module.DRAWINGS.items():
        text = (module.PICTURES / f"{name}.svg").read_text()
        assert text == draw().done(), "python docs/drawings.py"
        assert re.search("<title>[^<]+</title>", text)


def test_a_wrong_output_and_a_wrong_change_are_noticed(tmp_path):
    assert matches("PASS: ...\n", "PASS: to the last bit\n")
    assert not matches("PASS\n", "FAIL\n")
    (tmp_path / "file").write_text("a\na\nb\n")
    with pytest.raises(AssertionError, match="2 places"):
        change(tmp_path / "file", "-a\n+c\n")
    change(tmp_path / "file", " b\n+c\n")
    assert (tmp_path / "file").read_text() == "a\na\nb\nc\n"


LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCED = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
MARKDOWN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md",
            *sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]  # fmt: skip


def anchors(path):
    """Those that a forge gives to the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(path):
    """On a forge: ``make docs`` looks at the site's own."""
    for link in LINK.findall(FENCED.sub("", path.read_text())):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        found = path.parent / target if target else path
        assert found.exists(), link
        assert not anchor or anchor in anchors(found), link


def test_make_docs_takes_a_broken_link_for_an_error(tmp_path):
    """And an anchor that is not there, a page in no menu, and anything that is fetched."""
    if importlib.util.find_spec("material") is None:
        assert not os.environ.get("CI"), "mkdocs-material is not installed"
        pytest.skip("mkdocs-material is not installed: pip install 'penstock[docs]'")
    for name in ("docs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    (recipe,) = re.findall(r"^docs:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = recipe.replace("$(BIN)/python", shlex.quote(sys.executable))
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "docs/stray.md").write_text(
        '# Stray\n\n[a](nowhere.md) [b](index.md#nothing)\n\n<img src="https://example.org/x.png">\n'
    )
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "Aborted with 4 warnings" in done.stdout, done.stderr
    for wanted in ("nowhere.md", "#nothing", "stray.md\n", "fetches https://example.org/x.png"):
        assert wanted in done.stderr
