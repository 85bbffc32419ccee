"""RunLog: the lines that a task and its subtasks log while they run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class RunLog:
    """Keeps the lines of the last run.

    Parameters
    ----------
    name
        Logger of the task; those of its subtasks are below it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep what is logged in the block, in place of what was kept before."""
        self.lines.clear()
        handler, logger = _Lines(self.lines), logging.getLogger(self.name)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _Lines(logging.Handler):
    """Puts log records into a list, as lines."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
