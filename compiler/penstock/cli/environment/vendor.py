"""The tools of AMD and NVIDIA. None of them is needed for a proof."""

from __future__ import annotations

import os
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.cli.environment.item import MISSING, OK, Item

SOURCE = "install AMD Vitis and source its settings64.sh"
FLOWS = {"vitis-run": "unified flow", "vitis_hls": "classic flow"}
"""By the rule of csim and of a project's Makefile: the first that is on PATH."""
VERSION = re.compile(r"/(20\d\d\.\d(?:\.\d)?)/")
XRT = Path("/opt/xilinx/xrt")


def has_csim() -> bool:
    """True if penstock csim would run in Vitis."""
    return any(shutil.which(name) for name in FLOWS)


def vitis() -> Item:
    """Which flow synthesis goes by."""
    for name, flow in FLOWS.items():
        found = shutil.which(name)
        if found is not None:
            return Item("Vitis HLS", OK, f"{flow}: {_with_version(found)}")
    found = f"none of {', '.join(FLOWS)} is on PATH"
    costs = "no synthesis and no co-simulation; csim runs without it"
    return Item("Vitis HLS", MISSING, found, costs, SOURCE)


def linker() -> Item:
    """v++: in the unified flow it synthesizes, too."""
    found = shutil.which("v++")
    if found is not None:
        return Item("v++", OK, _with_version(found))
    costs = "make link makes no .xclbin"
    if shutil.which("vitis-run") is not None:
        costs += ", and make csynth, which goes by the unified flow, does not run"
    return Item("v++", MISSING, "", costs, SOURCE)


def xrt() -> Item:
    """What the host program of a project is built with."""
    root = Path(os.environ.get("XILINX_XRT") or XRT)
    headers = root / "include" / "xrt"
    if headers.is_dir():
        return Item("XRT", OK, str(root))
    costs = "the host program of a project can't be built"
    remedy = "install AMD's XRT and source its setup.sh"
    return Item("XRT", MISSING, f"there is no {headers}", costs, remedy)


def cuda() -> Item:
    """As torch sees it."""
    name, costs = "CUDA", "penstock bench measures no GPU"
    try:
        torch: Any = import_module("torch")
    except Exception:  # what is wrong with it is told elsewhere
        found, remedy = "only torch could find it", "install torch"
        return Item(name, MISSING, found, costs, remedy)
    if torch.cuda.is_available():
        return Item(name, OK, f"{torch.version.cuda}, {torch.cuda.get_device_name(0)}")
    if torch.version.cuda is None:
        found = f"torch {torch.__version__} is built without it"
        return Item(name, MISSING, found, costs, "install a build of torch with CUDA")
    return Item(name, MISSING, "torch finds no device", costs, "install NVIDIA's driver")


def _with_version(path: str) -> str:
    """AMD's folders are named by the release; its tools take seconds to answer."""
    match = VERSION.search(str(Path(path).resolve()))
    return f"{match[1]} ({path})" if match else path
