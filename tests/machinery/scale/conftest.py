"""A project, and a cluster that most tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scale.processes import Project, make, scheduler, workers


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path / "project")


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str]]:
    """A project with a cluster of three workers that run in its folder."""
    project = make(tmp_path_factory.mktemp("three") / "project")
    with scheduler() as (address, _), workers(address, project.path, count=3):
        yield project, address
