"""Clocks for workers: CPU seconds of starting, of reading and writing, and of the files' own part of it; a line each.

A module that workers import before their first quantum (`benchmarks.overhead`); a worker ends without notice, so that
each time is written at once.
"""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsst.daf.butler import DeferredDatasetHandle
from lsst.daf.butler.formatters.parquet import ParquetFormatter
from lsst.pipe.base import QuantumContext

from diapipe.tasks.repository import formatters
from diapipe.tasks.running import worker

PLACE = "DIAPIPE_CLOCKS"
"""Environment variable with the path of the file."""
OWNER = "DIAPIPE_CLOCKS_OWNER"
"""And that with the number of the process that runs the survey, whose imports are its own."""


def clocked(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, with its CPU time written down; a call within a call of the same name is part of that."""
    running = 0

    @functools.wraps(method)
    def timed(*arguments: Any, **options: Any) -> Any:
        nonlocal running
        running, begun = running + 1, time.process_time()
        try:
            return method(*arguments, **options)
        finally:
            running -= 1
            if not running:
                write(name, time.process_time() - begun)

    return timed


def write(name: str, seconds: float) -> None:
    """A line, at once."""
    with open(os.environ[PLACE], "a", encoding="utf-8") as file:
        file.write(f"{name} {seconds}\n")


def from_its_start(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """The first thing that a worker does once with its tasks, with what the process took until then and for it."""

    @functools.wraps(prepare)
    def timed(*arguments: Any) -> None:
        prepare(*arguments)
        write("start", time.process_time())

    return timed


def install() -> None:
    """Put the clocks on."""
    if os.environ[OWNER] != str(os.getpid()):
        write("start", time.process_time())  # of a fork server of its own, that imported all else before
    worker._Executor.__init__ = from_its_start(worker._Executor.__init__)  # type: ignore[method-assign]
    for kind, name in ((QuantumContext, "get"), (QuantumContext, "put"), (DeferredDatasetHandle, "get")):
        setattr(kind, name, clocked("butler", getattr(kind, name)))
    for formatter in (
        *(formatters.ExposureFormatter, formatters.DifferenceFormatter),
        *(formatters.CameraFileFormatter, formatters.TableFormatter, ParquetFormatter),
    ):
        for name in {"read_from_local_file", "write_local_file"} & vars(formatter).keys():
            setattr(formatter, name, clocked("files", getattr(formatter, name)))


def sums(path: Path) -> Counter[str]:
    """The seconds of each clock."""
    found: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        name, seconds = line.split()
        found[name] += float(seconds)  # type: ignore[assignment]
    return found


if PLACE in os.environ:
    install()
