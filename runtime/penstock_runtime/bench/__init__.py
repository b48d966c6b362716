"""A project's performance table: what is planned, what this machine takes, what ESE published."""

from penstock_runtime.bench.planned import Planned, planned_rows
from penstock_runtime.bench.table import Measuring, performance

__all__ = ["Measuring", "Planned", "performance", "planned_rows"]
