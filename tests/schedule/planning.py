"""Networks scheduled and packed, and manifests changed."""

from __future__ import annotations

from dataclasses import replace

from support import random_model

from penstock import Hardware, Precision
from penstock.compress import calibrate
from penstock.driver import pack
from penstock.lowering import lower
from penstock.machine import describe
from penstock.packing.manifest import pack_group, unpack_phase
from penstock.schedule import schedule


def planned(hardware=None, **model):
    network = random_model(**model)
    graph = lower(network, calibrate(network, None), Precision())
    return graph, schedule(graph, hardware or Hardware(pes=4))


def packed(graph, plan):
    manifest, files = pack(describe(graph, plan), batch_first=True)
    return manifest, files[:-1]


def repacked(manifest, files, change):
    """The files with the entries of the first phase changed, in place."""
    entries = [unpack_phase(manifest, files, k) for k in range(len(manifest.phases))]
    change(entries[0])
    return [pack_group(manifest, entries, group) for group in range(manifest.groups)]


def relabelled(manifest, name, **changes):
    """The manifest with one phase's code changed."""
    phases = [replace(p, **changes) if p.name == name else p for p in manifest.phases]
    return replace(manifest, phases=tuple(phases))
