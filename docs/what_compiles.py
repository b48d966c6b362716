"""What compiles, what does not, and why: docs/what-compiles.md, from the tables that decide.

``python docs/what_compiles.py --write`` writes it; without the option it is printed.
"""

# ruff: noqa: E501
from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from penstock.frontend.follow import (  # noqa: F401 - they add their rules
    aten,
    aten_rules,
    onnx_cells,
    onnx_evaluate,
    onnx_file,
    onnx_layers,
    onnx_nodes,
)
from penstock.layers import CELLS, LAYERS
from penstock.layers.head import ACTIVATIONS
from penstock.layers.pool import POOLS

PAGE = Path(__file__).with_name("what-compiles.md")
TEXT = """# What compiles, what does not, and why

Printed by `python docs/what_compiles.py --write` from the tables that the compiler itself goes by; a test
holds this page to them.

A live module is traced with `torch.export`, an `.onnx` or `.pt2` file is read; either way every operation is
followed on labels (`penstock/frontend/follow`), and the network that comes out is compared with the original in
numbers. A state dict says nothing of `forward`: what is assumed of it is printed, and what nothing decides is
an error that lists the choices.

## Layers that the hardware has

{layers}

Recurrent layers: {cells}; forward, backward or both, in stacks of any sizes; LSTM with projection and, as
`penstock.nn.LSTM` or ONNX has them, peepholes; GRU with either convention of its reset gate. A loop over
`LSTMCell`, `GRUCell` or `RNNCell` that takes one frame a step is one of them, too.
Pools over time: {pools}. What may end a network: {activations}; a softmax is left to the host, with a note.

Additions, scales and selections of elements become part of the matrices beside them, or a sparse matrix of
their own. BatchNorm (in evaluation) is folded, Dropout gone, an embedding is looked up on the host.

## Operations of torch (live modules, `.pt2`)

Computed:
{aten_rules}

Followed as movements of elements, at no cost unless they cut a vector in pieces:
{aten_moves}

Refused with a reason of their own; whatever stands nowhere here is refused by its name:

{aten_why}

## Operations of ONNX

Computed:
{onnx_rules}

Followed as movements of elements:
{onnx_moves}

Folded where all operands are constant:
{onnx_constants}

Refused with a reason of their own:

{onnx_why}

## Whatever the operation

| what the model does | why it is refused |
|---|---|
| combines elements of several steps (a convolution over time, `flatten(1)` of a sequence, attention) | a step of the network sees its own frame and the state |
| combines elements of several sequences (batch statistics) | sequences are independent |
| takes a step in the middle of the sequence | only the first and the last can be kept |
| uses a value of the whole sequence at every step | it is known only after the last |
| gives some results at every step and some once | one port carries one kind |
| gives its steps in another order than they came | results leave in the order of the frames |
| decides by the values of its input | the hardware does the same for all |
| starts from a state that the network computes, or that is trained | a state comes from outside, or is zero |
| does different things for other numbers of steps | the number of steps is free |
"""


def wrapped(names: Iterable[str]) -> str:
    """Names, side by side."""
    text = ", ".join(f"`{name}`" for name in sorted(names))
    return textwrap.fill(text, 112, break_long_words=False, break_on_hyphens=False)


def table(reasons: dict[str, str]) -> str:
    """Names and why not."""
    rows = [f"| `{name}` | {why} |" for name, why in sorted(reasons.items())]
    return "\n".join(["| operation | why |", "|---|---|", *rows])


def layers() -> str:
    """Kinds and the first line of what each says of itself."""
    rows = []
    for layer in LAYERS:
        first = " ".join((layer.__doc__ or "").split("\n\n")[0].split()).rstrip(".;")
        rows.append(f"| {layer.kind} | {first.replace('|', '/')} |")
    return "\n".join(["| kind | what it computes |", "|---|---|", *rows])


def page() -> str:
    """The page as it must be."""
    loops = dict.fromkeys(onnx_file.LOOPS, "a graph within the graph is not followed")
    return TEXT.format(
        layers=layers(), cells=", ".join(cell.torch.module for cell in CELLS),
        pools=", ".join(POOLS), activations=", ".join(ACTIVATIONS),
        aten_rules=wrapped(aten_rules.RULES), aten_moves=wrapped(aten.MOVES | aten.JOINS | aten.COPIES),
        aten_why=table(aten_rules.WHY_NOT), onnx_rules=wrapped(onnx_nodes.RULES),
        onnx_moves=wrapped(onnx_evaluate.MOVES), onnx_constants=wrapped(onnx_evaluate.ARITHMETIC),
        onnx_why=table(onnx_nodes.WHY_NOT | loops),
    )  # fmt: skip


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page())
