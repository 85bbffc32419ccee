"""Subtask getTemplate."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config
from lsst.pipe.base import Struct, Task


class GetCoaddAsTemplateConfig(Config):
    """Config of getTemplate."""


class GetCoaddAsTemplateTask(Task):
    """Subtask getTemplate."""

    config: Any
    ConfigClass = GetCoaddAsTemplateConfig
    _DefaultName = "getTemplate"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
