"""Subtask register."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config
from lsst.pipe.base import Struct, Task


class RegisterConfig(Config):
    """Config of register."""


class RegisterTask(Task):
    """Subtask register."""

    config: Any
    ConfigClass = RegisterConfig
    _DefaultName = "register"

    def run(self, *args: Any, **given: Any) -> Struct:
        """Do it."""
        raise NotImplementedError
