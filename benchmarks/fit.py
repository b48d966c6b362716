"""What fits: ESE's layer on a large card, small networks on small boards; cycles and resources.

    python benchmarks/fit.py [--write]

Weights are random (seeded), pruned to 10 % density, balanced over the PEs, as in ``ese_layer``. All
figures are the compiler's own: cycles of the timeline, resources of the estimate. ``--write`` puts
the table into docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import ese_layer
from story import RESULTS, replace_section

from penstock import Compiled, Hardware, HeadOptions, compile_checkpoint
from penstock.machine.resources import Verdict
from penstock.report.resources import NAMES


@dataclass(frozen=True)
class Network:
    """Of one layer with a projection, and a head of so many classes, if any."""

    name: str
    inputs: int
    cells: int
    projection: int
    classes: int = 0
    at: str = "step"

    def checkpoint(self, folder: Path, pes: int) -> Path:
        """Its state dict as a file."""
        path = folder / f"{self.cells}_{pes}.safetensors"
        found = ese_layer.tensors(pes, self.inputs, self.cells, self.projection)
        if self.classes:
            generator = np.random.default_rng(ese_layer.SEED)
            shape = (self.classes, self.projection)
            found["head.weight"] = generator.normal(0, 0.1, shape).astype(np.float32)
            found["head.bias"] = np.zeros(self.classes, np.float32)
        save_file(found, path)
        return path

    def compiled(self, folder: Path, hardware: Hardware) -> Compiled:
        """Compiled for a device."""
        head = HeadOptions(at=self.at) if self.classes else None
        path = self.checkpoint(folder, hardware.pes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the error on synthetic frames
            return compile_checkpoint(path, None, hardware, head=head)


ESE = Network("ESE's layer", ese_layer.INPUTS, ese_layer.CELLS, ese_layer.PROJECTION)
DIGITS = Network("spoken digits", 39, 128, 64, 10, "last")
PHONES = Network("phones", 120, 256, 128, 40)
CASES = [
    *((ESE, {"pes": pes, "board": "u55c"}) for pes in (32, 64, 128, 256, 512)),
    (ESE, {"pes": 32, "lanes": 32, "part": "xcku060-ffva1156-2-e"}),
    *(
        (network, {"pes": pes, "board": board, "port_bits": bits})
        for network in (DIGITS, PHONES)
        for board, bits, counts in (("kv260", 128, (8, 16, 32)), ("pynq-z2", 64, (4, 8, 16)))
        for pes in counts
    ),
]
TITLES = ("network", "device", "PEs", "lanes", "cell units", "weights", "ports", "cycles",
          "cycles / bound", "BRAM18", "URAM", "LUT", "fits")  # fmt: skip


def verdict(report: dict) -> str:
    """yes; or what does not fit, or of what only synthesis can tell."""
    resources = report["resources"]
    by = {
        kind: [NAMES[name] for name, row in resources["totals"].items() if row["verdict"] == kind]
        for kind in (Verdict.DOES_NOT_FIT, Verdict.UNSURE)
    }
    too_much = by[Verdict.DOES_NOT_FIT] + ["ports"] * resources["ports"]["are_too_many"]
    if too_much:
        return f"no: {', '.join(too_much)}"
    return f"unsure: {', '.join(by[Verdict.UNSURE])}" if by[Verdict.UNSURE] else "yes"


def best(network: Network, folder: Path, options: dict) -> Compiled:
    """With the weights where the compiler puts them; on chip, where only then it fits or a step is
    shorter."""
    first = network.compiled(folder, Hardware(**options))
    if verdict(first.report) == "yes" and not first.report["timeline"]["stall_cycles"]:
        return first
    kept = network.compiled(folder, Hardware(**options, weight_storage="onchip"))
    return kept if verdict(kept.report) == "yes" else first


def row(network: Network, compiled: Compiled) -> tuple[str, ...]:
    """A line of the table."""
    machine, report = compiled.machine, compiled.report
    cycles, bound = machine.timeline.step, machine.order.bound_cycles
    totals = report["resources"]["totals"]

    def used(name: str) -> str:
        return f"{totals[name]['used']:,} of {totals[name]['total']:,}"

    return (
        network.name, machine.hardware.board or machine.hardware.device.name,
        str(machine.hardware.pes), str(machine.hardware.lanes), str(machine.hardware.cell_units),
        "on chip" if machine.on_chip else "streamed", str(len(machine.ports)), f"{cycles:,}",
        f"{cycles / bound:.3f}", used("bram18"), used("uram"), used("lut"), verdict(report),
    )  # fmt: skip


def rows() -> Iterator[tuple[str, ...]]:
    """All lines."""
    with tempfile.TemporaryDirectory() as scratch:
        for network, options in CASES:
            yield row(network, best(network, Path(scratch), options))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    options = parser.parse_args()
    lines = [f"| {' | '.join(TITLES)} |", f"|{'---|' * len(TITLES)}"]
    for cells in rows():
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines += [
        "",
        f"Printed by `make bench-fit` on {date.today()}, {machine}; seed {ese_layer.SEED}.",
    ]
    if options.write:
        replace_section(RESULTS, "fit", "\n".join(lines))


if __name__ == "__main__":
    main()
