"""Subtask applyApCorr."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config
from lsst.pipe.base import Struct, Task


class ApplyApCorrConfig(Config):
    """Config of applyApCorr."""


class ApplyApCorrTask(Task):
    """Subtask applyApCorr."""

    config: Any
    ConfigClass = ApplyApCorrConfig
    _DefaultName = "applyApCorr"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
