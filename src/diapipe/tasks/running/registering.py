"""Registering what workers wrote: in batches, by the one process that speaks to the database."""

from __future__ import annotations

import logging
import time
from itertools import chain

from lsst.daf.butler import Butler, Quantum, QuantumProvenanceData
from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.resources import ResourcePath

from diapipe.tasks.running.ledger import Entry, Key, Ledger, digest, key_of
from diapipe.tasks.running.leftovers import remove_begun, remove_unregistered
from diapipe.tasks.running.outcome import Ended
from diapipe.tasks.running.worker import Report

BATCH_SECONDS, BATCH_QUANTA = 1.0, 200
"""What is written but not yet registered at any moment: at most so old, at most so many."""


class Registrar:
    """Collects what quanta wrote and registers it in batches.

    Parameters
    ----------
    butler
        Of the repository.
    repo
        Its root.
    ledger
        Keeps how each ended.
    """

    def __init__(self, butler: Butler, repo: str, ledger: Ledger) -> None:
        self.butler, self.repo, self.ledger = butler, repo, ledger
        self._waiting: list[tuple[Quantum, QuantumProvenanceData]] = []
        self._entries: list[tuple[Key, Entry]] = []
        self._last = time.monotonic()
        self._litter: set[ResourcePath] = set()

    def sweep(self) -> None:
        """Remove what crashed processes began to write; for when no worker runs."""
        remove_begun(self._litter)
        self._litter.clear()

    def add(self, task: TaskNode, quantum: Quantum, report: Report) -> None:
        """Take note of how a quantum ended and what it wrote."""
        if report.written is None:
            self._crashed(task, quantum, report.reason)
        else:
            self._waiting.append((quantum, report.written))
        self._entries.append(entry_of(task.label, quantum, report.ended, report.reason))
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Register what waits, where it waited long enough or is much."""
        if len(self._waiting) >= BATCH_QUANTA or time.monotonic() - self._last > BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Register what waits, all of it or nothing."""
        if self._waiting:
            quanta, written = zip(*self._waiting, strict=True)
            with self.butler.transaction():
                QuantumProvenanceData.collect_and_transfer(self.butler, quanta, written)
            self._waiting.clear()
        self.ledger.write(self._entries)
        self._entries.clear()
        self._last = time.monotonic()

    def _crashed(self, task: TaskNode, quantum: Quantum, reason: str) -> None:
        """Keep why a quantum ended whose process can no longer tell, and remove what it left."""
        self._litter |= remove_unregistered(self.butler, chain(*quantum.outputs.values()))
        if task.log_output is not None:
            (ref,) = quantum.outputs[task.log_output.dataset_type_name]
            self.butler.put(_log_of(reason), ref)


def entry_of(task: str, quantum: Quantum, ended: Ended, reason: str = "") -> tuple[Key, Entry]:
    """What the ledger keeps of a quantum."""
    assert quantum.dataId is not None
    run = next(chain.from_iterable(quantum.outputs.values())).run
    return key_of(task, quantum.dataId), Entry(run=run, ended=ended, reason=reason, inputs=digest(quantum))


def _log_of(reason: str) -> ButlerLogRecords:
    """A log that says one thing, in the form in which the executor of pipe_base keeps exceptions."""
    line = {"name": "diapipe.run", "levelno": logging.ERROR, "levelname": "ERROR", "msg": reason, "MDC": {}}
    records = ButlerLogRecords.from_records([ButlerLogRecord.from_record(logging.makeLogRecord(line))])
    records.extra = {"exception": {"type_name": "", "message": reason, "metadata": {}}}
    return records
