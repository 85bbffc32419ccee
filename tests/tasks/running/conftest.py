"""A small toy survey, built once and copied for each test that changes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import benchmarks.toy_survey
import pytest
from benchmarks.toy_survey import ToySurvey
from lsst.utils.packages import Packages
from toy_runs import N_DETECTORS, N_VISITS


@pytest.fixture(scope="session", autouse=True)
def packages_looked_up_once() -> Iterator[None]:
    """The versions of all packages do not change from run to run; to look them up takes longer than a toy run."""
    known = Packages.fromSystem()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Packages, "fromSystem", lambda include_all=False: known)
        yield


@pytest.fixture(scope="session", autouse=True)
def toy_tasks_found_by_jobs() -> Iterator[None]:
    """Jobs are processes of their own: they find the toy tasks by the environment, not by pytest's path."""
    paths = [str(Path(benchmarks.toy_survey.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        yield


@pytest.fixture(scope="session")
def toy_survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that nothing was run on; not to be changed."""
    survey = ToySurvey(n_visits=N_VISITS, n_detectors=N_DETECTORS, n_patches=1)
    return survey.build(tmp_path_factory.mktemp("toy") / "repo")


@pytest.fixture
def repo(toy_survey: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(toy_survey, tmp_path / "repo"))


@pytest.fixture
def far_survey(tmp_path: Path) -> Path:
    """Two visits, the second of them far from the only tract."""
    return ToySurvey(n_visits=2, n_detectors=2, far_visits=(2,)).build(tmp_path / "far")
