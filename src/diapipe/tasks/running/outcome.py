"""Outcome: how the work on one data id ended, that of a whole run, and who wants to hear of it."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from diapipe.errors import counted

N_REASONS = 6
"""Reasons told of each kind; `diapipe status --failed` tells all."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")


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


def reasons_of(outcomes: Iterable[Outcome]) -> list[str]:
    """Reasons that differ in no more than numbers, each once with its count and an example, the most frequent first."""
    alike: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        alike.setdefault((outcome.task, _NUMBER.sub("#", outcome.reason)), []).append(outcome)
    groups = sorted(alike.values(), key=len, reverse=True)
    lines = [
        f"{len(group)} {group[0].task}: {group[0].reason or 'it does not say why'} "
        f"({'such as ' if len(group) > 1 else ''}{group[0].data_id})"
        for group in groups[:N_REASONS]
    ]
    if len(groups) > N_REASONS:
        lines.append(f"and {counted(len(groups) - N_REASONS, 'other reason')}")
    return lines


@dataclass(slots=True)
class RunSummary:
    """What came of a run.

    Parameters
    ----------
    run
        The RUN that holds the new datasets; empty where nothing was to be done.
    outcomes
        One for each quantum that was planned.
    interrupted
        Whether it was stopped before its end.
    stopped
        Why the run gave up by itself; empty where it did not.
    """

    chain: str
    run: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    stopped: str = ""

    def n(self, ended: Ended) -> int:
        """How many quanta ended so."""
        return sum(outcome.ended is ended for outcome in self.outcomes)

    def counts(self) -> dict[str, Counter[Ended]]:
        """For each task, how many ended how."""
        counts: dict[str, Counter[Ended]] = {}
        for outcome in self.outcomes:
            counts.setdefault(outcome.task, Counter())[outcome.ended] += 1
        return counts

    @property
    def exit_status(self) -> int:
        """0 all done or without work, 1 something failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 1 if self.n(Ended.FAILED) or self.stopped else 0


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
