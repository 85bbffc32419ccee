"""Subtasks that choose the stars of the kernel, by name in one registry."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config, makeRegistry
from lsst.pipe.base import Struct, Task

sourceSelectorRegistry = makeRegistry("Ways to choose the stars of the kernel.")


class ObjectSizeStarSelectorConfig(Config):
    """Config of ``objectSize``."""


class ObjectSizeStarSelectorTask(Task):
    """Stars by their size."""

    config: Any
    ConfigClass = ObjectSizeStarSelectorConfig
    _DefaultName = "objectSize"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError


sourceSelectorRegistry.register("objectSize", ObjectSizeStarSelectorTask)
