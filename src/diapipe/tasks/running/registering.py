"""Registering what workers wrote: in batches, by the one process that speaks to the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from uuid import UUID

from lsst.daf.butler import Butler, DatasetRef, Quantum, QuantumBackedButler, QuantumProvenanceData
from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from diapipe.tasks.running.ledger import Entry, Key, Ledger, digest, key_of
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
        self.butler, self.repo, self._ledger = butler, repo, ledger
        self._waiting: list[tuple[Quantum, QuantumProvenanceData]] = []
        self._entries: list[tuple[Key, Entry]] = []
        self._last = time.monotonic()

    def add(self, task: TaskNode, quantum: Quantum, report: Report) -> None:
        """Take note of how a quantum ended and what it wrote."""
        if report.written is None:
            self._crashed(task, quantum, report.reason)
        else:
            self._waiting.append((quantum, report.written))
        self._entries.append(_entry(task.label, quantum, report.ended, report.reason))
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
        self._ledger.write(self._entries)
        self._entries.clear()
        self._last = time.monotonic()

    def _crashed(self, task: TaskNode, quantum: Quantum, reason: str) -> None:
        """Keep why a quantum ended whose process can no longer tell, and remove what it left."""
        remove_unregistered(self.butler, chain(*quantum.outputs.values()))
        if task.log_output is not None:
            (ref,) = quantum.outputs[task.log_output.dataset_type_name]
            self.butler.put(_log_of(reason), ref)


def _entry(task: str, quantum: Quantum, ended: Ended, reason: str = "") -> tuple[Key, Entry]:
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


def recover(butler: Butler, repo: str, graph_file: Path, ledger: Ledger) -> tuple[int, int]:
    """Register what a killed run had done, and remove what it had half done.

    Returns
    -------
    n_registered, n_removed
        Quanta whose outputs are registered now; datasets that were removed.

    Notes
    -----
    The executor writes a quantum's metadata after all else but its log: a quantum whose metadata are there is done.
    """
    graph = PredictedQuantumGraph.read_execution_quanta(str(graph_file))
    quanta = graph.build_execution_quanta()
    known = _known(butler, graph)
    with _reading(repo, graph, quanta.values()) as written:
        finished: list[DatasetRef] = []
        leftovers: list[DatasetRef] = []
        entries: list[tuple[Key, Entry]] = []
        for quantum_id, quantum in quanta.items():
            label = graph.quantum_only_xgraph.nodes[quantum_id]["task_label"]
            refs = [ref for ref in chain(*quantum.outputs.values()) if ref.id not in known]
            stored = [ref for ref, there in written.stored_many(refs).items() if there]
            if any(ref.datasetType.name == f"{label}_metadata" for ref in stored):
                finished += stored
                entries.append(_entry(label, quantum, Ended.DONE))
            else:
                leftovers += stored
        if finished:
            butler.transfer_from(written, finished, transfer="auto", skip_missing=False, transfer_dimensions=False)
    ledger.write(entries)
    remove_unregistered(butler, leftovers)
    return len(entries), len(leftovers)


def _reading(repo: str, graph: PredictedQuantumGraph, quanta: Iterable[Quantum]) -> QuantumBackedButler:
    """A butler that finds the outputs of quanta by where they must lie."""
    outputs = [ref.id for quantum in quanta for ref in chain(*quantum.outputs.values())]
    types = {node.name: node.dataset_type for node in graph.pipeline_graph.dataset_types.values()}
    return QuantumBackedButler.from_predicted(repo, outputs, [], graph.pipeline_graph.universe, {}, dataset_types=types)


def _known(butler: Butler, graph: PredictedQuantumGraph) -> set[UUID]:
    """Ids of the datasets of the graph's run that are registered."""
    run = graph.header.output_run
    info = butler.collections.get_info(run, include_summary=True)
    return {
        ref.id
        for kind in info.dataset_types or ()
        for ref in butler.query_datasets(kind, collections=run, find_first=False, limit=None, explain=False)
    }


def remove_unregistered(butler: Butler, refs: Iterable[DatasetRef]) -> None:
    """Remove the files of datasets that no database knows."""
    for ref in refs:
        uri = butler.getURI(ref, predict=True)
        if uri.exists():
            uri.remove()
