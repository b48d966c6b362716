"""Decide what runs where and when: cells and rows to PEs, entries to words, phases to cycles."""

from penstock.packing.validate import validate
from penstock.schedule.plan import Phase, Schedule, schedule

__all__ = ["Phase", "Schedule", "schedule", "validate"]
