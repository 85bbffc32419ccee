"""IdleSubtask: what lines of older configurations about a subtask that is not needed speak to."""

from __future__ import annotations

import logging
from typing import Any

_LOG = logging.getLogger(__name__)


class IdleSubtask:
    """Takes whatever is said to it, keeps nothing, and tells once why it has no effect.

    Parameters
    ----------
    name
        The subtask.
    why
        End of the sentence, after "because".
    """

    def __init__(self, name: str, why: str) -> None:
        object.__setattr__(self, "_told", f"what is said of {name} is without effect, because {why}")

    def retarget(self, *_: Any, **__: Any) -> None:
        """Take another task."""
        _LOG.info(self._told)

    def load(self, *_: Any, **__: Any) -> None:
        """Take a file of lines, which is not read."""
        _LOG.info(self._told)

    def __getattr__(self, name: str) -> IdleSubtask:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        _LOG.info(self._told)

    def __setitem__(self, key: Any, value: Any) -> None:
        _LOG.info(self._told)

    def __getitem__(self, key: Any) -> IdleSubtask:
        return self

    def __ior__(self, value: Any) -> IdleSubtask:
        return self

    def __iadd__(self, value: Any) -> IdleSubtask:
        return self


class LoadIndexedReferenceObjectsTask:
    """Stands for LSST's loader of reference catalogues where older configurations name it."""
