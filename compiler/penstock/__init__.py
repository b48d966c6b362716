"""Penstock: trained, pruned LSTMs -> sparse FPGA accelerators, proven bit-true."""

__version__ = "0.1.0.dev0"
