"""Subtask scaleVariance."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config
from lsst.pipe.base import Struct, Task


class ScaleVarianceConfig(Config):
    """Config of scaleVariance."""


class ScaleVarianceTask(Task):
    """Subtask scaleVariance."""

    config: Any
    ConfigClass = ScaleVarianceConfig
    _DefaultName = "scaleVariance"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
