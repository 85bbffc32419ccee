"""Registering what workers wrote: in batches, by the one process that speaks to the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from itertools import chain
from uuid import UUID

from lsst.daf.butler import Butler, Quantum, QuantumProvenanceData
from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.resources import ResourcePath

from diapipe.tasks.running.ledger import Entry, Key, Ledger, digest_of, key_of
from diapipe.tasks.running.leftovers import remove_begun, remove_unregistered
from diapipe.tasks.running.outcome import Ended
from diapipe.tasks.running.worker import Report

BATCH_SECONDS, BATCH_QUANTA = 30.0, 200
"""What is written but not yet registered at any moment: at most so old, at most so many.

A transaction costs some 10 ms for each kind of dataset in it, however many there are: short batches of long quanta paid
that for nearly every quantum. What a killed run had not registered is found by the graph it left (`recover`).
"""


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
        self._entries.append(entry_of(task.label, quantum, report.ended, report.reason, read=_read(quantum, report)))
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


def entry_of(
    task: str, quantum: Quantum, ended: Ended, reason: str = "", *, read: Collection[UUID] = ()
) -> tuple[Key, Entry]:
    """What the ledger keeps of a quantum; without the inputs it read, these count as unknown."""
    assert quantum.dataId is not None
    run = next(chain.from_iterable(quantum.outputs.values())).run
    inputs = digest_of(read) if read else ""
    return key_of(task, quantum.dataId), Entry(run=run, ended=ended, reason=reason, inputs=inputs)


def _read(quantum: Quantum, report: Report) -> set[UUID]:
    """Inputs that were there: those known when the graph was built, and those that earlier quanta then wrote."""
    predicted = {ref.id for refs in quantum.inputs.values() for ref in refs}
    known = {name for records in quantum.datastore_records.values() for name in records.records}
    written = report.written.available_inputs if report.written is not None else set()
    return predicted & (known | written)


def _log_of(reason: str) -> ButlerLogRecords:
    """A log that says one thing, in the form in which the executor of pipe_base keeps exceptions."""
    line = {"name": "diapipe.run", "levelno": logging.ERROR, "levelname": "ERROR", "msg": reason, "MDC": {}}
    records = ButlerLogRecords.from_records([ButlerLogRecord.from_record(logging.makeLogRecord(line))])
    records.extra = {"exception": {"type_name": "", "message": reason, "metadata": {}}}
    return records
