"""The machine description, between the schedule and every back end."""

from penstock.machine.machine import Machine, describe

__all__ = ["Machine", "describe"]
