"""The vendor tool's reports, read back and held against the plan."""

from penstock.synthesis.compare import Comparison, compare
from penstock.synthesis.folders import AUTO, Reports, find_reports
from penstock.synthesis.plan import Plan, expected_loops, plan_of

__all__ = [
    "AUTO", "Comparison", "Plan", "Reports", "compare", "expected_loops", "find_reports", "plan_of",
]  # fmt: skip
