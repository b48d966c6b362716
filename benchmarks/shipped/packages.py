"""The packages: fetched as files, unpacked, never installed and never imported."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from penstock import PenstockError

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
NUMPY = {"_reconstruct": np.zeros(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}


def fetched(cache: Path) -> Path:
    """The folder with everything that the wheels hold. What is there is not fetched again."""
    unpacked = cache / "unpacked"
    if unpacked.is_dir():
        return unpacked
    wheels, part = cache / "wheels", cache / "unpacked.part"
    command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary",
               ":all:", "--require-hashes", "-r", str(REQUIREMENTS), "-d", str(wheels)]  # fmt: skip
    if subprocess.run(command).returncode:
        raise PenstockError(
            "the packages can't be fetched", str(REQUIREMENTS), "is a package index within reach?"
        )
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as file:
            file.extractall(part)
    return part.rename(unpacked)


class _Arrays(pickle.Unpickler):
    """Dictionaries, lists, strings, numbers and NumPy arrays; nothing else is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        """What rebuilds an array."""
        if module.split(".")[0] == "numpy" and name in NUMPY:
            return NUMPY[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no array")


def unpickled(path: Path) -> Any:
    """Plain values of a pickle, without running anything that it names. Raises PenstockError."""
    try:
        with path.open("rb") as file:
            return _Arrays(file).load()
    except (OSError, pickle.UnpicklingError) as error:
        raise PenstockError(f"it can't be read: {error}", str(path), "fetch it again") from error
