"""Trained networks that others ship, compiled as they are: what is left of what they can do?

    python benchmarks/shipped/run.py --data DATA [--only NAME] [--write]

The packages come by pip, as files, into the folder --cache; --packages gives a folder where they
are unpacked already. DATA holds the data sets, see docs/results.md. --write puts the tables there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

import activity
import pinyin
import voices
from measure import RESULTS, ROOT, Shipped, Story, exit_status, parse, replace_section
from packages import fetched

NETWORKS = {one.name.removeprefix("shipped-"): one
            for one in (voices.SHIPPED, pinyin.SHIPPED, activity.SHIPPED)}  # fmt: skip


def run(options: argparse.Namespace) -> bool:
    """Measure, print and, if wanted, keep. Whether all agree with their C simulation."""
    torch.set_num_threads(options.threads)
    cache = Path(options.cache)
    packages = Path(options.packages) if options.packages else fetched(cache)
    wanted = [options.only] if options.only else list(NETWORKS)
    agree = [_one(NETWORKS[name], packages, cache, options) for name in wanted]
    return all(agree)


def _one(one: Shipped, packages: Path, cache: Path, options: argparse.Namespace) -> bool:
    story = Story(one.name, one.title, options.command)
    story.add("package, licence", f"{one.package}, {one.licence}")
    story.add("network", one.network)
    passed = one.measure(packages, Path(options.data), cache / one.name, story)
    story.print()
    if options.write:
        replace_section(RESULTS, one.name, story.markdown())
    return passed


def main(arguments: list[str] | None = None) -> int:
    """The exit status; see ``story.exit_status``."""
    parser = argparse.ArgumentParser("python benchmarks/shipped/run.py", description=__doc__)
    parser.add_argument("--data", help="the folder of the data sets")
    parser.add_argument("--cache", default=str(ROOT / "build/shipped"))
    parser.add_argument("--packages")
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=1)
    options = parse(parser, arguments)
    if options.data is None:
        parser.error("give --data")
    return exit_status(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
