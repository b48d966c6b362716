"""What happens to one planted fault: a copy of the tree, the tests, ``penstock check``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from planted import ROOT, Fault

HERE = Path(__file__).parent
OBJECTS = ROOT / "build/mutants/objects"
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
TESTS, CHECK, TIMEOUT, SURVIVES = "tests", "check", "timeout", "survives"
NO_TESTS = 5
"""What pytest exits with if it has run none."""


@dataclass(frozen=True)
class Outcome:
    """What became of a fault. by: ``tests``, ``check``, ``timeout`` or ``survives``.

    killer: the test, or the project that did not pass; check: whether ``penstock check`` finds it,
    None where the tests had found it already and nobody asked.
    """

    title: str
    old: str
    new: str
    by: str
    killer: str
    check: bool | None
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


class Tree:
    """A copy of the working tree in which faults are planted, one after the other."""

    def __init__(self, folder: Path, timeout: float) -> None:
        folder.mkdir()
        self.folder, self.timeout = folder / "tree", timeout
        self._scratch = folder
        self._job: subprocess.Popen[str] | None = None
        for name in _files():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        self._environment = _environment(self.folder, folder)
        self._sound: dict[str, bool] = {}
        self._check_imports()

    def audit(self, fault: Fault, with_check: bool = False) -> Outcome:
        """Plant the fault, look who finds it, and take it out again.

        with_check: run ``penstock check`` even if the tests have found it.
        """
        began = time.monotonic()
        path = self.folder / fault.file
        sound = path.read_text()
        path.write_text(fault.mutated(self.folder))
        found = None
        try:
            by, killer = self._tested(fault)
            if by == SURVIVES or with_check:
                found, broken = self._checked()
                if found and by == SURVIVES:
                    by, killer = CHECK, broken
        except subprocess.TimeoutExpired:
            by, killer = TIMEOUT, f"{self.timeout:g} s"
        finally:
            path.write_text(sound)
        if by == TESTS:
            self._prove_sound(killer)
        if found:
            self._prove_check_sound()
        seconds = round(time.monotonic() - began, 1)
        return Outcome(fault.title, fault.old, fault.new, by, killer, found, seconds)

    def _tested(self, fault: Fault) -> tuple[str, str]:
        done = self._run("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
                         *(f"tests/{name}" for name in fault.tests))  # fmt: skip
        if done.returncode == 0:
            return SURVIVES, ""
        if done.returncode == NO_TESTS:
            raise RuntimeError(f"{fault.title}: no test ran\n{done.stdout}")
        names = FAILED.findall(done.stdout)
        if not names:
            raise RuntimeError(f"{fault.title}: pytest broke off\n{done.stdout}{done.stderr}")
        return TESTS, names[0]

    def _checked(self) -> tuple[bool, str]:
        """Whether a project does not pass, and which."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as projects:
            done = self._run("tests/mutants/check_projects.py", projects)
        last = (done.stdout.splitlines() or ["nothing was compiled"])[-1]
        if done.returncode and "FAIL" not in last:
            last = (done.stderr.splitlines() or [last])[-1]
        return done.returncode != 0, last

    def _prove_sound(self, test: str) -> None:
        """A test that fails without the fault has found nothing. Raises RuntimeError."""
        if test not in self._sound:
            how = [] if "::" in test else ["--collect-only"]
            done = self._run("-m", "pytest", "-q", "-p", "no:cacheprovider", *how, test)
            self._sound[test] = done.returncode == 0
        if not self._sound[test]:
            raise RuntimeError(f"{test} fails without any fault: mend it first")

    def _prove_check_sound(self) -> None:
        """The same of ``penstock check``."""
        if CHECK not in self._sound:
            self._sound[CHECK] = not self._checked()[0]
        if not self._sound[CHECK]:
            raise RuntimeError("penstock check fails without any fault: mend it first")

    def _check_imports(self) -> None:
        done = self._run("-c", "import penstock, penstock_runtime as r; "
                         "print(penstock.__file__, r.__file__)")  # fmt: skip
        for place in done.stdout.split():
            if not Path(place).is_relative_to(self.folder):
                raise RuntimeError(f"{place} would be tested in place of {self.folder}")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Python in the tree; after ``timeout`` seconds it and its children are killed."""
        self._job = job = subprocess.Popen(
            [sys.executable, *arguments], cwd=self.folder, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            shown, errors = job.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            job.communicate()
            raise
        return subprocess.CompletedProcess(arguments, job.returncode, shown, errors)

    def stop(self) -> None:
        """Kill what runs in the tree, if anything does."""
        if self._job is not None and self._job.poll() is None:
            os.killpg(self._job.pid, signal.SIGKILL)


def _files() -> list[str]:
    """Every file that git knows or would know, as it is in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _environment(tree: Path, scratch: Path) -> dict[str, str]:
    """No bytecode is kept (a fault may leave size and time of a file as they were); C++ is."""
    compiler = scratch / "cxx"
    compiler.write_text(f'#!/bin/sh\nexec {sys.executable} -SE {HERE / "cached_cxx.py"} "$@"\n')
    compiler.chmod(0o755)
    for name in ("temporary", "home"):
        (scratch / name).mkdir()
    return {
        **os.environ, "PYTHONPATH": f"{tree / 'compiler'}:{tree / 'runtime'}",
        "PYTHONDONTWRITEBYTECODE": "1", "CXX": str(compiler), "TMPDIR": str(scratch / "temporary"),
        "MUTANTS_CXX": os.environ.get("CXX", "g++"), "MUTANTS_OBJECTS": str(OBJECTS),
        "COLUMNS": "400",
    }  # fmt: skip
