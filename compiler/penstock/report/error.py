"""The error against the float network, as plain values and as lines for the terminal."""

from __future__ import annotations

import math
from typing import Any

from penstock.fidelity.errors import ErrorSum, Histogram, TensorError
from penstock.fidelity.trial import Source
from penstock.fidelity.verdict import MEASURE, Fidelity
from penstock.ir.saturation import Kind, Saturation
from penstock.report.text import number, percent, plural, significant

DIGITS = 4
"""Significant digits of every measured figure: no machine's order of summation shows in them."""
MOST_OUTPUTS = 64
"""So many outputs have a row each: those of the greatest error, if there are more."""


def error_section(error: Fidelity | None) -> dict[str, Any] | None:
    """See the text of ``report.report``; None without a float network."""
    if error is None:
        return None
    count, of = error.clipped
    return {
        "frames": _frames(error),
        "output": _output(error),
        "decisions": _decisions(error),
        "labels": _labels(error),
        "measure": MEASURE,
        "worst": [one.name for one in error.worst],
        "tensors": [_tensor(one) for one in error.tensors],
        "clipped": {"count": count, "of": of},
        "saturations": [_saturation(one) for one in error.saturations],
        "warnings": error.warnings,
    }


def _frames(error: Fidelity) -> dict[str, Any]:
    return {
        "source": str(error.source), "is_synthetic": error.source in (
            Source.SYNTHETIC, Source.SCALED,
        ),
        "sequences": error.sequences, "steps": error.steps,
        "of_sequences": error.of_sequences, "of_steps": error.of_steps,
    }  # fmt: skip


def _figures(errors: ErrorSum) -> dict[str, Any]:
    whole = float((errors.squares.sum() / max(errors.count * errors.columns, 1)) ** 0.5)
    return {
        "max_abs_error": _rounded(float(errors.peak.max())), "rms_error": _rounded(whole),
        "float_rms": _rounded(errors.float_rms), "relative_error": _rounded(errors.relative),
    }  # fmt: skip


def _output(error: Fidelity) -> dict[str, Any]:
    """Of the logits where the outputs are labels."""
    of = "y" if error.logits is None else error.logits.name
    errors = error.outputs
    each: list[dict[str, Any]] = []
    if error.logits is None:
        order = sorted(range(errors.columns), key=lambda k: (-errors.peak[k], k))
        each = [
            {"output": k, "max_abs_error": _rounded(float(errors.peak[k])),
             "rms_error": _rounded(float(errors.rms[k]))}
            for k in sorted(order[:MOST_OUTPUTS])
        ]  # fmt: skip
    return {"of": of, **_figures(error.output_error), "outputs": errors.columns, "each": each}


def _decisions(error: Fidelity) -> dict[str, Any] | None:
    tally = error.decisions
    if tally is None or error.targets is not None:
        return None
    agreement = _rounded(tally.agreement)
    return {"rule": tally.rule, "agree": tally.agree, "of": tally.of, "agreement": agreement}


def _labels(error: Fidelity) -> dict[str, Any] | None:
    tally, targets = error.decisions, error.targets
    if targets is not None and targets.count:
        return {
            "measure": "mean squared error", "of": targets.count,
            "float": _rounded(targets.float_squares / targets.count),
            "fixed": _rounded(targets.fixed_squares / targets.count),
        }  # fmt: skip
    if tally is None or not tally.labels:
        return None
    return {
        "measure": "accuracy", "of": tally.labels,
        "float": _rounded(tally.float_right / tally.labels),
        "fixed": _rounded(tally.fixed_right / tally.labels),
    }  # fmt: skip


def _tensor(one: TensorError) -> dict[str, Any]:
    return {
        "name": one.name, "type": str(one.type), **_figures(one.errors),
        "values": one.errors.count,
        "histogram": None if one.histogram is None else histogram_row(one.histogram),
    }  # fmt: skip


def histogram_row(found: Histogram) -> dict[str, Any]:
    """``lo`` and ``hi`` of the type, ``counts`` between them, ``below``, ``above``, ``peak``."""
    lo, hi = found.ends
    return {
        "lo": lo, "hi": hi, "counts": [int(count) for count in found.counts],
        "below": found.below, "above": found.above, "peak": _rounded(found.peak),
    }  # fmt: skip


def _saturation(one: Saturation) -> dict[str, Any]:
    return {
        "name": one.name, "kind": str(one.kind), "count": one.count, "of": one.of,
        "first_step": one.first_step,
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def error_lines(section: dict[str, Any]) -> list[str]:
    """The block at the end of a compile."""
    worst = {row["name"]: row for row in section["tensors"]}
    lines = [f"error against the float network, on {frames_text(section['frames'])}:"]
    lines.append(f"  outputs: {output_text(section)}")
    lines += [f"  {text}" for text in (decisions_text(section), labels_text(section)) if text]
    costs = ", ".join(
        f"{name} {percent(worst[name]['relative_error'], 2)}" for name in section["worst"]
    )
    if costs:
        lines.append(f"  tensors that cost most: {costs} ({section['measure']})")
    return lines + [f"  {line}" for line in clipped_lines(section)]


def frames_text(frames: dict[str, Any]) -> str:
    """``calibration frames: 64 of 500 sequences, 20,000 of 150,000 steps``."""
    sequences = _part(frames["sequences"], frames["of_sequences"], "sequence")
    steps = _part(frames["steps"], frames["of_steps"], "step")
    return f"{frames['source']}: {sequences}, {steps}"


def _part(count: int, of: int, noun: str) -> str:
    return plural(count, noun) if count == of else f"{number(count)} of {plural(of, noun)}"


def output_text(section: dict[str, Any]) -> str:
    """The error of all outputs in a line."""
    row = section["output"]
    of = "" if row["of"] == "y" else f" of {row['of']}"
    return (
        f"largest error{of} {significant(row['max_abs_error'], 3)}, RMS "
        f"{significant(row['rms_error'], 3)}, which is {percent(row['relative_error'], 2)} of the "
        f"float RMS"
    )


def decisions_text(section: dict[str, Any]) -> str:
    """How many decisions agree; empty where nothing is decided."""
    row = section["decisions"]
    if row is None:
        return ""
    return (
        f"decisions ({row['rule']}): {number(row['agree'])} of {number(row['of'])} agree, "
        f"{percent(row['agreement'], 2)}"
    )


def labels_text(section: dict[str, Any]) -> str:
    """Accuracy or loss, float beside fixed point; empty without labels."""
    row = section["labels"]
    if row is None:
        return ""
    show = percent if row["measure"] == "accuracy" else significant
    return (
        f"{row['measure']} on {number(row['of'])} labels: float {show(row['float'])}, "
        f"fixed point {show(row['fixed'])}"
    )


def clipped_lines(section: dict[str, Any]) -> list[str]:
    """What was out of range, tensor by tensor; tables' inputs in one line."""
    rows = [row for row in section["saturations"] if row["count"]]
    lost = [row for row in rows if row["kind"] != Kind.TABLE]
    at_tables = [row for row in rows if row["kind"] == Kind.TABLE]
    lines = [f"out of range and cut off: {saturation_text(row)}" for row in lost]
    if not lost:
        lines = [f"out of range: none of {number(section['clipped']['of'])} values"]
    if at_tables:
        count, of = (sum(row[key] for row in at_tables) for key in ("count", "of"))
        lines.append(
            "at the ends of the tables of sigma and tanh, which are flat there: "
            f"{number(count)} of {number(of)} inputs"
        )
    return lines


def saturation_text(row: dict[str, Any]) -> str:
    """``l0.c: 12 of 480 values, first at step 7``."""
    since = "" if row["first_step"] is None else f", first at step {row['first_step']}"
    return f"{row['name']}: {number(row['count'])} of {number(row['of'])} values{since}"
