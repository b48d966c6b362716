"""A compiled network in the formats of other tools: what is exported is what runs.

``to_state_dict``: the pruned, quantized weights under PyTorch's names. ``to_onnx``: the whole
network as an ONNX model whose results are the interpreter's. ``save``: either, by a file's suffix.
"""

from penstock.export.files import Saved, save, to_onnx
from penstock.export.network import Exportable
from penstock.export.state_dict import Tensors, to_state_dict

__all__ = ["Exportable", "Saved", "Tensors", "save", "to_onnx", "to_state_dict"]
