"""penstock.toml: the settings of a compile, read by ``penstock compile --config`` and stored in
every project.

Its tables and keys are the fields of ``TABLES``. Paths are relative to the file's folder. In a
project's own, the files that were read are named without their folders, with the SHA-256 of each in
``[sha256]``: they are looked for beside penstock.toml, in the folder that holds the project, and in
the current one.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from penstock.choices import Files, Network
from penstock.errors import PenstockError, kind_of
from penstock.option import Setting, is_default, settings_of
from penstock.settings import Hardware, Precision
from penstock.version import __version__

CONFIG = "penstock.toml"
TABLES: dict[str, type[Any]] = {
    "files": Files, "network": Network, "hardware": Hardware, "precision": Precision,
}  # fmt: skip
SHA256 = "sha256"
"""The table of digests: the keys are those of ``[files]``."""
LARGEST_BYTES = 1 << 22

Given = dict[str, dict[str, Any]]
"""Table -> field -> value: what was said, and nothing that was not."""


@dataclass(frozen=True)
class Source:
    """A file that a project was compiled from: its name, without folders, and its SHA-256."""

    name: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Source:
        """Those of a file. Raises PenstockError if it can't be read."""
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise PenstockError(
                f"the file can't be read: {error.strerror}", str(path), "check the path"
            ) from error
        # A name need not be text: what is not stays readable.
        return cls(path.name.encode(errors="backslashreplace").decode(), sha256)


@dataclass(frozen=True)
class Config:
    """What a penstock.toml says. sha256: of the files that it names, as far as it says."""

    path: Path
    given: Given
    sha256: dict[str, str] = field(default_factory=dict)

    def file(self, key: str) -> Path | None:
        """Where the file is that ``[files]`` names; None if it names none.

        Raises PenstockError if it is not there, or is not the one of ``[sha256]``.
        """
        named: Path | None = self.given["files"].get(key)
        if named is None:
            return None
        home = self.path.parent
        above = home / ".." if home.name in ("", "..") else home.parent
        there = [path for path in (home / named, above / named, named) if path.is_file()]
        digest = self.sha256.get(key)
        if digest is None:
            there = [path for path in (home / named,) if path in there]
        for path in there:
            if digest is None or Source.of(path).sha256 == digest:
                return path
        what = "is not there" if not there else "is another file: its sha256 differs"
        option = settings_of(Files)[key].names[-1]
        raise PenstockError(
            f"{named}, which the configuration names, {what}",
            str(there[0] if there else self.path),
            f"give {'it as MODEL' if key == 'model' else f'{option} FILE'}, or restore it",
        )


def read_config(path: Path) -> Config:
    """Read and check a penstock.toml. Raises PenstockError: what is in it, and what was meant."""
    content = _toml(path)
    sha256 = content.pop(SHA256, {})
    if not isinstance(sha256, dict) or not all(isinstance(one, str) for one in sha256.values()):
        raise PenstockError(f"{SHA256} must be a table of texts", str(path), "one for each file")
    for key in sha256:
        if key not in settings_of(Files):
            raise _unknown(f"{SHA256}.{key}", path)
    given: Given = {table: {} for table in TABLES}
    for table, values in content.items():
        if table not in TABLES:
            raise _unknown(table, path)
        if not isinstance(values, dict):
            raise PenstockError(
                f"{table} must be a table, not {_named(values)}", str(path), f"write [{table}]"
            )
        for key, value in values.items():
            setting = settings_of(TABLES[table]).get(key)
            if setting is None:
                raise _unknown(f"{table}.{key}", path)
            given[table][key] = _checked(setting, value, f"{table}.{key}", path)
    return Config(path, given, sha256)


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise PenstockError(
            f"the configuration can't be read: {error.strerror}", str(path), "check the path"
        ) from error
    if len(content) > LARGEST_BYTES:
        raise PenstockError(
            "the configuration is no penstock.toml: it is too long", str(path), "check the path"
        )
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise PenstockError(
            f"the configuration is not TOML: {error}", str(path), "see https://toml.io"
        ) from error


def _checked(setting: Setting, value: Any, name: str, path: Path) -> Any:
    try:
        return setting.from_plain(value)
    except ValueError as error:
        why = f": {error}" if str(error) else ""
        raise PenstockError(
            f"{name} must be {setting.kind}, not {_named(value)}{why}", str(path),
            "mend the configuration",
        ) from error  # fmt: skip


def _named(value: Any) -> str:
    """As TOML calls it."""
    names: dict[type[Any], str] = {str: "text", dict: "a table", list: "a list", bool: "a flag",
                                   int: "an integer", float: "a number"}  # fmt: skip
    return names.get(type(value), kind_of(value))


def _unknown(name: str, path: Path) -> PenstockError:
    """The error, with what was probably meant: a key by its name or its option's, or a table."""
    keys = {table: table for table in TABLES}
    for table, owner in TABLES.items():
        for key, setting in settings_of(owner).items():
            option = setting.names[-1].lstrip("-").replace("-", "_")
            keys |= {option: f"{table}.{key}", key: f"{table}.{key}"}
    close = get_close_matches(name.rpartition(".")[2].lower().replace("-", "_"), keys, 1)
    return PenstockError(
        f"the configuration has an unknown key {name}",
        str(path),
        f"did you mean {keys[close[0]]}?" if close
        else "its keys are those of docs/command-line.md, such as hardware.pes",
    )  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """What a project is made from: the files, and the settings as they were given.

    precision: None where the network carries its own. libraries: those that read the network,
    beside NumPy. is_whole: files and settings make the project again; else something came from
    Python.
    """

    files: Mapping[str, Source] = field(default_factory=dict)
    network: Network = field(default_factory=Network)
    hardware: Hardware = field(default_factory=Hardware)
    precision: Precision | None = None
    libraries: tuple[str, ...] = ()
    is_whole: bool = False

    def tables(self) -> dict[str, Any]:
        """The settings by their tables. A table that says nothing is None."""
        return {"network": self.network, "hardware": self.hardware, "precision": self.precision}


def config_text(origin: Origin, chosen: Mapping[str, Any]) -> str:
    """The penstock.toml of a project. chosen: of hardware left open, what the compiler chose."""
    lines = [f"# What this project was compiled with, by Penstock {__version__}."]
    if origin.is_whole:
        lines.append(f"# penstock compile --config {CONFIG}: the same again, of the same files.")
    else:
        lines.append("# The network, or frames, came from Python and not from a file.")
    lines.append("# What a # stands before was left open; the compiler's choice is shown.")
    if origin.files:
        files = origin.files.items()
        lines += ["", "[files]", *(f"{key} = {_text(one.name)}" for key, one in files)]
        lines += ["", f"[{SHA256}]", *(f"{key} = {_text(one.sha256)}" for key, one in files)]
    for table, settings in origin.tables().items():
        lines += ["", *_table(table, settings, chosen if table == "hardware" else {})]
    return "\n".join(lines) + "\n"


def _table(table: str, settings: Any, chosen: Mapping[str, Any]) -> list[str]:
    if settings is None:
        return [f"# [{table}]: the network carries its own number formats"]
    lines = [f"[{table}]"]
    for name, setting in settings_of(type(settings)).items():
        value = getattr(settings, name)
        if is_default(settings, name) and setting.default is None:
            of_compiler = chosen.get(name)
            if of_compiler is not None:
                lines.append(f"# {name} = {_text(setting.to_plain(of_compiler))}")
        else:
            lines.append(f"{name} = {_text(setting.to_plain(value))}")
    return lines


def _text(value: Any) -> str:
    """A value as TOML. Its texts are those of JSON, but for one character that must be escaped."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{_text(key)} = {_text(one)}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
