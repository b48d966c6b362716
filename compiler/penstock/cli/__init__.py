"""The command line: parse, call, print."""

from penstock.cli.main import main

__all__ = ["main"]
