"""The drawings of docs/: ``python docs/drawings.py`` writes them to docs/pictures.

Plain SVG, whose colours follow the reader's light or dark theme. Coordinates are pixels.
"""

# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

PICTURES = Path(__file__).with_name("pictures")
BESIDE = 0.93
"""Of pictures that stand three in a row."""
STYLE = """
  .ground { fill: #fff } text { font: 13px system-ui, sans-serif; fill: #1f2933 }
  .small { font-size: 11.5px; fill: #52606d } .head { font-weight: 600; font-size: 14px }
  .box { fill: #eef2f6; stroke: #7b8794 } .store { fill: #dcebfb; stroke: #3a7cc2 }
  .work { fill: #fdeccb; stroke: #b7791f } .proof { fill: #dcf3e4; stroke: #2f855a }
  .line { stroke: #52606d; stroke-width: 1.4; fill: none } .tip { fill: #52606d }
  .c0 { fill: #3a7cc2 } .c1 { fill: #b7791f } .c2 { fill: #2f855a } .c3 { fill: #8a4fbf }
  .none { fill: #eef2f6 } .on { fill: #fff; font: 12px ui-monospace, monospace }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #1e2129 } text { fill: #e4e7eb } .small { fill: #b3bcc7 }
    .box, .none { fill: #2c313c } .box { stroke: #8894a2 } .store { fill: #1d3a57 }
    .work { fill: #4b3714 } .proof { fill: #1c4230 }
    .line { stroke: #b3bcc7 } .tip { fill: #b3bcc7 } .on { fill: #fff }
  }
"""


class Drawing:
    """An SVG picture in the making. title: what it shows, for those who can't see it. shown: how
    large, so that three stand side by side."""

    def __init__(self, width: int, height: int, title: str, shown: float = 1.0) -> None:
        self.parts = [
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'width="{shown * width:g}" height="{shown * height:g}" '
            f'viewBox="0 0 {width} {height}" role="img">\n<title>{escape(title)}</title>\n'
            f"<style>{STYLE}</style>\n"
            '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            'markerHeight="8" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker>\n'
            f'<rect class="ground" width="{width}" height="{height}" rx="6"/>\n'
        ]

    def text(self, x: float, y: float, line: str, kind: str = "", anchor: str = "middle") -> None:
        """A line of text."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(line)}</text>\n'
        )

    def box(self, x: float, y: float, width: float, height: float, kind: str, *lines: str) -> None:
        """A box; its first line is in the ink of text, the others are small."""
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>\n'
        )
        top = y + height / 2 + 4.5 - 8 * (len(lines) - 1)
        for index, line in enumerate(lines):
            self.text(x + width / 2, top + 16 * index, line, "small" if index else "")

    def arrow(self, *points: tuple[float, float], label: str = "", above: float = 6) -> None:
        """A line through points, with a tip at its end."""
        path = "L".join(f"{x:g} {y:g}" for x, y in points)
        self.parts.append(f'<path class="line" d="M{path}" marker-end="url(#tip)"/>\n')
        if label:
            (x, y), (to_x, to_y) = points[0], points[-1]
            self.text((x + to_x) / 2, (y + to_y) / 2 - above, label, "small")

    def cell(self, x: float, y: float, size: float, kind: str, mark: str = "") -> None:
        """An element of a matrix or of a word."""
        inner = size - 2
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{inner:g}" height="{inner:g}" rx="2"/>\n'
        )
        if mark:
            self.text(x + inner / 2, y + inner / 2 + 4.5, mark, "on")

    def done(self) -> str:
        """The file."""
        return "".join([*self.parts, "</svg>\n"])


def flow() -> Drawing:
    """From a model to a project that is proven."""
    found = Drawing(420, 452, "From a model to a checked project")
    found.box(14, 16, 186, 48, "box", "model", "torch, ONNX, or weights")
    found.box(220, 16, 186, 48, "box", "typical frames", "for calibration")
    found.box(117, 96, 186, 48, "store", "graph", "integers, each with a type")
    found.arrow((107, 64), (107, 80), (170, 80), (170, 94))
    found.arrow((313, 64), (313, 80), (250, 80), (250, 94))
    found.text(312, 124, "floats end here", "small", "start")
    found.box(220, 176, 186, 48, "store", "schedule", "rows to PEs, and to words")
    found.box(220, 250, 186, 48, "store", "machine", "memories, streams, cycles")
    found.box(220, 324, 186, 48, "work", "project", "C++, weights, report")
    found.box(14, 324, 186, 48, "work", "interpreter", "runs the graph")
    found.arrow((270, 144), (270, 158), (313, 158), (313, 174))
    found.arrow((313, 224), (313, 248))
    found.arrow((313, 298), (313, 322))
    found.arrow((150, 144), (150, 158), (107, 158), (107, 322))
    found.box(14, 404, 392, 34, "proof", "penstock check: every value of every step is equal")
    found.arrow((107, 372), (107, 402))
    found.arrow((313, 372), (313, 402))
    return found


def words() -> Drawing:
    """Rows of a sparse matrix, the PEs that own them, and the words that they become."""
    found = Drawing(420, 502, "How a sparse matrix becomes words for four processing elements")
    rows = [
        "x..x....",
        ".x....x.",
        "..x..x..",
        "x...x...",
        ".x.x....",
        "....x..x",
        "x....x..",
        "..x...x.",
    ]
    found.text(14, 26, "8 rows; row r belongs to PE r mod 4", "head", "start")
    taken: list[list[tuple[int, int]]] = [[] for _ in range(4)]
    for r, row in enumerate(rows):
        found.text(110, 56 + 26 * r, f"row {r}", "small", "end")
        for c, mark in enumerate(row):
            kind = f"c{r % 4}" if mark == "x" else "none"
            found.cell(122 + 26 * c, 40 + 26 * r, 26, kind, str(c) if mark == "x" else "")
            if mark == "x":
                taken[r % 4].append((c, r))
    found.arrow((224, 254), (224, 284))
    found.text(236, 272, "each PE, column by column", "small", "start")
    found.text(14, 308, "4 words, one a cycle", "head", "start")
    for word in range(4):
        found.text(97 + 90 * word, 330, f"word {word}", "small")
    for p, own in enumerate(taken):
        found.text(46, 358 + 36 * p, f"PE {p}", "small", "end")
        for word, (column, row_number) in enumerate(sorted(own)):
            x, y = 54 + 90 * word, 340 + 36 * p
            found.box(x, y, 86, 28, f"c{p}")
            found.text(x + 43, y + 18, f"c {column}, r {row_number}", "on")
    return found


def gather() -> Drawing:
    """Each PE fetches the activations that it needs."""
    found = Drawing(236, 330, "gather: every PE fetches activations from its copy", BESIDE)
    found.text(118, 26, "gather", "head")
    for p in range(2):
        x = 14 + 108 * p
        found.box(x, 44, 100, 34, "box", "word")
        found.box(x, 110, 100, 44, "store", "copy of x", "its column")
        found.box(x, 184, 100, 36, "work", "w x")
        found.box(x, 250, 100, 44, "store", "sums", f"of PE {p}'s rows")
        found.arrow((x + 50, 78), (x + 50, 108))
        found.arrow((x + 50, 154), (x + 50, 182))
        found.arrow((x + 50, 220), (x + 50, 248))
    found.text(118, 316, "all PEs in lock step", "small")
    return found


def broadcast() -> Drawing:
    """A column's activation goes to all PEs, which take it when they come to it."""
    found = Drawing(236, 330, "broadcast: one activation goes to the queues of all PEs", BESIDE)
    found.text(118, 26, "broadcast", "head")
    found.box(43, 44, 150, 34, "store", "x, column by column")
    for p in range(2):
        x = 14 + 108 * p
        found.arrow((118, 78), (118, 93), (x + 50, 93), (x + 50, 108))
        found.box(x, 110, 100, 44, "store", "queue", "of 8")
        found.box(x, 184, 100, 36, "work", "w x")
        found.box(x, 250, 100, 44, "store", "sums", f"of PE {p}'s rows")
        found.arrow((x + 50, 154), (x + 50, 182))
        found.arrow((x + 50, 220), (x + 50, 248))
    found.text(118, 316, "each PE at its own pace", "small")
    return found


def bank() -> Drawing:
    """Each multiplier reads its own memory; a row's products are summed at once."""
    found = Drawing(
        236, 330, "bank: every multiplier has its own memory; a tree sums a row", BESIDE
    )
    found.text(118, 26, "bank", "head")
    for b in range(3):
        x = 14 + 72 * b
        found.box(x, 44, 64, 44, "store", f"bank {b}", "of x")
        found.box(x, 118, 64, 36, "work", "w x")
        found.arrow((x + 32, 88), (x + 32, 116))
        found.arrow((x + 32, 154), (x + 32, 168), (118, 168), (118, 184))
    found.box(43, 186, 150, 34, "work", "adder tree")
    found.box(43, 250, 150, 44, "store", "the sum of a row", "in a register")
    found.arrow((118, 220), (118, 248))
    found.text(118, 316, "many rows side by side", "small")
    return found


def numbers() -> Drawing:
    """What becomes of the bits of an LSTM's gate."""
    found = Drawing(420, 222, "Where the bits of a gate go: exact, exact, then rounded once")
    for y, (kind, name, about) in zip(
        (16, 76), (("store", "weights", "s12.11"), ("store", "activations", "s16.13")), strict=True
    ):
        found.box(14, y, 110, 48, kind, name, about)
    found.box(155, 46, 110, 48, "work", "products", "exact: s28.24")
    found.box(296, 46, 110, 48, "work", "their sum", "exact: s32.24")
    found.arrow((124, 40), (140, 40), (140, 62), (153, 62))
    found.arrow((124, 100), (140, 100), (140, 78), (153, 78))
    found.arrow((265, 70), (294, 70))
    found.text(335, 34, "in any order", "small")
    found.box(296, 146, 110, 48, "proof", "rounding", "to 11 bits")
    found.box(155, 146, 110, 48, "store", "sigma table", "2,048 entries")
    found.box(14, 146, 110, 48, "store", "gate", "u16.15")
    found.arrow((351, 94), (351, 144))
    found.arrow((296, 170), (267, 170))
    found.arrow((155, 170), (126, 170))
    found.text(351, 212, "bits are lost here", "small")
    return found


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "flow": flow, "words": words, "gather": gather, "broadcast": broadcast, "bank": bank,
    "numbers": numbers,
}  # fmt: skip


def main() -> None:
    """Write them all."""
    for name, draw in DRAWINGS.items():
        (PICTURES / f"{name}.svg").write_text(draw().done())


if __name__ == "__main__":
    main()
