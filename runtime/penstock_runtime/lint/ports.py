"""Reads and writes of each memory in one iteration of each pipeline, against its ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from penstock.bounds import MOST_PARTITIONS
from penstock_runtime.lint.execution import Execution
from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.pragmas import Place
from penstock_runtime.lint.scopes import number_of
from penstock_runtime.lint.state import Access, Array, Pipeline
from penstock_runtime.lint.storage import (
    ANY,
    PORTS,
    Bank,
    Partition,
    Storage,
    cycles,
    partitions,
)
from penstock_runtime.lint.values import Guard

DEEPEST = 12
"""Conditions that are taken apart; beyond, accesses count as if all could happen together."""


@dataclass(frozen=True)
class Row:
    """One array in one pipeline. reads, writes: in an iteration, of the busiest bank."""

    at: Place
    function: str
    label: str
    interval: int
    array: str
    kind: str
    banks: int
    reads: int
    writes: int
    is_bank_known: bool

    @property
    def fits(self) -> bool:
        """Whether the ports can do that within the interval."""
        return cycles(self.kind, self.reads, self.writes) <= self.interval


def table_of(run: Execution, findings: Findings) -> list[Row]:
    """Every array of every pipeline; what asks too much of its ports becomes a finding."""
    rows: dict[Row, None] = {}
    for pipeline in run.state.pipelines:
        by_array: dict[Array, list[Access]] = defaultdict(list)
        for access in pipeline.accesses:
            whole = _in_its_word(run, access)
            by_array[whole.array].append(whole)
        for array, accesses in by_array.items():
            rows[_row(run, pipeline, array, accesses, findings)] = None
    found = _worst(rows)
    for row in found:
        if not row.fits:
            _tell(row, findings)
    return found


def _in_its_word(run: Execution, access: Access) -> Access:
    """The access itself; of a member of an AGGREGATE struct, that of the word that holds it all."""
    variable = access.array.memory.variable
    is_word = any(pragma.name == "AGGREGATE" for pragma in run.attributes.get(variable, {}))
    if not access.array.fields or not is_word:
        return access
    rank = len(variable.type.dims)
    return replace(
        access, array=Array(access.array.memory), dims=access.dims[:rank],
        indices=access.indices[:rank],
    )  # fmt: skip


def _worst(rows: Iterable[Row]) -> list[Row]:
    """Of several instances of a function, that with most to do."""
    best: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = (row.at, row.function, row.array, row.kind)
        known = best.get(key)
        if known is None or _load(row) > _load(known):
            best[key] = row
    return sorted(best.values(), key=lambda row: (row.at, row.array))


def _load(row: Row) -> tuple[int, int]:
    return cycles(row.kind, row.reads, row.writes), row.reads + row.writes


def _tell(row: Row, findings: Findings) -> None:
    where = "a bank" if row.banks > 1 else "its memory"
    unknown = "" if row.is_bank_known else ", for the bank of an access is not known"
    every = "a cycle" if row.interval == 1 else f"every {row.interval} cycles"
    findings.add(
        "ports", row.at,
        f"{row.array} takes {row.reads} reads and {row.writes} writes {every} in {where}{unknown}; "
        f"{row.kind} does {PORTS[row.kind]}",
        "index partitioned dimensions by constants of unrolled loops",
    )  # fmt: skip


def _row(
    run: Execution, pipeline: Pipeline, array: Array, accesses: list[Access], findings: Findings
) -> Row:
    storage = storage_of(run, array, accesses[0].dims, findings)
    reads, writes, is_known = 0, 0, True
    if storage.kind == "registers":
        reads = sum(not access.is_write for access in accesses)
        writes = len(accesses) - reads
    else:
        by_bank: dict[Bank, list[Access]] = defaultdict(list)
        for access in accesses:
            by_bank[storage.bank(access.indices)].append(access)
        is_known = not any(ANY in bank for bank in by_bank)
        reads, writes = _busiest(storage, by_bank)
    return Row(
        pipeline.at, pipeline.function, pipeline.label, pipeline.interval, array.name, storage.kind,
        storage.banks, reads, writes, is_known,
    )  # fmt: skip


def storage_of(run: Execution, array: Array, dims: tuple[int, ...], findings: Findings) -> Storage:
    """How an array is stored, by the pragmas about it."""
    variable, constants = array.memory.variable, run.kernel.constants
    pragmas = {
        pragma: shift
        for pragma, shift in run.attributes.get(variable, {}).items()
        if pragma.variable.split(".")[1:] == list(array.fields)
    }
    cut = partitions(pragmas, dims, constants)
    if variable.type.is_stream:
        return Storage("stream", {n: Partition("complete", 1, size) for n, size in enumerate(dims)})
    if array.memory.is_port:
        return Storage("port", {})
    is_local = variable.storage == "local" and (variable, array.fields) not in run.state.varying
    is_whole = all(dim in cut and cut[dim].kind == "complete" for dim in range(len(dims)))
    if is_whole or is_local:
        return Storage("registers", cut)
    wide = partitions(pragmas, dims, constants, "ARRAY_RESHAPE")
    for dim, partition in wide.items():
        if partition.kind != "complete":
            at = next(iter(pragmas)).at
            findings.add("not-analysed", at, f"a {partition.kind} reshape of dimension {dim + 1}")
    kind = _bound(pragmas) or ("rom_2p" if variable.type.is_const else "ram_2p")
    if kind not in PORTS:
        findings.add("not-analysed", next(iter(pragmas)).at, f"a memory of type {kind}")
        kind = "ram_1p"
    return Storage(kind, cut, frozenset(wide))


def _bound(pragmas: Iterable) -> str | None:  # type: ignore[type-arg]
    """The type that BIND_STORAGE gives."""
    for pragma in pragmas:
        if pragma.name == "BIND_STORAGE" and "type" in pragma.options:
            return str(pragma.options["type"]).lower()
    return None


def _busiest(storage: Storage, by_bank: dict[Bank, list[Access]]) -> tuple[int, int]:
    """Reads and writes of the bank that takes most cycles."""
    patterns = {tuple(index is ANY for index in bank) for bank in by_bank}
    if len(patterns) == 1:  # two of them are the same, or apart
        together = list(by_bank.values())
    else:
        together = [
            [access for bank, own in by_bank.items() if _meets(one, bank) for access in own]
            for one in _candidates(list(by_bank))
        ]
    loads = [_load_of(storage, accesses) for accesses in together]
    return max(loads, key=lambda load: (cycles(storage.kind, *load), sum(load)))


def _candidates(banks: Sequence[Bank]) -> list[Bank]:
    """Banks to look at: those that are named, and what two accesses of unknown banks can share."""
    found = dict.fromkeys(banks)
    unknown = [bank for bank in banks if ANY in bank]
    for own in unknown:
        for other in banks:
            if _overlap(own, other) and len(found) < MOST_PARTITIONS:
                found[tuple(b if a is ANY else a for a, b in zip(own, other, strict=True))] = None
    return list(found)


def _overlap(own: Bank, other: Bank) -> bool:
    return all(a is ANY or b is ANY or a == b for a, b in zip(own, other, strict=True))


def _meets(bank: Bank, accessed: Bank) -> bool:
    """Whether an access may be in a bank; where the bank is open, it is one that nobody names."""
    return all(b is ANY or a == b for a, b in zip(bank, accessed, strict=True))


def _load_of(storage: Storage, accesses: list[Access], depth: int = 0) -> tuple[int, int]:
    """Reads and writes that can happen together; what excludes each other is tried in turn."""
    split = _exclusive(accesses) if depth < DEEPEST else None
    if split is None:
        if storage.kind == "stream":  # each access takes another value
            count = sum(access.is_write for access in accesses)
            return len(accesses) - count, count
        reads = {storage.address(a.indices) for a in accesses if not a.is_write}
        writes = {(storage.address(a.indices), a.guards) for a in accesses if a.is_write}
        return len(reads), len(writes)
    loads = []
    for guard in split:
        kept = [a for a in accesses if not any(guard.excludes(own) for own in a.guards)]
        without = [
            Access(a.array, a.dims, a.indices, a.is_write,
                   frozenset(g for g in a.guards if g.terms != guard.terms), a.at)
            for a in kept
        ]  # fmt: skip
        loads.append(_load_of(storage, without, depth + 1))
    return max(loads, key=lambda load: (cycles(storage.kind, *load), sum(load)))


def _exclusive(accesses: list[Access]) -> list[Guard] | None:
    """The cases of a value of which some accesses exclude others."""
    cases: dict[tuple[tuple[int, int], ...], set[tuple[bool, int]]] = defaultdict(set)
    for access in accesses:
        for guard in access.guards:
            cases[guard.terms].add((guard.is_equal, guard.constant))
    for terms, told in cases.items():
        if len(told) > 1 and any(is_equal for is_equal, _ in told):
            constants = sorted({constant for _, constant in told})
            beyond = max(constants) + 1
            return [Guard(terms, True, constant) for constant in (*constants, beyond)]
    return None


def check_counts(run: Execution, findings: Findings) -> None:
    """No array is cut into more memories than older tools take."""
    for variable, pragmas in run.attributes.items():
        own = {pragma: shift for pragma, shift in pragmas.items() if "." not in pragma.variable}
        cut = partitions(own, variable.type.dims, run.kernel.constants)
        count = Storage("", cut).banks
        if count > MOST_PARTITIONS and len(cut) < len(variable.type.dims):
            findings.add(
                "partition-count", variable.at,
                f"{variable.name} is cut into {count:,} memories, more than {MOST_PARTITIONS:,}",
                "put elements that share an address into one word",
            )  # fmt: skip


def check_bindings(run: Execution, findings: Findings) -> None:
    """An array with a promised distance is one whose latency is fixed."""
    for variable, pragmas in run.attributes.items():
        bound = any(
            pragma.name == "BIND_STORAGE" and {"type", "latency"} <= pragma.options.keys()
            for pragma in pragmas
        )
        for pragma in pragmas:
            distance = number_of(pragma.options.get("distance", "0"), run.kernel.constants)
            if pragma.name == "DEPENDENCE" and distance != 0 and not bound:
                findings.add(
                    "binding", pragma.at,
                    f"{variable.name} has a dependence distance, but no BIND_STORAGE with type and "
                    "latency", "the distance holds for one latency of the memory",
                )  # fmt: skip
