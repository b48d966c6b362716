"""Layers become operations: where floats end and integers begin."""

from penstock.layers.network import lower

__all__ = ["lower"]
