"""What bounds the interpreter: bytes of weights and products, against what the processor can.

    python benchmarks/performance/bounds.py

peak.cpp measures the processor. The rows go into results/bounds.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from children import save
from interpreter import BATCHES, ROUNDS, batch
from networks import ESE, project

NAME = "bounds"


def processor(scratch: Path) -> dict[str, float]:
    """Gigabytes a second copied and read again, billions of products a second; of one core."""
    program = scratch / "peak"
    source = Path(__file__).with_name("peak.cpp")
    flags = ["-O3", "-march=native", "-std=c++17"]
    subprocess.run(["g++", *flags, str(source), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def work(folder: Path, lanes: int) -> dict[str, float]:
    """Of a step of so many sequences: bytes of the packed weights that it reads, and products."""
    from penstock_runtime import load_project
    from penstock_runtime.engines.native import NativeEngine

    graph = load_project(folder).graph
    executable = NativeEngine(threads=1).prepare(graph)
    nonzeros = sum(
        graph[name].tensor.constant.count
        for node in graph.of_kind("matvec")
        for name in node.inputs[1::2]
    )
    return {"megabytes": executable.weight_bytes(lanes) / 1e6, "products": nonzeros * lanes}


def rows(scratch: Path) -> list[dict[str, Any]]:
    """A row for each batch of ESE's layer, on one core."""
    folder, peaks = project(ESE, scratch), processor(scratch)
    found = []
    for lanes in BATCHES:
        took = batch(ESE, folder, lanes, 1, ROUNDS, has_peers=False)
        found.append({"sequences": lanes, **took, **work(folder, lanes), **peaks})
        print(json.dumps(found[-1]), flush=True)
    return found


def main() -> int:
    """Measure, print and keep."""
    with tempfile.TemporaryDirectory() as scratch:
        save(NAME, rows(Path(scratch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
