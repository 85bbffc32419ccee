"""Subtask astrometer."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config
from lsst.pipe.base import Struct, Task


class AstrometryConfig(Config):
    """Config of astrometer."""


class AstrometryTask(Task):
    """Subtask astrometer."""

    config: Any
    ConfigClass = AstrometryConfig
    _DefaultName = "astrometer"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
