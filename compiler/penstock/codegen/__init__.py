"""Graph and schedule -> the files of an HLS project."""

from penstock.codegen.hls import emit_kernel

__all__ = ["emit_kernel"]
