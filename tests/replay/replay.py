"""Which emitted files differ between a revision and the working tree?

    python tests/replay/replay.py --base REV [--diff] [--ignore GLOB ...] [--only TEXT]

Compiles the corpus of corpus.py with both, each in a process of its own, and compares the project
folders byte for byte. What the revision gave is kept below
build/replay for the next time.
"""

from __future__ import annotations

import argparse
import difflib
import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build/replay"
DIFF_LINES = 40


@dataclass(frozen=True)
class Comparison:
    """Of two projects. Names of files, relative to the project; ``same`` counts the rest."""

    differing: list[str]
    added: list[str]
    removed: list[str]
    same: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return not (self.differing or self.added or self.removed)

    @property
    def files(self) -> int:
        """Files of either side."""
        return self.same + len(self.differing) + len(self.added) + len(self.removed)


def compare(base: Path, tree: Path, ignore: tuple[str, ...] = ()) -> Comparison:
    """Compare two project folders; ``ignore``: patterns of names that don't count."""
    before, after = (_contents(folder, ignore) for folder in (base, tree))
    both = before.keys() & after.keys()
    differing = sorted(name for name in both if before[name] != after[name])
    return Comparison(
        differing, sorted(after.keys() - both), sorted(before.keys() - both),
        len(both) - len(differing),
    )  # fmt: skip


def _contents(folder: Path, ignore: tuple[str, ...]) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if path.is_file() and not any(fnmatch.fnmatch(name, pattern) for pattern in ignore)
    }


def first_diff(base: Path, tree: Path, names: list[str]) -> list[str]:
    """Up to DIFF_LINES lines of a unified diff of the first of ``names`` that is text."""
    for name in names:
        try:
            texts = [(side / name).read_text().splitlines() for side in (base, tree)]
        except UnicodeDecodeError:
            continue
        lines = difflib.unified_diff(*texts, f"base/{name}", f"tree/{name}", lineterm="", n=1)
        shown = [line if len(line) <= 160 else f"{line[:160]} ..." for line in lines]
        more = len(shown) - DIFF_LINES
        return shown[:DIFF_LINES] + ([f"... {more} more lines"] if more > 0 else [])
    return []


def report(base: Path, tree: Path, ignore: tuple[str, ...] = (), with_diff: bool = False) -> bool:
    """Print what differs between two folders of projects.

    True if nothing does, and the working tree compiles every one.
    """
    names = sorted({path.name for side in (base, tree) for path in side.iterdir()})
    files = differ = failed = 0
    for name in names:
        found = compare(base / name, tree / name, ignore)
        files += found.files
        differ += found.files - found.same
        error = tree / name / "ERROR.txt"
        if error.exists():
            failed += 1
            print(f"{name}: the working tree does not compile it\n    {error.read_text().strip()}")
        if found.is_clean:
            continue
        print(name)
        for word, which in (("differs", found.differing), ("added", found.added),
                            ("removed", found.removed)):  # fmt: skip
            for file in which:
                print(f"    {word:8} {file}")
        if with_diff:
            for line in first_diff(base / name, tree / name, found.differing):
                print(f"        {line}")
    print(f"{len(names)} projects, {files} files compared, {differ} differ")
    return not differ and not failed


def start(root: Path, corpus: Path, output: Path, log: Path) -> subprocess.Popen[bytes]:
    """Begin to compile ``corpus`` with the sources below ``root``."""
    paths = os.pathsep.join(str(root / part) for part in ("compiler", "runtime"))
    script = Path(__file__).with_name("compile_corpus.py")
    return subprocess.Popen(
        [sys.executable, str(script), str(root), str(corpus), str(output)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=log.open("wb"),
    )  # fmt: skip


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait; end with the log if the process itself failed."""
    if process.wait():
        sys.exit(f"a side could not be compiled:\n{log.read_text()}")


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A temporary worktree of ``revision``."""
    with tempfile.TemporaryDirectory(prefix="replay-") as scratch:
        folder = Path(scratch) / "base"
        git("worktree", "add", "--detach", "--quiet", str(folder), revision)
        try:
            yield folder
        finally:
            git("worktree", "remove", "--force", str(folder))


def git(*words: str) -> str:
    """What git prints; ends with git's own words where it refuses."""
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return done.stdout.strip()


def compile_both(revision: str, corpus: Path, scratch: Path) -> tuple[Path, Path]:
    """Folders of projects: of the revision (kept from the last time, if it was so) and the tree."""
    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
    driver = Path(__file__).with_name("compile_corpus.py").read_bytes()
    digest = hashlib.sha256(driver)
    for path in sorted(corpus.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(corpus)}\n".encode() + path.read_bytes())
    kept = KEPT / f"{commit[:12]}-{digest.hexdigest()[:12]}"
    tree = scratch / "tree"
    for folder in (tree, scratch / "base"):
        folder.mkdir()
    ours = start(ROOT, corpus, tree, scratch / "tree.log")
    if not kept.exists():
        with checked_out(commit) as root:
            theirs = start(root, corpus, scratch / "base", scratch / "base.log")
            finish(theirs, scratch / "base.log")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch / "base", kept)
    finish(ours, scratch / "tree.log")
    return kept, tree


def main() -> int:
    """Exit status 1 if any file differs, or the working tree can't compile a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, metavar="REV", help="the revision to compare with")
    parser.add_argument("--diff", action="store_true", help="show where the first text differs")
    parser.add_argument("--ignore", action="append", default=[], metavar="GLOB",
                        help="files that are meant to differ, such as manifest.json")  # fmt: skip
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with this in their name")
    options = parser.parse_args()
    from corpus import cases

    with tempfile.TemporaryDirectory(prefix="replay-") as name:
        scratch = Path(name)
        (scratch / "corpus").mkdir()
        for case in cases():
            if options.only in case.name:
                case.save(scratch / "corpus")
        folders = compile_both(options.base, scratch / "corpus", scratch)
        return 0 if report(*folders, tuple(options.ignore), options.diff) else 1


if __name__ == "__main__":
    sys.exit(main())
