"""What MkDocs is told beside mkdocs.yml: the pages outside of docs/, and what is wrong with a page.

The Markdown of this repository is written for a forge, where a page in ``docs/`` says
``../examples/digits``. Pages of the site that lie outside of ``docs/`` keep their paths there, so
such a link loses a ``..`` on its way. A link that leads to no page is a warning, which
``mkdocs build --strict`` takes for an error; so is anything that a page would fetch from elsewhere.
External links are not fetched: they are listed in build/external-links.txt.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "build/external-links.txt"
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.glob("examples/*/*")
    if path.name == "README.md" or path.suffix == ".svg"
))  # fmt: skip
"""Files of the site that are not in docs/, by their paths in the repository."""
LINK = re.compile(r"(\]\()([^()\s]+)(\))")
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
FETCHED = re.compile(
    r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)"
)
EXTERNAL = re.compile(r"<a\b[^>]*\bhref=\"(https?://[^\"]+)\"")
log = logging.getLogger("mkdocs.hooks")
found: dict[str, set[str]] = {}
"""External address -> pages that lead there."""


def on_files(files: Files, config: Any) -> Files:
    """Add what is outside of docs/."""
    found.clear()
    for path in OUTSIDE:
        files.append(File.generated(config, path, content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Links as the site has its pages; code stays as it is."""
    source = page.file.src_uri
    home = source if source in OUTSIDE else f"docs/{source}"
    parts = FENCE.split(markdown)

    def renamed(link: re.Match[str]) -> str:
        target, mark, anchor = link[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return link[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
        if (ROOT / place).is_dir():
            place += "/README.md"
        place = posixpath.relpath(place.removeprefix("docs/"), posixpath.dirname(source))
        return f"{link[1]}{place}{mark}{anchor}{link[3]}"

    return "".join(part if part.startswith("```") else LINK.sub(renamed, part) for part in parts)


def on_post_page(output: str, page: Page, config: Any) -> str:
    """Note where a page leads, and warn of what it fetches."""
    for address in EXTERNAL.findall(output):
        found.setdefault(address, set()).add(page.file.src_uri)
    for address in FETCHED.findall(output):
        log.warning("%s fetches %s", page.file.src_uri, address)
    return output


def on_post_build(config: Any) -> None:
    """List the external links."""
    LISTED.parent.mkdir(exist_ok=True)
    lines = [f"{address}  {' '.join(sorted(pages))}\n" for address, pages in sorted(found.items())]
    LISTED.write_text("".join(lines))
