"""A .pt2 file of torch.export -> the network that its program computes."""

from __future__ import annotations

import io
import json
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penstock.errors import UnreadableError
from penstock.fixed import FloatArray
from penstock.frontend.module import with_head_options
from penstock.frontend.state_dict import HeadOptions
from penstock.model import RecurrentModel

PROGRAM = "models/model.json"
SAVE = "save it with torch.export.save(torch.export.export(model, (x,)), path)"
OPERATIONS = ("torch.ops.aten.", "_operator.getitem", "torch.ops.profiler.")
"""What a program may call; anything else could run code."""
FORBIDDEN = ("torch.ops.aten.from_file", "torch.ops.aten.save")


def is_pt2(path: Path) -> bool:
    """True for an archive of torch.export, whatever its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(f"/{PROGRAM}") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return path.suffix.lower() == ".pt2"


def from_pt2(
    path: Path, head: HeadOptions | None = None, calibration: FloatArray | None = None,
    name: str | None = None,
) -> RecurrentModel:  # fmt: skip
    """Follow the program of a file, and compare the network with it in numbers.

    calibration: frames as the program takes them, to compare on; without, random ones. head: what
    follows a Linear layer at the end. No code in a file is ever run. Raises PenstockError for a
    missing or damaged file, and for what can't be compiled, by operation.
    """
    where = str(path)
    if find_spec("torch") is None:
        raise UnreadableError("reading a .pt2 file needs torch", where,
                              "pip install 'penstock[torch]'")  # fmt: skip
    content = _checked(path, where)
    from penstock.frontend.follow.saved_program import follow_saved

    model = follow_saved(content, where, calibration, name or path.stem)
    return model if head is None else with_head_options(model, head, where, "the program")


def from_program(
    program: Any, head: HeadOptions | None = None, calibration: FloatArray | None = None
) -> RecurrentModel:
    """The same of a ``torch.export.ExportedProgram``."""
    from penstock.frontend.follow.saved_program import follow_program

    where = type(program).__name__
    model = follow_program(program, where, calibration, "program")
    return model if head is None else with_head_options(model, head, where, "the program")


def _checked(path: Path, where: str) -> bytes:
    """The file, if nothing in it is a pickle, calls anything but ATen, or claims to be larger."""
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(record.file_size for record in archive.infolist()) > len(content):
                raise ValueError("records greater than the file")
            texts = {
                record.filename.split("/", 1)[-1]: archive.read(record)
                for record in archive.infolist()
                if record.filename.endswith(".json")
            }
        program = json.loads(texts[PROGRAM])
        for item in texts.values():
            _check_values(json.loads(item))
    except OSError as error:
        raise UnreadableError(
            f"the program can't be read: {error.strerror}", where, "check the path"
        ) from error
    except (ValueError, KeyError, RecursionError, zipfile.BadZipFile, RuntimeError,
            NotImplementedError) as error:  # fmt: skip
        raise UnreadableError(
            f"not a program of torch.export: {str(error)[:200] or 'damaged'}", where, SAVE
        ) from error
    for target in _targets(program):
        if not target.startswith(OPERATIONS) or target.startswith(FORBIDDEN):
            raise UnreadableError(
                f"the program calls {target[:80]!r}, which is no operation of a network",
                where,
                SAVE,
            )
    return content


def _check_values(value: Any) -> None:
    """Raise ValueError for what would be unpickled."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("use_pickle"):
                raise ValueError("it holds Python objects, which could run code")
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def _targets(program: Any) -> list[str]:
    """Of every node, in whatever sub-graph."""
    found, stack = [], [program]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "target" in item and "inputs" in item and "outputs" in item:
                found.append(str(item["target"]))
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    return found
