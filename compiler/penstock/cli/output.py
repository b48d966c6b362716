"""What a command says, where plain lines will do: rich takes longer to load than a run."""

from __future__ import annotations

CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""What a terminal would obey; names of files and nodes can hold it."""


def say(text: str) -> None:
    """Print a line, or several. Whoever reads them may have closed the pipe: that is told here."""
    print(text.translate(CONTROLS), flush=True)


def printable(text: str, instead: str) -> str:
    """``text`` with ``instead`` in the place of each character that is not printable."""
    return "".join(letter if letter.isprintable() else instead for letter in text)
