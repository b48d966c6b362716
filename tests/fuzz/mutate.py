"""Seeded damage: to bytes, JSON, NumPy headers, zip archives and safetensors files."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable

Mutator = Callable[[random.Random, bytes], bytes]
VALUES = (
    None, True, False, -1, 0, 1, 2, 7, 8, 16, 59, 60, 61, 64, 255, 256, 2**31 - 1, 2**31, 10**9,
    2**53, 2**63 - 1, 2**63, 10**18, 10**30, 10**400, -(10**9), -(2**63), 0.5, 1.5, -0.0, 1e-310,
    1e308, float("nan"), float("inf"), "", "x", "0", "..", "/etc/passwd", "\x00", "é", "{}",
    "a" * 5000, [], {}, [0], [[]], {"a": 1}, [-1], [10**9], [1.5], "F32", "AP_RND", "AP_WRAP",
    "forward", "last",
)  # fmt: skip
NUMBERS = (0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 10**12)
KINDS = (
    "<f8", ">f8", "<f4", "<f2", "<f16", "<i8", ">i4", "<u8", "|u1", "|b1", "<c16", "|O", "<M8[s]",
    "|S5", "<U3", "|V8", "<f3", "xx", "<U999999999",
)  # fmt: skip
SHAPES = (
    f"({10**12}, 3)", "(0, 3)", "(2, 4, 3)", "(2, 4, -3)", f"({2**63}, 3)", f"({2**40}, {2**40})",
    "()", "(1,) * 9", f"(0, {2**60})", "(3,)", "(True, 3)", "(2, 4, 3.0)", str((1,) * 70),
    f"({10**30}, 3)", "(8, 3L)", "((8, 3))", "(" * 300,
)  # fmt: skip


def of_bytes(rng: random.Random, content: bytes) -> bytes:
    """Flip, set, delete, insert, cut, copy or overwrite; where a header is likely, more often."""
    spoiled = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not spoiled:
            break
        end = len(spoiled) if rng.random() < 0.6 else min(len(spoiled), 200)
        at = rng.randrange(end)
        match rng.randrange(8):
            case 0 | 1:
                spoiled[at] ^= 1 << rng.randrange(8)
            case 2:
                spoiled[at] = rng.randrange(256)
            case 3:
                del spoiled[at : at + rng.choice((1, 1, 2, 8, 64, 1000))]
            case 4:
                spoiled[at:at] = rng.randbytes(rng.choice((1, 2, 8, 64)))
            case 5:
                del spoiled[at:]
            case 6:
                source = rng.randrange(len(spoiled))
                spoiled[at:at] = spoiled[source : source + rng.choice((1, 8, 64))]
            case 7:
                spoiled[at : at + 8] = struct.pack("<Q", rng.choice(NUMBERS))
    return bytes(spoiled)


def of_json(rng: random.Random, content: bytes) -> bytes:
    """Delete, double, swap, change or replace fields of any depth."""
    if rng.random() < 0.01:
        return rng.choice((b"[", b'{"a":', b'{"densities":')) * 200_000
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return json.dumps(rng.choice(VALUES)).encode()
        holder, key = rng.choice(places)
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1:
                other = rng.choice(places)
                holder[key] = json.loads(
                    json.dumps(
                        other[0].get(other[1])
                        if isinstance(other[0], dict)
                        else other[0][other[1] % len(other[0])]
                        if other[0]
                        else None
                    )
                )
            case 2 if isinstance(holder[key], int | float) and holder[key] is not True:
                holder[key] = rng.choice((holder[key] + 1, -holder[key], 2 * holder[key], 0))
            case 3 if isinstance(holder[key], str):
                text = holder[key]
                holder[key] = rng.choice((text[:-1], text + "x", text[::-1], text.upper()))
            case 4 if isinstance(holder, dict):
                holder[f"more{rng.randrange(9)}"] = rng.choice(VALUES)
            case _:
                holder[key] = rng.choice(VALUES)
    return json.dumps(value).encode()


def _places(value):
    """(holder, key) of everything inside."""
    inner = list(value.items()) if isinstance(value, dict) else []
    inner = list(enumerate(value[:100])) if isinstance(value, list) else inner
    for key, part in inner:
        yield value, key
        yield from _places(part)


def of_json_text(rng: random.Random, content: bytes) -> bytes:
    """As JSON mostly, else as bytes."""
    return (of_json if rng.random() < 0.7 else of_bytes)(rng, content)


def of_npy(rng: random.Random, content: bytes) -> bytes:
    """Another type or shape in the header, or bytes."""
    if rng.random() < 0.4:
        return of_bytes(rng, content)
    start = 10 + int.from_bytes(content[8:10], "little")
    kind, shape = rng.choice(KINDS), rng.choice(SHAPES)
    header = f"{{'descr': {kind!r}, 'fortran_order': {rng.random() < 0.3}, 'shape': {shape}, }}"
    padded = header.ljust(rng.choice((117, len(header)))).encode() + b"\n"
    data = content[start:] if rng.random() < 0.8 else rng.randbytes(rng.choice((0, 96, 1000)))
    return content[:8] + struct.pack("<H", len(padded)) + padded + data


def of_zip(inner: Mutator) -> Mutator:
    """One member by ``inner``, with whole checksums; or the archive's bytes."""

    def mutate(rng: random.Random, content: bytes) -> bytes:
        if rng.random() < 0.3:
            return of_bytes(rng, content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        chosen = rng.choice(sorted(members))
        pickles = [name for name in members if name.endswith(".pkl")]
        if pickles and rng.random() < 0.5:
            chosen = pickles[0]
        members[chosen] = inner(rng, members[chosen])
        if rng.random() < 0.05:
            del members[rng.choice(sorted(members))]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", rng.choice((0, 0, 0, zipfile.ZIP_DEFLATED))) as archive:
            for name, member in members.items():
                archive.writestr(name, member)
        return buffer.getvalue()

    return mutate


def split_safetensors(content: bytes) -> tuple[bytes, bytes]:
    """(header, data)."""
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end], content[end:]


def join_safetensors(header: bytes, data: bytes) -> bytes:
    """The inverse."""
    return struct.pack("<Q", len(header)) + header + data


def of_safetensors(rng: random.Random, content: bytes) -> bytes:
    """The header as JSON, values that are odd, or bytes."""
    header, data = split_safetensors(content)
    draw = rng.random()
    if draw < 0.5:
        return join_safetensors(of_json(rng, header), data)
    if draw < 0.65:
        odd = rng.choice((float("nan"), float("inf"), 3e38, 1e-45, -0.0, 1e-30, 65504.0))
        stride = rng.choice((4, 40))
        spoiled = bytearray(data)
        for at in range(0, len(spoiled) - 3, stride):
            spoiled[at : at + 4] = struct.pack("<f", odd)
        return join_safetensors(header, bytes(spoiled))
    return of_bytes(rng, content)


def reordered(rng: random.Random, content: bytes) -> bytes:
    """The header of a safetensors file in another order: nothing that it says is changed."""
    header, data = split_safetensors(content)
    fields = list(json.loads(header).items())
    rng.shuffle(fields)
    return join_safetensors(json.dumps(dict(fields), indent=1).encode(), data)


def without_metadata(rng: random.Random, content: bytes) -> bytes:
    """An ordinary checkpoint."""
    header, data = split_safetensors(content)
    fields = json.loads(header)
    fields.pop("__metadata__", None)
    return join_safetensors(json.dumps(fields).encode(), data)


def of_metadata(key: str, inner: Mutator) -> Mutator:
    """A text in the header of a safetensors file by ``inner``."""

    def mutate(rng: random.Random, content: bytes) -> bytes:
        header, data = split_safetensors(content)
        fields = json.loads(header)
        text = inner(rng, fields["__metadata__"][key].encode())
        fields["__metadata__"][key] = text.decode(errors="replace")
        return join_safetensors(json.dumps(fields).encode(), data)

    return mutate


def either(*mutators: Mutator) -> Mutator:
    """One of them, drawn."""
    return lambda rng, content: rng.choice(mutators)(rng, content)
