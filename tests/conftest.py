"""What every test may ask for: a seeded generator, the real data beside the checkout, and reproducible hypothesis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # BLAS threads that wait for a busy core turn 1 ms into 500

import numpy as np
import pytest
from hypothesis import settings

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

ONE_WORKER = ("tests/tasks",)
"""Folders whose modules share repositories and runs of a task: one of the workers of ``pytest -n`` has all of each."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n``, a module stays on one worker, so that what its tests share is made once and not once a worker."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::", 1)[0]
            folder = module.rpartition("/")[0]
            return folder if folder in ONE_WORKER else module

    if config.getvalue("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return Together(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with modules that have slow tests: one of them at the end would leave the other worker idle."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


settings.register_profile("reproducible", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("reproducible")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed: the same numbers in every run."""
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data beside the checkout; skips the test where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real data: the folder ../shared/data is absent")
    return SHARED_DATA
