"""Vitis HLS C++: reads the machine description; templates in templates/hls."""

from penstock.codegen.hls.kernel import emit_kernel
from penstock.codegen.hls.project_files import emit_project_files

__all__ = ["emit_kernel", "emit_project_files"]
