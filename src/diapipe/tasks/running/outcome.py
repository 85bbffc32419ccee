"""Outcome: how the work on one data id ended, and who wants to hear of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Ended(StrEnum):
    """The four ways."""

    DONE = "done"
    NO_WORK = "no work"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not begun, because something it needs failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one quantum ended.

    Parameters
    ----------
    task
        Label of the task in the pipeline.
    data_id
        Dimensions and values, such as ``visit=12 detector=3``.
    reason
        One sentence of why it failed or found no work; empty where it is done.
    seconds
        Wall time it took.
    """

    quantum_id: uuid.UUID
    task: str
    data_id: str
    ended: Ended
    reason: str = ""
    seconds: float = 0.0


class Watcher(Protocol):
    """Whoever shows the progress of a run."""

    def say(self, sentence: str) -> None:
        """Tell what happens between the steps."""

    def begin_step(self, name: str, totals: Mapping[str, int]) -> None:
        """A step begins with so many quanta of each task."""

    def begin_quantum(self, task: str) -> None:
        """A worker takes up a quantum."""

    def end_quantum(self, outcome: Outcome) -> None:
        """A quantum ended, or never begins."""

    def end_step(self) -> None:
        """All quanta of the step ended, or the run was interrupted."""


class Silence:
    """A watcher that shows nothing."""

    def say(self, sentence: str) -> None:
        """Nothing."""

    def begin_step(self, name: str, totals: Mapping[str, int]) -> None:
        """Nothing."""

    def begin_quantum(self, task: str) -> None:
        """Nothing."""

    def end_quantum(self, outcome: Outcome) -> None:
        """Nothing."""

    def end_step(self) -> None:
        """Nothing."""
