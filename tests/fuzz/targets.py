"""What the loader fuzzer damages: files, how they are read, and what a success must give."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mutate
import mutate_programs
import numpy as np
import programs
import torch
from safetensors.numpy import save
from support import random_model

from penstock import Hardware, Precision, compile_checkpoint
from penstock import compile as compile_any
from penstock.arrays import read_array, read_arrays
from penstock.calibration import calibrate
from penstock.cli.compress import read_densities
from penstock.compress.dataset import load_dataset, make_dataset
from penstock.compress.recipe import Recipe, run_recipe
from penstock.compress.saved import KEY, load_formats, metadata_of
from penstock.driver import compile_model
from penstock.frontend import read_checkpoint
from penstock.frontend.checkpoint import STORED
from penstock_runtime import Interpreter

INPUTS, CELLS = 3, 4
HARDWARE = Hardware(pes=1)
QUICK = Recipe(dense_epochs=1, prune_epochs=1, qat_epochs=1, pes=1, density=0.5, batch=16,
               weight_bits=6, row_scales=True)  # fmt: skip


@dataclass
class Target:
    """files: whole; mutators: of those that are damaged, one in a case; load: folder -> a result
    that can be compared; is_right: may this other result be?"""

    name: str
    files: dict[str, bytes]
    mutators: dict[str, mutate.Mutator]
    load: Callable[[Path], Any]
    is_right: Callable[[Path, Any], bool] = lambda folder, found: False
    wanted: Any = field(default=None)


class Net(torch.nn.Module):
    """The smallest classifier."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUTS, CELLS, batch_first=True)
        self.head = torch.nn.Linear(CELLS, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def all_targets(folder: Path) -> list[Target]:
    """With what each gives while it is whole."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    targets = [
        safetensors_target(), torch_target(), *recipe_targets(folder / "recipe"),
        densities_target(), *array_targets(folder / "frames"), dataset_target(),
        project_target(folder / "project"), *program_targets(),
    ]  # fmt: skip
    for number, target in enumerate(targets):
        place = folder / f"whole{number}"
        for name, content in target.files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        target.wanted = target.load(place)
    return targets


def _comparable(tensors: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Bits, so that -0.0 differs from 0.0 and NaN equals itself."""
    return {
        name: (value.shape, value.astype(np.float64).tobytes()) for name, value in tensors.items()
    }


def _compiled(path: Path) -> Any:
    """What is read of a checkpoint; compiling it must not crash either."""
    tensors = read_checkpoint(path)
    compile_any(tensors, None, HARDWARE, Precision(table_entries=64))
    return _comparable(tensors)


def safetensors_target() -> Target:
    tensors = {name: value.numpy() for name, value in Net().state_dict().items()}
    return Target(
        "checkpoint.safetensors", {"m.safetensors": save(tensors)},
        {"m.safetensors": mutate.of_safetensors},
        lambda folder: _compiled(folder / "m.safetensors"),
        lambda folder, found: found == _comparable(_read_safetensors(folder / "m.safetensors")),
    )  # fmt: skip


def _read_safetensors(path: Path) -> dict[str, Any]:
    header, data = mutate.split_safetensors(path.read_bytes())
    found = {}
    for name, entry in json.loads(header).items():
        if name == "__metadata__":
            continue
        start, stop = entry["data_offsets"]
        values = np.frombuffer(data[start:stop], STORED[entry["dtype"]])
        if entry["dtype"] == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        found[name] = values.reshape(entry["shape"])
    return found


def torch_target() -> Target:
    buffer = io.BytesIO()
    torch.save({"state_dict": Net().state_dict(), "epoch": 3}, buffer)
    return Target(
        "checkpoint.pt", {"m.pt": buffer.getvalue()}, {"m.pt": mutate.of_zip(mutate.of_bytes)},
        lambda folder: _compiled(folder / "m.pt"),
        lambda folder, found: found == _comparable(_read_torch(folder / "m.pt")),
    )  # fmt: skip


def _read_torch(path: Path) -> dict[str, Any]:
    content = torch.load(path, weights_only=True)
    nested = [value for value in content.values() if isinstance(value, dict)]
    state = nested[0] if nested else content  # whatever its key has become
    return {str(name): value.double().numpy() for name, value in state.items()}


def _data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(48, 4, INPUTS)).astype(np.float32)
    y = (x[:, :, 0].sum(axis=1) > 0).astype(np.int64)
    return {"x_train": x[:32], "y_train": y[:32], "x_valid": x[32:], "y_valid": y[32:]}


def recipe_targets(folder: Path) -> list[Target]:
    """Formats with their tensors, the same signed anew, and a progress folder."""
    folder.mkdir()
    data = make_dataset(_data(), "classification", "here")
    output = "m.safetensors"
    run_recipe(Net, data, QUICK, folder / output)
    checkpoint = (folder / output).read_bytes()
    progress = f"{output}.progress"
    stages = {
        f"{progress}/{path.name}": path.read_bytes() for path in (folder / progress).iterdir()
    }

    def compiled(place: Path) -> Any:
        files = compile_checkpoint(place / output, hardware=HARDWARE).files
        return files["graph.json"], files["graph.safetensors"]

    def resumed(place: Path) -> bytes:
        run_recipe(Net, data, QUICK, place / output)
        return (place / output).read_bytes()

    text = mutate.of_metadata(KEY, mutate.of_json_text)
    spoiled = mutate.of_zip(mutate.of_bytes)
    return [
        Target("formats", {output: checkpoint},
               {output: mutate.either(text, text, text, mutate.of_safetensors, mutate.reordered,
                                      mutate.without_metadata)}, compiled,
               lambda place, found: load_formats(place / output) is None),
        Target("formats, signed", {output: checkpoint}, {output: _signed}, compiled,
               lambda place, found: True),
        Target("progress", stages,
               {name: spoiled if name.endswith(".pt") else mutate.of_bytes for name in stages},
               resumed),
    ]  # fmt: skip


def _signed(rng: random.Random, content: bytes) -> bytes:
    """Damaged formats under a digest that fits."""
    header, data = mutate.split_safetensors(content)
    fields = json.loads(header)
    formats = json.loads(fields["__metadata__"][KEY])["formats"]
    text = mutate.of_json_text(rng, json.dumps(formats).encode()).decode(errors="replace")
    fields["__metadata__"][KEY] = metadata_of(text, content)
    return mutate.join_safetensors(json.dumps(fields).encode(), data)


def densities_target() -> Target:
    content = b'{"rows": [[0.5, 1]], "densities": {"lstm.weight_ih_l0": 0.25, "head.weight": 1}}'
    return Target(
        "densities", {"d.json": content}, {"d.json": mutate.of_json_text},
        lambda folder: read_densities(folder / "d.json"),
        lambda folder, found: found == json.loads((folder / "d.json").read_bytes())["densities"],
    )  # fmt: skip


def array_targets(folder: Path) -> list[Target]:
    """Frames in .npy and .npz, for calibration and for a run; a state in .npz."""
    model = random_model(inputs=INPUTS, cells=(CELLS,), pes=1)
    interpreter = Interpreter(compile_model(model, None, HARDWARE).write(folder))
    buffers = {name: io.BytesIO() for name in ("f.npy", "f.npz", "s.npz")}
    frames = np.random.default_rng(0).normal(size=(8, INPUTS))
    np.save(buffers["f.npy"], frames)
    np.savez_compressed(buffers["f.npz"], frames=frames)
    zeros = np.zeros((1, 1, CELLS))
    np.savez(buffers["s.npz"], h_0=zeros, c_0=zeros)
    files = {name: buffer.getvalue() for name, buffer in buffers.items()}

    def used(path: Path) -> Any:
        found = read_array(path)
        calibrate(model, found, "frames")
        interpreter.run(found)
        return found.dtype, found.shape, found.tobytes()

    def is_right(path: Path, found: Any) -> bool:
        loaded = np.load(path)
        loaded = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
        return bool(found == (loaded.dtype, loaded.shape, loaded.tobytes()))

    def begun(place: Path) -> Any:
        state = interpreter.state_from_arrays(read_arrays(place / "s.npz"), "state")
        return interpreter.run(frames, state=state).raw.tobytes()

    def begins_there(place: Path, found: Any) -> bool:
        loaded = np.load(place / "s.npz")
        state = (loaded["h_0"], loaded["c_0"])
        return bool(interpreter.run(frames, state=state).raw.tobytes() == found)

    mutators = {"f.npy": mutate.of_npy, "f.npz": mutate.of_zip(mutate.of_npy)}
    return [
        Target(f"frames{name[1:]}", {name: files[name]}, {name: mutators[name]},
               lambda place, name=name: used(place / name),
               lambda place, found, name=name: is_right(place / name, found))
        for name in mutators
    ] + [
        Target("state.npz", {"s.npz": files["s.npz"]}, {"s.npz": mutate.of_zip(mutate.of_npy)},
               begun, begins_there),
    ]  # fmt: skip


def dataset_target() -> Target:
    buffer = io.BytesIO()
    np.savez(buffer, **_data(), lengths_train=np.full(32, 4))

    def loaded(folder: Path) -> Any:
        data = load_dataset(folder / "d.npz", "classification")
        return [
            (array.shape, array.tobytes())
            for split in (data.train, data.valid)
            for array in (split.x, split.y, split.lengths)
        ]

    def is_right(folder: Path, found: Any) -> bool:
        plain = dict(np.load(folder / "d.npz").items())
        wanted = make_dataset(plain, "classification", "here")
        return bool(
            found[0][1] == wanted.train.x.tobytes() and found[4][1] == wanted.valid.y.tobytes()
        )

    return Target("dataset.npz", {"d.npz": buffer.getvalue()},
                  {"d.npz": mutate.of_zip(mutate.of_npy)}, loaded, is_right)  # fmt: skip


def program_targets() -> list[Target]:
    """Saved programs: two of ONNX, and one of torch.export."""
    return [
        Target(f"{name}.onnx", {"m.onnx": content}, {"m.onnx": mutate_programs.of_onnx},
               programs.load_onnx, programs.is_right_onnx)
        for name, content in programs.onnx_files().items()
    ] + [
        Target("program.pt2", {"m.pt2": programs.pt2_file()},
               {"m.pt2": mutate_programs.of_pt2}, programs.load_pt2, programs.is_right_pt2),
    ]  # fmt: skip


def project_target(folder: Path) -> Target:
    """All that a run reads and a digest covers."""
    model = random_model(inputs=INPUTS, cells=(CELLS,), head=2, pes=1)
    compile_model(model, None, HARDWARE).write(folder)
    frames = np.random.default_rng(0).normal(size=(5, INPUTS))
    mutators = {
        "graph.json": mutate.of_json_text, "graph.safetensors": mutate.of_safetensors,
        "weights/words.bin": mutate.of_bytes, "weights/parameters.bin": mutate.of_bytes,
    }  # fmt: skip
    names = [*mutators, "weights/manifest.json", "penstock.json"]
    files = {name: (folder / name).read_bytes() for name in names}
    return Target("project", files, mutators,
                  lambda place: Interpreter(place).run(frames).raw.tobytes())  # fmt: skip
