"""Subtask getTemplate."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config, Field
from lsst.pipe.base import Struct, Task


class GetCoaddAsTemplateConfig(Config):
    """Config of getTemplate."""

    coaddName: Any = Field(dtype=str, default="deep", doc="Kind of coadd; must be coaddName of the main task.")


class GetCoaddAsTemplateTask(Task):
    """Subtask getTemplate."""

    config: Any
    ConfigClass = GetCoaddAsTemplateConfig
    _DefaultName = "getTemplate"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
