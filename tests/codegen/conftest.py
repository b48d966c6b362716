"""Emitted projects that the tests of this folder share, each in a folder where they may build."""

from __future__ import annotations

import pytest
from codegen.emitted import PROJECTS, Emitted


@pytest.fixture(scope="session", params=PROJECTS)
def project(request, tmp_path_factory):
    return Emitted(request.param, tmp_path_factory.mktemp(request.param) / "project")
