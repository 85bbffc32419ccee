"""How far a command has come that goes over many things: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from diapipe.cli import interrupts

type Counts = Callable[[str, int, int], None]
"""Called with a stage, how many are done, and how many there are."""

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def counts_for(*, quiet: bool) -> Iterator[Counts]:
    """The reporter that fits where stderr goes."""
    if quiet:
        yield _silent
    elif sys.stderr.isatty():
        with _bar() as counts:
            yield counts
    else:
        yield _in_log()


def _silent(stage: str, done: int, total: int) -> None:
    """Say nothing, but hear an interrupt."""
    interrupts.raise_if_seen()


def _in_log() -> Counts:
    """A line at most every few seconds, so that a short run says nothing."""
    begun = last = time.perf_counter()

    def say(stage: str, done: int, total: int) -> None:
        nonlocal last
        interrupts.raise_if_seen()
        now = time.perf_counter()
        if now - last > _SECONDS_BETWEEN_LINES:
            last = now
            click.echo(f"diapipe: {now - begun:6.1f} s  {stage}: {done} of {total}", err=True)

    return say


@contextmanager
def _bar() -> Iterator[Counts]:
    """A bar for the running stage, gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, object] = {}

        def show(stage: str, done: int, total: int) -> None:
            interrupts.raise_if_seen()
            if stage not in tasks:
                for task in bars.task_ids:
                    bars.remove_task(task)
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)  # type: ignore[arg-type]

        yield show
