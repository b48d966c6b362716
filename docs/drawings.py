"""The drawings of docs/: ``python docs/drawings.py`` writes them to docs/pictures.

Plain SVG, whose colours follow the reader's light or dark theme. Coordinates are pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

PICTURES = Path(__file__).with_name("pictures")
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
    """An SVG picture in the making. title: what it shows, for those who can't see it."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
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
    found = Drawing(760, 330, "From a model to a checked project")
    found.box(14, 20, 150, 62, "box", "model", "torch, ONNX, or weights")
    found.box(14, 112, 150, 62, "box", "typical frames", "a calibration file")
    found.box(212, 66, 150, 62, "store", "graph", "integers only, with types")
    found.box(410, 66, 150, 62, "store", "schedule", "rows to PEs, words")
    found.box(608, 66, 138, 62, "store", "machine", "memories, cycles")
    found.arrow((164, 51), (188, 51), (188, 88), (210, 88))
    found.arrow((164, 143), (188, 143), (188, 106), (210, 106))
    found.arrow((362, 97), (408, 97))
    found.arrow((560, 97), (606, 97))
    found.text(287, 46, "floats end here", "small")
    found.box(212, 196, 150, 62, "work", "interpreter", "runs the graph")
    found.box(410, 196, 150, 62, "work", "C simulation", "runs the kernel")
    found.box(608, 196, 138, 62, "work", "project folder", "C++, packed weights")
    found.arrow((677, 128), (677, 194))
    found.arrow((287, 128), (287, 194))
    found.arrow((608, 227), (562, 227))
    found.box(212, 284, 348, 34, "proof", "penstock check: every value of every step is equal")
    found.arrow((287, 258), (287, 282))
    found.arrow((485, 258), (485, 282))
    return found


def words() -> Drawing:
    """Rows of a sparse matrix, the PEs that own them, and the words that they become."""
    found = Drawing(760, 300, "How a sparse matrix becomes words for four processing elements")
    rows = ["x..x....", ".x....x.", "..x..x..", "x...x...", ".x.x....", "....x..x", "x....x..", "..x...x."]
    found.text(96, 28, "8 rows, PE = row mod 4", "head")
    taken: list[list[tuple[int, int]]] = [[] for _ in range(4)]
    for r, row in enumerate(rows):
        found.text(22, 56 + 26 * r, f"PE {r % 4}", "small")
        for c, mark in enumerate(row):
            kind = f"c{r % 4}" if mark == "x" else "none"
            found.cell(44 + 22 * c, 42 + 26 * r, 22, kind, str(c) if mark == "x" else "")
            if mark == "x":
                taken[r % 4].append((c, r // 4))
    found.arrow((232, 146), (292, 146))
    found.text(262, 136, "by column", "small")
    found.text(520, 28, "4 words, one a cycle", "head")
    for p, own in enumerate(taken):
        found.text(322, 80 + 42 * p, f"PE {p}", "small")
        for word, (column, slot) in enumerate(sorted(own)):
            x, y = 350 + 98 * word, 60 + 42 * p
            found.box(x, y, 90, 32, f"c{p}")
            found.text(x + 45, y + 20, f"col {column}, row {4 * slot + p}", "on")
    for word in range(4):
        found.text(395 + 98 * word, 52, f"word {word}", "small")
    found.text(544, 250, "An entry holds a weight, and how far it is from the one before.", "small")
    found.text(544, 268, "The colour is the PE: all four take an entry in the same cycle.", "small")
    return found


def gather() -> Drawing:
    """Each PE fetches the activations that it needs."""
    found = Drawing(300, 330, "gather: every PE fetches activations from its copy")
    found.text(150, 26, "gather", "head")
    for p in range(3):
        x = 14 + 94 * p
        found.box(x, 44, 84, 36, "box", "word")
        found.box(x, 110, 84, 44, "store", "copy of x")
        found.box(x, 184, 84, 36, "work", "w * x")
        found.box(x, 250, 84, 44, "store", "sums", f"rows of PE {p}")
        found.arrow((x + 42, 80), (x + 42, 108))
        found.arrow((x + 42, 154), (x + 42, 182))
        found.arrow((x + 42, 220), (x + 42, 248))
    found.text(150, 100, "which column", "small")
    found.text(150, 316, "all PEs in lock step", "small")
    return found


def broadcast() -> Drawing:
    """A column's activation goes to all PEs, which take it when they come to it."""
    found = Drawing(300, 330, "broadcast: one activation goes to the queues of all PEs")
    found.text(150, 26, "broadcast", "head")
    found.box(90, 44, 120, 36, "store", "x, column by column")
    for p in range(3):
        x = 14 + 94 * p
        found.arrow((150, 80), (150, 94), (x + 42, 94), (x + 42, 108))
        found.box(x, 110, 84, 44, "store", "queue", "of 8")
        found.box(x, 184, 84, 36, "work", "w * x")
        found.box(x, 250, 84, 44, "store", "sums", f"rows of PE {p}")
        found.arrow((x + 42, 154), (x + 42, 182))
        found.arrow((x + 42, 220), (x + 42, 248))
    found.text(150, 316, "no PE waits for another, until a queue is full", "small")
    return found


def bank() -> Drawing:
    """Each multiplier reads its own memory; a row's products are summed at once."""
    found = Drawing(300, 330, "bank: every multiplier has its own memory; a tree sums a row")
    found.text(150, 26, "bank", "head")
    found.text(150, 50, "one row at a time, a multiplier for each bank", "small")
    for b in range(4):
        x = 10 + 71 * b
        found.box(x, 66, 66, 44, "store", f"bank {b}", "of x")
        found.box(x, 140, 66, 36, "work", "w * x")
        found.arrow((x + 33, 110), (x + 33, 138))
        found.arrow((x + 33, 176), (x + 33, 190), (150, 190), (150, 206))
    found.box(80, 208, 140, 34, "work", "adder tree")
    found.box(80, 264, 140, 34, "store", "sum, in a register")
    found.arrow((150, 242), (150, 262))
    found.text(150, 316, "and as many rows side by side as there is room", "small")
    return found


def numbers() -> Drawing:
    """What becomes of the bits of an LSTM's gate."""
    found = Drawing(760, 200, "Where the bits of a gate go: exact, exact, then rounded once")
    steps: Iterable[tuple[str, str, str]] = (
        ("store", "weight", "s12.11"), ("work", "products", "exact"), ("work", "sum", "exact: s32.27"),
        ("proof", "rounding", "to 11 bits"), ("store", "sigma table", "2,048 entries"),
        ("store", "gate", "u16.15"),
    )  # fmt: skip
    for index, (kind, name, about) in enumerate(steps):
        x = 14 + 124 * index
        found.box(x, 62, 110, 58, kind, name, about)
        if index:
            found.arrow((x - 14, 91), (x - 1, 91))
    found.box(14, 132, 110, 52, "store", "activation", "s16.13")
    found.arrow((124, 158), (193, 158), (193, 122))
    found.text(255, 44, "any order gives the same sum: nothing is dropped", "small")
    found.text(441, 144, "the only place", "small")
    found.text(441, 160, "where bits are lost", "small")
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
