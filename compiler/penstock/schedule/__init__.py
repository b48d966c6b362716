"""Decide what runs where and when: cells and rows to PEs, entries to words, phases to cycles."""

from penstock.schedule.plan import Phase, Schedule, schedule
from penstock.schedule.validate import validate

__all__ = ["Phase", "Schedule", "schedule", "validate"]
