"""A C++ compiler that remembers: the same sources and flags are compiled once.

The audit builds the same kernels for most faults. This stands in for ``CXX``; it keeps what g++
made under a digest of its arguments and of every file that it could have read, and gives it again.

    MUTANTS_CXX=g++ MUTANTS_OBJECTS=FOLDER cached_cxx.py ARGUMENTS OF g++
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

READ = (".h", ".hpp", ".cpp", ".inc", ".o")
SYSTEM = "ap_types"
"""AMD's headers: they do not change, so the name of their folder is enough."""


def main() -> int:
    """Run the compiler, or take what it gave before; its exit status."""
    arguments = sys.argv[1:]
    output = _after(arguments, "-o")
    command = [os.environ["MUTANTS_CXX"], *arguments]
    if output is None:
        return subprocess.run(command).returncode
    kept = Path(os.environ["MUTANTS_OBJECTS"]) / _digest(arguments, output)
    if not kept.is_dir():
        done = subprocess.run(command, stderr=subprocess.PIPE)
        sys.stderr.buffer.write(done.stderr)
        if done.returncode == 0:
            _keep(kept, Path(output), done.stderr)
        return done.returncode
    shutil.copy(kept / "made", output)
    sys.stderr.buffer.write((kept / "stderr").read_bytes())
    return 0


def _keep(kept: Path, made: Path, stderr: bytes) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=kept.parent))
    shutil.copy(made, aside / "made")
    (aside / "stderr").write_bytes(stderr)
    try:
        aside.rename(kept)
    except OSError:  # another was faster
        shutil.rmtree(aside)


def _after(arguments: list[str], flag: str) -> str | None:
    return arguments[arguments.index(flag) + 1] if flag in arguments[:-1] else None


def _digest(arguments: list[str], output: str) -> str:
    """Of the arguments, without where things lie, and of all that could be read."""
    digest = hashlib.sha256()
    for argument in arguments:
        path = Path(argument.removeprefix("-I"))
        if argument == output:
            continue
        if not path.exists():
            digest.update(argument.encode() + b"\0")
        elif path.is_file():
            digest.update(path.name.encode() + b"\0")
            digest.update(path.read_bytes() if path.suffix == ".o" else _of_folder(path.parent))
        else:
            digest.update(SYSTEM.encode() if path.name == SYSTEM else _of_folder(path))
    return digest.hexdigest()


def _of_folder(folder: Path) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in READ[:-1] and path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.digest()


if __name__ == "__main__":
    sys.exit(main())
