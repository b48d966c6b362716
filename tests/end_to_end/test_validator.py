"""The validator proves of the packed words what C simulation can't show."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from support import random_model

from penstock.driver import compile_model
from penstock.formats.gap import Gap
from penstock.packing.validate import validate
from penstock.settings import Hardware
from penstock_runtime import load_project


@pytest.fixture(scope="module")
def sound(built_folder):
    """Graph, manifest and weight files of a project."""
    project = load_project(built_folder)
    files = [(built_folder / name).read_bytes() for name in project.manifest.file_bytes()]
    return project.graph, project.manifest, files


def test_the_least_distance_is_the_greatest_that_can_be_promised(sound):
    least = validate(*sound, 1).min_distance
    assert validate(*sound, least).min_distance == least
    with pytest.raises(AssertionError, match="a slot is used twice too soon"):
        validate(*sound, least + 1)


def test_a_matrix_that_is_not_packed_is_found(sound):
    graph, manifest, files = sound
    fewer = replace(manifest, phases=manifest.phases[:-1])
    with pytest.raises(AssertionError, match="a run is of no phase"):
        validate(graph, fewer, files, 4)
    last = len(manifest.phases) - 1
    fewer = replace(fewer, runs=tuple(run for run in manifest.runs if run.phase != last))
    size = fewer.beat_offsets()[-1] * manifest.port_bits // 8
    with pytest.raises(AssertionError, match="a matrix is not packed, or packed more often"):
        validate(graph, fewer, [content[:size] for content in manifest.of_groups(files)], 4)


def test_a_matrix_that_is_packed_twice_is_found(sound):
    """The last phase again, its words behind it."""
    graph, manifest, files = sound
    more = replace(manifest, phases=(*manifest.phases, manifest.phases[-1]))
    with pytest.raises(AssertionError, match="its words are not in runs, once"):
        validate(graph, more, files, 4)
    last = len(manifest.phases) - 1
    own = [index for index, run in enumerate(manifest.runs) if run.phase == last]
    again = tuple(replace(manifest.runs[index], phase=last + 1) for index in own)
    more = replace(more, runs=(*manifest.runs, *again))
    beat, offsets = manifest.port_bits // 8, manifest.beat_offsets()
    files = [
        content + b"".join(content[offsets[n] * beat : offsets[n + 1] * beat] for n in own)
        for content in manifest.of_groups(files)
    ]
    with pytest.raises(AssertionError, match="a matrix is not packed, or packed more often"):
        validate(graph, more, files, 4)


def test_a_word_that_gathers_what_is_written_later_is_found():
    """Where packets are written beside the words, none may come before its own."""
    model = random_model(inputs=5, cells=(16,), outputs=8, density=0.5, pes=4)
    compiled = compile_model(model, None, Hardware(pes=4, overlap=True))
    graph, manifest = compiled.graph, compiled.manifest
    files = [compiled.files[name] for name in manifest.file_bytes()]
    validate(graph, manifest, files, 4)
    *others, phase = manifest.phases
    for change in ({"starts": (phase.starts[0] + 1,)}, {"packet": 1}):
        wrong = replace(manifest, phases=(*others, replace(phase, **change)))
        with pytest.raises(AssertionError, match="a word gathers what is not written yet"):
            validate(graph, wrong, files, 4)


def test_a_run_that_writes_packets_later_than_its_words_gather_them_is_found():
    model = random_model(inputs=5, cells=(16,), outputs=8, density=0.5, pes=4)
    compiled = compile_model(model, None, Hardware(pes=4, overlap=True))
    graph, manifest = compiled.graph, compiled.manifest
    files = [compiled.files[name] for name in manifest.file_bytes()]
    leads = {name: run for name, run in manifest.kernel.runs.items() if run[5] > 0}
    assert leads
    for name, run in leads.items():
        soon = {**manifest.kernel.runs, name: (*run[:5], run[5] - 1, run[6])}
        wrong = replace(manifest, kernel=msgspec.structs.replace(manifest.kernel, runs=soon))
        with pytest.raises(AssertionError, match="a run writes packets later than it reads them"):
            validate(graph, wrong, files, 4)


@pytest.mark.parametrize("change", [{"first": 1}, {"words": 1}], ids=str)
def test_words_that_no_run_takes_are_found(sound, change):
    graph, manifest, files = sound
    runs = (replace(manifest.runs[0], **change), *manifest.runs[1:])
    with pytest.raises(AssertionError, match="its words are not in runs, once"):
        validate(graph, replace(manifest, runs=runs), files, 4)


def test_the_least_distance_is_that_of_all_phases(sound, monkeypatch):
    """None: the phase uses no address twice."""
    distances = [7, 5, 9, None]
    assert len(sound[1].phases) == len(distances)
    monkeypatch.setattr(Gap, "prove", lambda *_: distances.pop())
    assert validate(*sound, 4).min_distance == 5
