"""What interpreter.json, bounds.json and work.json say, as tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from children import load
from interpreter import OURS

PEERS = ("torch.nn.LSTM", "torch CSR", "SciPy CSR")
COLOURS = {"torch.nn.LSTM": "#b2182b", "torch CSR": "#ef8a62", "SciPy CSR": "#67a9cf"}


def table(titles: list[str], lines: list[list[str]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    rows = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    return "\n".join([*rows, *("| " + " | ".join(line) + " |" for line in lines)])


def series(name: str) -> list[dict[str, Any]]:
    """Rows of interpreter.json of one kind."""
    return [row for row in load("interpreter")["rows"] if row["series"] == name]


def _with_ratio(row: dict[str, Any], name: str) -> str:
    took = row["took"]
    return f"{took[name]:.3f} ({took[OURS] / took[name]:.2f})"


def batches() -> str:
    """Milliseconds a step of ESE's layer, and our share of each peer's."""
    lines = [
        [
            f"{row['sequences']}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}",
            f"{row['took'][OURS]:.3f}",
            *(_with_ratio(row, name) for name in PEERS),
        ]
        for row in series("batch")
    ]
    return table(["sequences", f"{OURS}, bit-true", *(f"{name} (ratio)" for name in PEERS)], lines)


def streams() -> str:
    """Microseconds a frame."""
    names = list(dict.fromkeys(name for row in series("streamed") for name in row["took"]))
    lines = [
        [
            f"{row['cells']} cells",
            *(f"{row['took'][name]:.1f}" if name in row["took"] else "-" for name in names),
        ]
        for row in series("streamed")
    ]
    return table(["us a frame", *names], lines)


def others() -> str:
    """C simulation of ESE's layer, and hls4ml's emulation of a dense one."""
    lines = []
    for name, what in (
        ("simulated", "ESE's layer, ms a step; C simulation by g++"),
        ("emulated", "256 dense cells, 8 x 16 steps, ms; hls4ml's emulation"),
    ):
        for row in series(name):
            (theirs,) = (own for own in row["took"] if own != OURS)
            ours = row["took"][OURS]
            lines.append([what, f"{ours:.3f}", f"{row['took'][theirs]:,.1f}",
                          f"{row['took'][theirs] / ours:,.0f}"])  # fmt: skip
    return table(["", OURS, "theirs", "times as fast"], lines)


def bounds() -> str:
    """What a step moves and multiplies, against what one core can."""
    found = load("bounds")["rows"]
    lines = []
    for row in found:
        seconds, peak = row[OURS] / 1000, row["multiply_g_s"]
        moved, multiplied = row["megabytes"] / 1000 / seconds, row["products"] / 1e9 / seconds
        lines.append([
            str(row["sequences"]), f"{row[OURS]:.3f}", f"{row['megabytes']:.2f}",
            f"{moved:.1f} ({moved / row['read_gb_s']:.0%} of {row['read_gb_s']:.0f})",
            f"{row['products'] / 1e6:.2f}",
            f"{multiplied:.1f} ({multiplied / peak:.0%} of {peak:.0f})",
        ])  # fmt: skip
    text = table(
        ["sequences", "ms a step", "MB of weights", "GB/s", "million products", "G/s"], lines
    )
    return f"{text}\n\nA copy of 64 MB moves {found[0]['copy_gb_s']:.1f} GB/s, read and written."


def work() -> str:
    """What is counted."""
    rows = load("work")["rows"]
    return table(["", "counted"], [[row["what"], f"{row['count']:,}"] for row in rows])


def draw(folder: Path) -> list[str]:
    """Pictures: our share of the peers' time against batch, density and size. -> their names."""
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "penstock"  # the same figures, the same file
    kinds = [("batch", "sequences", "side by side"), ("density", "density", "share of weights"),
             ("size", "cells", "cells and inputs")]  # fmt: skip
    figure, axes = pyplot.subplots(1, 3, figsize=(12.5, 3.4), sharey=True)
    for axis, (name, key, label) in zip(axes, kinds, strict=True):
        rows = [row for row in series(name) if row["threads"] == 1]
        for sequences in (1, 32) if name != "batch" else (None,):
            own = [row for row in rows if sequences in (None, row["sequences"])]
            for peer in PEERS:
                axis.plot(
                    [row[key] for row in own],
                    [row["took"][OURS] / row["took"][peer] for row in own],
                    marker="o", markersize=3, color=COLOURS[peer],
                    linestyle="--" if sequences == 32 else "-",
                    label=peer if sequences != 32 else f"{peer}, 32 sequences",
                )  # fmt: skip
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("our time / theirs")
    axes[2].legend(fontsize=7, bbox_to_anchor=(1.02, 1), loc="upper left")
    figure.tight_layout()
    target = folder / "interpreter.svg"
    figure.savefig(target, metadata={"Date": None})
    pyplot.close(figure)
    return [target.name]
