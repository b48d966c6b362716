"""The validator proves of the packed words what C simulation can't show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.formats.gap import Gap
from penstock.packing.validate import validate
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
    with pytest.raises(AssertionError, match="a matrix is not packed, or packed more often"):
        validate(graph, fewer, files, 4)


def test_a_matrix_that_is_packed_twice_is_found(sound):
    """The last phase again, its words behind it."""
    graph, manifest, files = sound
    more = replace(manifest, phases=(*manifest.phases, manifest.phases[-1]))
    start = manifest.beat_offsets()[-2] * manifest.port_bits // 8
    with pytest.raises(AssertionError, match="a matrix is not packed, or packed more often"):
        validate(graph, more, [content + content[start:] for content in files], 4)


def test_the_least_distance_is_that_of_all_phases(sound, monkeypatch):
    """None: the phase uses no address twice."""
    distances = [7, 5, 9, None]
    assert len(sound[1].phases) == len(distances)
    monkeypatch.setattr(Gap, "prove", lambda *_: distances.pop())
    assert validate(*sound, 4).min_distance == 5
