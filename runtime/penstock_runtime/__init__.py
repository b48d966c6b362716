"""Runs compiled projects: bit-true interpreter, C simulation, the check of one by the other."""

from penstock_runtime.interpreter import Interpreter, RunResult
from penstock_runtime.project import Project, load_project
from penstock_runtime.session import Session

__all__ = ["Interpreter", "Project", "RunResult", "Session", "load_project"]
