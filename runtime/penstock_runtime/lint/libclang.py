"""libclang: whether it is there, how a kernel is parsed, and three of its functions that the Python
bindings of version 18 leave out.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock_runtime import cache
from penstock_runtime.csim import SHIMS, ap_include
from penstock_runtime.lint import is_available

TOP = "kernel/lstm_top.cpp"
HEADERS = Path(__file__).resolve().parent / "headers.h"
UNIT = """\
#include "headers.h"
#undef PENSTOCK_DATAFLOW
#undef DATAFLOW_BEGIN
#undef PROCESS
#undef DATAFLOW_END
#define __SYNTHESIS__ 1
#include "lstm_top.cpp"
"""
"""The kernel as synthesis sees it. AMD's open headers are for the host: they come first."""
MISSING = PenstockError("libclang is not installed", "lint", "pip install 'penstock[lint]'")
INTEGER = 1
"""clang's CXEval_Int."""


@functools.cache
def bindings() -> Any:
    """clang.cindex, with what we add. Raises PenstockError if it is not installed."""
    if not is_available():
        raise MISSING
    from clang import cindex

    library = cindex.conf.lib
    try:
        for name in ("clang_getCursorBinaryOperatorKind", "clang_getCursorUnaryOperatorKind"):
            getattr(library, name).argtypes = [cindex.Cursor]
        evaluated = library.clang_Cursor_Evaluate
    except AttributeError as error:
        raise PenstockError(
            "libclang is too old", "lint", "pip install 'libclang>=18.1'"
        ) from error
    evaluated.argtypes, evaluated.restype = [cindex.Cursor], ctypes.c_void_p
    for name in ("getKind", "getAsLongLong", "getAsUnsigned", "isUnsignedInt", "dispose"):
        getattr(library, f"clang_EvalResult_{name}").argtypes = [ctypes.c_void_p]
    library.clang_EvalResult_getAsLongLong.restype = ctypes.c_longlong
    library.clang_EvalResult_getAsUnsigned.restype = ctypes.c_ulonglong
    library.clang_Cursor_getVarDeclInitializer.argtypes = [cindex.Cursor]
    library.clang_Cursor_getVarDeclInitializer.restype = cindex.Cursor
    library.clang_Cursor_getVarDeclInitializer.errcheck = cindex.Cursor.from_result
    return cindex


def evaluated(cursor: Any) -> int | None:
    """The integer that an expression is, if it is a constant."""
    library = bindings().conf.lib
    result = library.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        if library.clang_EvalResult_getKind(result) != INTEGER:
            return None
        if library.clang_EvalResult_isUnsignedInt(result):
            return int(library.clang_EvalResult_getAsUnsigned(result))
        return int(library.clang_EvalResult_getAsLongLong(result))
    finally:
        library.clang_EvalResult_dispose(result)


def initial_value(cursor: Any) -> Any:
    """The cursor of a variable's initial value, or None."""
    return bindings().conf.lib.clang_Cursor_getVarDeclInitializer(cursor)


def parse(folder: Path) -> Any:
    """The translation unit of a project's kernel.

    Raises PenstockError if there is no kernel, or libclang or AMD's headers are not installed.
    """
    cindex = bindings()
    if not (folder / TOP).is_file():
        raise PenstockError(
            f"{TOP} is not there", str(folder), "give a folder that penstock compile has written"
        )
    unit, include = str(folder / "kernel" / "penstock_lint_unit.cpp"), f"-I{folder / 'kernel'}"
    ready = _precompiled()
    whole = UNIT.replace('"headers.h"', f'"{HEADERS}"')
    if ready is not None:
        try:
            rest, flags = UNIT.partition("\n")[2], [*_flags(), "-include-pch", str(ready), include]
            return cindex.Index.create().parse(unit, flags, [(unit, rest)], _options())
        except cindex.TranslationUnitLoadError:
            pass  # the headers have changed since
    try:
        return cindex.Index.create().parse(unit, [*_flags(), include], [(unit, whole)], _options())
    except cindex.TranslationUnitLoadError as error:
        raise PenstockError("clang can't read the kernel", str(folder), str(error)) from error


def _options() -> int:
    """Macros are told, for the sake of where they are used."""
    return int(bindings().TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)


def _flags() -> list[str]:
    return [
        "-x", "c++", "-std=c++14",
        "-isystem", str(SHIMS), "-isystem", str(ap_include()), *_own_headers(),
    ]  # fmt: skip


def identity() -> str:
    """Of libclang, its flags, and the headers outside the project."""
    files = [HEADERS, *sorted(SHIMS.glob("*.h")), *sorted(ap_include().glob("**/*.h"))]
    library = Path(bindings().__file__)
    states = [f"{file}{file.stat().st_size}{file.stat().st_mtime_ns}" for file in (*files, library)]
    return hashlib.sha256("\n".join([*_flags(), *states]).encode()).hexdigest()[:32]


def _precompiled() -> Path | None:
    """AMD's headers, parsed beforehand; they take longer than a kernel."""
    cindex = bindings()

    def make(made: Path) -> None:
        kinds = cindex.TranslationUnit
        options = kinds.PARSE_INCOMPLETE | 0x10  # CXTranslationUnit_ForSerialization
        flags = ["-x", "c++-header", *_flags()[2:]]
        cindex.Index.create().parse(str(HEADERS), flags, options=options).save(
            str(made / "headers.pch")
        )

    try:
        kept = cache.kept("lint", identity(), make)
    except (cindex.TranslationUnitLoadError, cindex.TranslationUnitSaveError):
        return None
    return None if kept is None else kept / "headers.pch"


@functools.cache
def _own_headers() -> list[str]:
    """Where the compiler keeps stddef.h: libclang comes without it."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        return []
    asked = [name, "-print-file-name=include"]
    folder = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return ["-isystem", folder] if Path(folder).is_dir() else []
