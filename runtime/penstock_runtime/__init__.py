"""Runs compiled projects: bit-true interpreter, C simulation, the check of one by the other."""

from penstock_runtime.interpreter import Interpreter, RunResult
from penstock_runtime.project import Project, load_project

__all__ = ["Interpreter", "Project", "RunResult", "load_project"]
