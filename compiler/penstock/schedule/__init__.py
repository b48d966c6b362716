"""Decide what runs where: rows to PEs, entries to words, nodes to phases."""

from penstock.schedule.partition import PhaseNodes
from penstock.schedule.plan import Product, Schedule, schedule

__all__ = ["PhaseNodes", "Product", "Schedule", "schedule"]
