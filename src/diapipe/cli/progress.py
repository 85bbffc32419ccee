"""What a person sees while a command works: a spinner on a terminal, plain lines in a log, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from diapipe.cli import interrupts

type Progress = Callable[[str], None]


@contextmanager
def progress_for(*, quiet: bool) -> Iterator[Progress]:
    """The reporter that fits where stderr goes; call it with the name of a stage as it begins."""
    if quiet:
        yield _interruptible(_silent)
    elif sys.stderr.isatty():
        with _on_terminal() as progress:
            yield _interruptible(progress)
    else:
        yield _interruptible(_in_log())


def _interruptible(progress: Progress) -> Progress:
    """The same, ending the command where an interrupt was dropped in the stage before."""

    def begin(stage: str) -> None:
        interrupts.raise_if_seen()
        progress(stage)

    return begin


def _silent(stage: str) -> None:
    """Say nothing."""


def _in_log() -> Progress:
    """A line for every stage as it begins, with the seconds since the start."""
    begun = time.perf_counter()

    def say(stage: str) -> None:
        click.echo(f"diapipe: {time.perf_counter() - begun:6.1f} s  {stage}", err=True)

    return say


@contextmanager
def _on_terminal() -> Iterator[Progress]:
    """A spinner with the running stage's seconds; a finished stage leaves its line."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn

    console = Console(stderr=True, highlight=False)
    bars = Bars(
        SpinnerColumn(), TextColumn("{task.description}"), TextColumn("[dim]{task.elapsed:.1f} s"),
        console=console, transient=True,
    )  # fmt: skip
    running: list[tuple[str, float]] = []

    def finish() -> None:
        if running:
            stage, begun = running.pop()
            console.print(f"[green]✓[/green] {stage} [dim]{time.perf_counter() - begun:.2f} s")
            for task in bars.task_ids:
                bars.remove_task(task)

    def begin(stage: str) -> None:
        finish()
        running.append((stage, time.perf_counter()))
        bars.add_task(stage, total=None)

    with bars:
        yield begin
        finish()
