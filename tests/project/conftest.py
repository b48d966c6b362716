"""A project folder to write over."""

from __future__ import annotations

import pytest
from project.given import MINE, OLD, SYNTHESIS, put

from penstock import journal
from penstock.project import write_project


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    """A kill takes nothing from the disk; without fsync the tests are ten times as fast."""
    monkeypatch.setattr(journal, "_sync", lambda path: None)


@pytest.fixture
def project(tmp_path):
    """An old project that was synthesized, with files of the user's."""
    folder = tmp_path / "project"
    write_project(OLD, folder)
    put(folder, {**MINE, **SYNTHESIS})
    return folder
