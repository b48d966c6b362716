"""Build both distributions, sdist and wheel of it, and try them with each supported Python here.

    python tests/distributions/distributions.py build/wheel

In fresh environments for each Python: ``penstock`` compiles and runs, the same bytes everywhere;
``penstock-runtime`` alone runs what the first Python compiled, bit for bit. A Python that is not
here is named. Run by ``make wheel``; exit status 1 if anything differs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORTED = ((3, 11), (3, 12), (3, 13))
SOURCES = {"penstock": ROOT, "penstock_runtime": ROOT / "runtime"}


def pythons() -> dict[str, Path]:
    """Version -> interpreter, of those on PATH or installed by pyenv."""
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {}
    for major, minor in SUPPORTED:
        name = f"python{major}.{minor}"
        there = [sys.executable] if sys.version_info[:2] == (major, minor) else []
        there += sorted(map(str, installed.glob(f"{major}.{minor}.*/bin/{name}")))
        there += [path for path in [shutil.which(name)] if path]
        for path in there:
            asked = [path, "-c", "import ensurepip, sys; print(sys.version.split()[0])"]
            done = subprocess.run(asked, capture_output=True, text=True)
            if done.returncode == 0:
                found[done.stdout.strip()] = Path(path)
                break
        else:
            print(f"Python {major}.{minor} is not here: not tried")
    return found


def run(program: Path, *words: object) -> str:
    """What it prints; a failure ends this program with the words that failed."""
    done = subprocess.run(
        [program, *map(str, words)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"FAIL: {program} {' '.join(map(str, words))}\n{done.stdout}")
    return done.stdout.strip()


def build(target: Path) -> dict[str, Path]:
    """Distribution -> its wheel, made from its sdist."""
    for name, folder in SOURCES.items():
        run(Path(sys.executable), "-m", "build", "--outdir", target, folder)
        print(*(path.name for path in sorted(target.glob(f"{name}-*"))))
    return {name: next(target.glob(f"{name}-*.whl")) for name in SOURCES}


def environment(python: Path, folder: Path) -> Path:
    """The interpreter of a fresh one."""
    run(python, "-m", "venv", "--clear", folder)
    return folder / "bin/python"


def pip(python: Path, *words: object) -> None:
    """Without a word unless it fails."""
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words, "--no-compile")


def main(target: Path) -> None:
    """Everything. The compiled project and its results stay in ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    wheels = build(target)
    scripts, digests = Path(__file__).parent, set()
    for version, python in pythons().items():
        own = environment(python, target / f"compiler-{version}")
        pip(own, "install", wheels["penstock"])
        run(own.with_name("penstock"), "--version")
        (given := target / f"compiled-{version}").mkdir()
        digests.add(run(own, scripts / "compile_and_run.py", given))
        alone = environment(python, target / f"runtime-{version}")
        pip(alone, "install", wheels["penstock_runtime"])
        first = min(target.glob("compiled-*"))
        engines = run(alone, scripts / "run_alone.py", first)
        print(f"Python {version}: penstock compiles and runs, penstock-runtime runs ({engines})")
    if len(digests) != 1:
        sys.exit("FAIL: the same project differs from one Python to another")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
