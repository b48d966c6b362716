"""Compile every case of a corpus with the Penstock on PYTHONPATH, in one process.

    python compile_corpus.py ROOT CORPUS OUTPUT [CASE ...]

Runs under old revisions too, so it uses the public API only. ROOT: the source tree whose Penstock
must be the one imported. A case that can't be compiled leaves its error in ERROR.txt.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np

import penstock
from penstock import Fixed, Hardware, HeadOptions, Precision
from penstock.frontend import from_state_dict, read_checkpoint

RENAMED = (("raw_distance", "hazard_distance"), ("cell_units", "elements_per_cycle"))
"""Names of one setting: before, after."""


def arguments(kind, given):
    """``given`` by the names that ``kind``, a dataclass of any revision, has for it."""
    known = {field.name for field in dataclasses.fields(kind)}
    found = {}
    for name, value in given.items():
        others = [other for pair in RENAMED if name in pair for other in pair if other in known]
        found[name if name in known or not others else others[0]] = _value(value)
    return kind(**found)


def _value(value):
    if not isinstance(value, dict):
        return value
    if set(value) == {"fixed"}:
        return Fixed(*value["fixed"])
    return {name: _value(part) for name, part in value.items()}


def compile_case(folder, case, output):
    """Write the case's project to ``output``."""
    if case["command"] is not None:
        command = [
            sys.executable,
            "-m",
            "penstock",
            "compile",
            folder / case["checkpoints"][0],
            "-o",
            output,
            "--calibration",
            folder / case["calibration"],
            *case["command"],
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return
    hardware = arguments(Hardware, case["hardware"])
    precision = arguments(Precision, case["precision"]) if case["precision"] else None
    head = arguments(HeadOptions, case["head"]) if case["head"] else None
    frames = None if case["calibration"] is None else np.load(folder / case["calibration"])
    paths = [folder / name for name in case["checkpoints"]]
    if case["live"] is not None:
        compiled = penstock.compile(_live(case["live"], paths[0]), frames, hardware, precision)
    elif len(paths) == 1:
        compiled = penstock.compile_checkpoint(paths[0], frames, hardware, precision, head)
    else:
        compiled = penstock.compile(_joined(paths, head), frames, hardware, precision)
    compiled.write(output)


def _live(sizes, path):
    import torch

    import penstock.nn

    module = penstock.nn.LSTM(**sizes)
    saved = {
        name.removeprefix("lstm."): torch.from_numpy(np.asarray(value, np.float32))
        for name, value in read_checkpoint(path).items()
    }
    module.load_state_dict(module.state_dict() | saved)
    return module


def _joined(paths, head):
    """The layers of several state dicts, one after the other, and the head of the last."""
    models = [
        from_state_dict(read_checkpoint(path), path.name, head if path == paths[-1] else None)
        for path in paths
    ]
    if hasattr(models[-1], "layers"):  # a revision before networks were graphs of layers
        layers = [layer for model in models for layer in model.layers]
        return dataclasses.replace(models[-1], layers=layers)
    from penstock.model import stack

    layers = []
    head, at = None, "step"
    for place in (place for model in models for place in model.places):
        if place.name == "head":
            head = place.layer
        elif place.is_pool:
            at = "last" if place.layer.how == "last" and at != "final" else "final"
        elif place.is_backward:
            layers[-1] += (place.layer,)
        else:
            layers.append((place.layer,))
    last = models[-1]
    return stack(layers, head, at, last.name, last.batch_first, last.notes)


def main():
    """Exit status 0 whatever the cases do; ERROR.txt tells."""
    root, corpus, output = map(Path, sys.argv[1:4])
    imported = Path(penstock.__file__).resolve()
    assert imported.is_relative_to(root.resolve()), f"{imported} is not below {root}"
    for folder in sorted(corpus.iterdir()):
        if sys.argv[4:] and folder.name not in sys.argv[4:]:
            continue
        target = output / folder.name
        try:
            compile_case(folder, json.loads((folder / "case.json").read_text()), target)
        except Exception as error:
            traceback.print_exc()
            target.mkdir(parents=True, exist_ok=True)
            (target / "ERROR.txt").write_text(f"{type(error).__name__}: {error}\n")


if __name__ == "__main__":
    main()
