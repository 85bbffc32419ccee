"""Subtask forcedMeasurement."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config
from lsst.pipe.base import Struct, Task


class ForcedMeasurementConfig(Config):
    """Config of forcedMeasurement."""


class ForcedMeasurementTask(Task):
    """Subtask forcedMeasurement."""

    config: Any
    ConfigClass = ForcedMeasurementConfig
    _DefaultName = "forcedMeasurement"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
