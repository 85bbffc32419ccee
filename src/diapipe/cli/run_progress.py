"""What a person sees while a survey runs: a table that lives on a terminal, plain lines in a log, or nothing."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from diapipe.tasks.running import Outcome, Watcher

LINE_SECONDS = 20.0
"""A log takes a line of progress so often."""


@contextmanager
def watcher_for(*, quiet: bool, n_workers: int) -> Iterator[Watcher | None]:
    """The watcher that fits where stderr goes."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _OnTerminal(n_workers) as watcher:
            yield watcher
    else:
        yield _InLog(n_workers)


class StepCounts:
    """How far a step is.

    Parameters
    ----------
    name
        Of the step.
    totals
        Quanta of each task.
    n_workers
        Quanta at once.
    """

    def __init__(self, name: str, totals: Mapping[str, int], n_workers: int) -> None:
        self.name, self.totals, self._n_workers = name, dict(totals), n_workers
        self.ended: dict[str, Counter[str]] = {task: Counter() for task in totals}
        self.running: Counter[str] = Counter()
        self._seconds: dict[str, float] = dict.fromkeys(totals, 0.0)
        self._begun = time.monotonic()

    def end(self, outcome: Outcome) -> None:
        """Count a quantum that ended."""
        self.ended[outcome.task][outcome.ended.value] += 1
        self._seconds[outcome.task] += outcome.seconds
        if outcome.ended.value != "skipped":
            self.running[outcome.task] -= 1

    def left(self, task: str) -> int:
        """Quanta not yet begun."""
        return self.totals[task] - self.ended[task].total() - self.running[task]

    @property
    def is_over(self) -> bool:
        """Whether all quanta ended."""
        return sum(counts.total() for counts in self.ended.values()) == sum(self.totals.values())

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.monotonic() - self._begun

    def seconds_to_go(self) -> float | None:
        """From the mean time of each task; None before the first quantum ended."""
        n_timed = sum(counts.total() - counts["skipped"] for counts in self.ended.values())
        if not n_timed:
            return None
        mean = sum(self._seconds.values()) / n_timed
        to_go = 0.0
        for task, counts in self.ended.items():
            n = counts.total() - counts["skipped"]
            each = self._seconds[task] / n if n else mean
            to_go += each * (self.left(task) + 0.5 * self.running[task])
        return to_go / self._n_workers


def duration(seconds: float) -> str:
    """A time as one says it: ``3 min 12 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


class _InLog:
    """A line as a step begins, now and then while it runs, and for every failure."""

    def __init__(self, n_workers: int) -> None:
        self._n_workers, self._begun = n_workers, time.monotonic()
        self._step: StepCounts | None = None
        self._last = 0.0

    def say(self, sentence: str) -> None:
        click.echo(f"diapipe: {time.monotonic() - self._begun:6.1f} s  {sentence}", err=True)

    def begin_step(self, name: str, totals: Mapping[str, int]) -> None:
        self._step, self._last = StepCounts(name, totals, self._n_workers), time.monotonic()
        self.say(f"{name}: " + ", ".join(f"{n} {task}" for task, n in totals.items()))

    def begin_quantum(self, task: str) -> None:
        assert self._step is not None
        self._step.running[task] += 1

    def end_quantum(self, outcome: Outcome) -> None:
        assert self._step is not None
        self._step.end(outcome)
        if outcome.ended.value == "failed":
            self.say(f"{outcome.task} failed for {outcome.data_id}: {outcome.reason}")
        if time.monotonic() - self._last > LINE_SECONDS and not self._step.is_over:
            self._last = time.monotonic()
            self.say(_one_line(self._step))

    def end_step(self) -> None:
        if self._step is not None:
            self.say(_one_line(self._step))


def _one_line(step: StepCounts) -> str:
    """The state of a step in a line."""
    n_ended = sum(counts.total() for counts in step.ended.values())
    total, to_go = sum(step.totals.values()), step.seconds_to_go()
    line = f"{step.name}: {n_ended} of {total}"
    for kind in ("no work", "failed", "skipped"):
        if n := sum(counts[kind] for counts in step.ended.values()):
            line += f", {n} {kind}"
    return line + (f", {duration(to_go)} to go" if to_go and n_ended < total else "")


class _OnTerminal:
    """A table of the running step, drawn anew four times a second; each step leaves its last."""

    def __init__(self, n_workers: int) -> None:
        from rich.console import Console

        self._console: Console = Console(stderr=True, highlight=False)
        self._n_workers = n_workers
        self._step: StepCounts | None = None

    def __enter__(self) -> _OnTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_step()

    def say(self, sentence: str) -> None:
        self._console.print(f"[dim]{sentence}[/dim]")

    def begin_step(self, name: str, totals: Mapping[str, int]) -> None:
        from rich.live import Live

        self._step = StepCounts(name, totals, self._n_workers)
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)
        self._live.start()

    def begin_quantum(self, task: str) -> None:
        assert self._step is not None
        self._step.running[task] += 1

    def end_quantum(self, outcome: Outcome) -> None:
        assert self._step is not None
        self._step.end(outcome)

    def end_step(self) -> None:
        if self._step is not None:
            self._live.stop()
            self._step = None

    def _table(self) -> Table:
        from rich.table import Table

        step = self._step
        assert step is not None
        to_go = step.seconds_to_go()
        n_ended, total = sum(c.total() for c in step.ended.values()), sum(step.totals.values())
        title = f"{step.name}: {n_ended} of {total} in {duration(step.seconds)}"
        title += f", {duration(to_go)} to go" if to_go and n_ended < total else ""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in ("", "done", "running", "left", "no work", "failed", "skipped"):
            table.add_column(heading, justify="right" if heading else "left")
        for task, counts in step.ended.items():
            failed = f"[red]{counts['failed']}[/red]" if counts["failed"] else "0"
            table.add_row(
                task,
                f"[green]{counts['done']}[/green]",
                str(step.running[task]),
                str(step.left(task)),
                str(counts["no work"]),
                failed,
                str(counts["skipped"]),
            )
        return table
