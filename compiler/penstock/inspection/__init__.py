"""What a file or a project holds, and what the compiler says of it."""

from penstock.inspection.file import inspect_file
from penstock.inspection.project import inspect_project
from penstock.inspection.values import Inspection, MatrixRow, Outcome, Refusal, Way

__all__ = [
    "Inspection", "MatrixRow", "Outcome", "Refusal", "Way", "inspect_file",
    "inspect_project",
]  # fmt: skip
