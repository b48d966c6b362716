"""What is found out of a point, as it is stored and sent: plain values, checked when read."""

from __future__ import annotations

from typing import Any

import msgspec

SCHEMA = 1
"""Of everything that is stored."""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why a point gives no hardware: the compiler's own words."""

    what: str
    where: str
    hint: str

    def line(self) -> str:
        """On one line."""
        return self.what


class Used(msgspec.Struct, frozen=True):
    """A resource of the device, as in report.json."""

    used: int
    total: int
    limit: int
    verdict: str

    @property
    def share(self) -> float:
        """Of what should be planned for; infinite where there is none."""
        return self.used / self.limit if self.limit else float("inf") if self.used else 0.0


class Figures(msgspec.Struct, frozen=True, tag="figures"):
    """What ``compile`` reports of a point's hardware.

    Settings that were left open are those that were chosen. stored_bits: of the weight files;
    is_estimate: by the outline of a schedule, not by a schedule.
    """

    part: str
    pes: int
    elements_per_cycle: int
    overlap: bool
    weight_storage: str
    dataflow: str
    cycles_per_step: int
    bound_per_step: int
    stall_cycles: int
    microseconds_per_step: float
    steps_per_second: float
    nonzeros: int
    stored_bits: int
    resources: dict[str, Used]
    ports_are_too_many: bool
    is_estimate: bool = False

    @property
    def verdict(self) -> str:
        """``fits``, ``unsure`` or ``does not fit``."""
        verdicts = {row.verdict for row in self.resources.values()}
        if self.ports_are_too_many or "does not fit" in verdicts:
            return "does not fit"
        return "unsure" if "unsure" in verdicts else "fits"

    @property
    def short_of(self) -> list[str]:
        """The resources that do not suffice."""
        found = [name for name, row in self.resources.items() if row.verdict == "does not fit"]
        return found + ["ports"] * self.ports_are_too_many

    @property
    def fullest(self) -> str:
        """The resource nearest to its limit."""
        return max(self.resources, key=lambda name: self.resources[name].share)

    @property
    def share(self) -> float:
        """Of it, the share of what should be planned for."""
        return self.resources[self.fullest].share

    @property
    def bits_per_nonzero(self) -> float | None:
        """Everything in the weight files, for each true non-zero."""
        return self.stored_bits / self.nonzeros if self.nonzeros else None


class Error(msgspec.Struct, frozen=True, tag="error"):
    """How far the integers are from the float network, as in report.json's ``error``.

    labels: measure, of, float, fixed: what the labels that were given say; or of a training.
    """

    relative_error: float | None
    max_abs_error: float | None
    rms_error: float | None
    agreement: float | None
    labels: dict[str, Any] | None
    frames: str

    @property
    def loss(self) -> float | None:
        """How much worse the labels' score is than the float network's, in its own unit."""
        if self.labels is None:
            return None
        more = float(self.labels["fixed"]) - float(self.labels["float"])
        return more if self.labels["measure"] == "mean squared error" else -more


class Training(msgspec.Struct, frozen=True, tag="training"):
    """A training. measure, dense, trained: the score on ``split``; density: reached."""

    measure: str
    split: str
    dense: float
    trained: float
    density: float
    sha256: str


Row = Refusal | Figures | Error | Training
"""What a key stands for."""
