"""Pictures of what compression costs. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.compress.sensitivity import Sensitivity
from penstock.compress.training import score_name
from penstock.errors import PenstockError

KINDS = ("png", "svg", "pdf")


def check_plot(path: Path) -> None:
    """Refuse early what can't be drawn. Raises PenstockError."""
    if path.suffix[1:] not in KINDS:
        raise PenstockError(
            f"plots can't be saved as {path.suffix or 'a file without a suffix'}",
            str(path),
            f"name it .{', .'.join(KINDS)}",
        )
    _pyplot()


def _pyplot() -> Any:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        hint = "pip install 'penstock[plot]'"
        raise PenstockError("plots need matplotlib", "sensitivity", hint) from error
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "penstock"
    from matplotlib import pyplot

    return pyplot


def plot_sensitivity(found: Sensitivity, path: Path, task: str = "classification") -> None:
    """Accuracy (R2 of a regression) against density and bits, a line for each matrix."""
    pyplot = _pyplot()
    percent = 1 if task == "regression" else 100
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for axis, kind, label in zip(axes, ("density", "bits"), ("density, %", "bits of a weight"),
                                 strict=True):  # fmt: skip
        scale = 100 if kind == "density" else 1
        for matrix in found.sizes:
            curve = found.curve(matrix, kind)
            x = [scale * value for value, _ in curve]
            axis.plot(x, [percent * score.accuracy for _, score in curve], "o-", ms=4, label=matrix)
        trained = percent * found.trained.accuracy
        axis.axhline(trained, color="gray", lw=1, ls="--", label="as trained")
        axis.set_xlabel(label)
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
    axes[0].set_xscale("log")
    ticks = sorted({100 * row.value for row in found.rows if row.kind == "density"})
    axes[0].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0].minorticks_off()
    axes[0].set_ylabel(score_name(task) + (", %" if percent == 100 else ""))
    axes[0].set_title("one matrix pruned, nothing retrained")
    axes[1].set_title("one matrix quantized, nothing retrained")
    axes[1].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
