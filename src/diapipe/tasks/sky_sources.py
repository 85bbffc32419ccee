"""Subtask skySources."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config
from lsst.pipe.base import Struct, Task


class SkyObjectsConfig(Config):
    """Config of skySources."""


class SkyObjectsTask(Task):
    """Subtask skySources."""

    config: Any
    ConfigClass = SkyObjectsConfig
    _DefaultName = "skySources"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
