"""An empty repository, made once and copied where a test writes into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest
from tests.tasks.camera_scenes import forget

from diapipe.tasks.repository import create_repository


@pytest.fixture(scope="session")
def pristine_empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository, for reading only."""
    return create_repository(tmp_path_factory.mktemp("empty") / "repo")


@pytest.fixture
def root(pristine_empty: Path, tmp_path: Path) -> Iterator[Path]:
    """An empty repository to write into."""
    place = Path(copytree(pristine_empty, tmp_path / "repo"))
    yield place
    forget(place)
