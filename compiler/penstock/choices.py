"""What the user says of a network beside hardware and precision, and the files it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from penstock.option import Option


@dataclass(frozen=True)
class Choices:
    """What a checkpoint does not say itself, or what is chosen in it.

    key: which of the dictionaries in the file; only: the prefixes of what is read; head: where a
    Linear head runs; head_activation: what follows it.
    """

    key: Annotated[
        str | None, Option("Which dictionary of a checkpoint holds the network.", metavar="NAME")
    ] = None
    only: Annotated[
        tuple[str, ...], Option("Only the tensors under it; may be repeated.", metavar="PREFIX")
    ] = ()
    head: Annotated[
        str | None,
        Option("Where a Linear head runs: step, last or final.", choices=("step", "last", "final")),
    ] = None
    head_activation: Annotated[
        str | None,
        Option("What follows the head: none, sigmoid or argmax.",
               choices=("none", "sigmoid", "argmax")),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class Reading(Choices):
    """The same, with what its arrays and outputs mean."""

    time_first: Annotated[
        bool, Option("Arrays are (steps, sequences, inputs), PyTorch's default.")
    ] = False
    regression: Annotated[bool, Option("The outputs are quantities, no scores that decide.")] = (
        False
    )


@dataclass(frozen=True)
class Network(Reading):
    """The same for a compile."""

    strict: Annotated[bool, Option("Refuse to write what the comparison warns of.")] = False


@dataclass(frozen=True)
class Ends:
    """What a compile reads and what it writes."""

    model: Annotated[
        Path | None,
        Option("A checkpoint of any suffix, an .onnx or .pt2 file.", "MODEL"),
    ] = None
    output: Annotated[
        Path | None, Option("Project folder to write.", "-o --output", metavar="DIR")
    ] = None


@dataclass(frozen=True)
class Frames:
    """What places the binary points, and what the error is measured on."""

    calibration: Annotated[
        Path | None,
        Option(
            ".npy of typical frames: real numbers, (steps, inputs) or (sequences, ...).",
            metavar="FILE.npy",
        ),
    ] = None
    calibration_lengths: Annotated[
        Path | None,
        Option(".npy of each calibration sequence's number of steps.", metavar="FILE.npy"),
    ] = None
    calibration_state: Annotated[
        Path | None,
        Option(
            ".npz with the states in which they begin: h_0 and c_0, or by name.",
            metavar="FILE.npz",
        ),
    ] = None
    validate: Annotated[
        Path | None,
        Option(
            "Compare with the float network on x, of lengths, against y (labels or targets).",
            metavar="FILE.npz",
        ),
    ] = None


@dataclass(frozen=True)
class Files(Frames, Ends):
    """The files of a compile."""
