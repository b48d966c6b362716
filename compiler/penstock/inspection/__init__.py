"""What a file or a project holds, and what the compiler says of it."""

from penstock.inspection.file import Choices, inspect_file
from penstock.inspection.project import inspect_project
from penstock.inspection.values import Inspection, MatrixRow, Outcome, Part, Refusal

__all__ = [
    "Choices", "Inspection", "MatrixRow", "Outcome", "Part", "Refusal", "inspect_file",
    "inspect_project",
]  # fmt: skip
