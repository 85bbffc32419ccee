"""What a worker process does: execute one quantum after the other, and die with the process that hands them out.

A worker knows the files of the repository but not its database: it writes through a `QuantumBackedButler`, and the
process that handed the quantum out registers what was written. So no worker waits for the lock of an SQLite file, and
none can leave one behind.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection
from queue import SimpleQueue
from uuid import UUID

from lsst.daf.butler import ButlerConfig, DatasetRef, DatasetType, Quantum, QuantumBackedButler, QuantumProvenanceData
from lsst.daf.butler.logging import ButlerLogRecords
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from diapipe.tasks.running.memory_tables import MemoryBridges, MemoryTables
from diapipe.tasks.running.outcome import Ended
from diapipe.tasks.running.reasons import had_no_work, no_work_reason, sentence_of

QUANTA_OF_A_BUTLER = 500
"""A datastore keeps what it once was told; it is thrown away after so many quanta."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all quanta of a step share.

    Parameters
    ----------
    repo
        Root of the repository.
    tasks
        The tasks by label.
    dataset_types
        As registered, by name.
    """

    repo: str
    tasks: Mapping[str, TaskNode]
    dataset_types: Mapping[str, DatasetType]


@dataclass(frozen=True, slots=True)
class Job:
    """A quantum to execute."""

    quantum_id: UUID
    task: str
    quantum: Quantum


@dataclass(frozen=True, slots=True)
class Report:
    """How a job ended: ``written`` is what is to be registered."""

    quantum_id: UUID
    ended: Ended
    reason: str = ""
    seconds: float = 0.0
    written: QuantumProvenanceData | None = None
    disk_full: bool = False


def work(connection: Connection) -> None:
    """Execute what comes through the connection until it closes; for the main thread of a process."""
    _prepare_process()
    arrived: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, arrived), daemon=True).start()
    executor: _Executor | None = None
    while True:
        message = pickle.loads(arrived.get())
        if isinstance(message, Job):
            assert executor is not None
            connection.send(executor.execute(message))
        elif executor is None:
            executor = _Executor(message)
        else:
            executor.equip(message)


def _prepare_process() -> None:
    """Interrupts are left to the parent, log lines to the butler."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger().addHandler(logging.NullHandler())
    for name in ("lsst", "diapipe"):
        logging.getLogger(name).setLevel(logging.INFO)


def _listen(connection: Connection, arrived: SimpleQueue[bytes]) -> None:
    """Queue what arrives; end the process at once, whatever it does, when the other end is gone."""
    while True:
        try:
            arrived.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)


class _Executor:
    """Executes quanta of one repository, one at a time."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._config = ButlerConfig(bench.repo)
        self._n_executed = 0
        self._renew()

    def _renew(self) -> None:
        """A datastore that knows nothing yet: 50 ms, so it is shared by many quanta."""
        universe = next(iter(self._bench.dataset_types.values())).dimensions.universe
        self._shared = QuantumBackedButler.from_predicted(
            self._config, [], [], universe, {}, OpaqueManagerClass=MemoryTables, BridgeManagerClass=MemoryBridges
        )
        self._known: set[UUID] = set()

    def equip(self, bench: Bench) -> None:
        """Go on with another step of the same repository."""
        self._bench = bench

    def execute(self, job: Job) -> Report:
        """Run the task; whatever it raises ends as a report."""
        begun = time.perf_counter()
        if self._n_executed and self._n_executed % QUANTA_OF_A_BUTLER == 0:
            self._shared.close()
            self._renew()
        self._n_executed += 1
        try:
            butler = self._butler_for(job.quantum)
        except Exception as error:
            return Report(job.quantum_id, Ended.FAILED, sentence_of(error), time.perf_counter() - begun)
        records = ButlerLogRecords.from_records([])
        executor = SingleQuantumExecutor(butler=butler, assume_no_existing_outputs=True)
        try:
            done = executor.execute(self._bench.tasks[job.task], job.quantum, job.quantum_id, log_records=records)
        except Exception as error:
            self._withdraw(butler, job)
            return Report(
                job.quantum_id,
                Ended.FAILED,
                sentence_of(error),
                time.perf_counter() - begun,
                butler.extract_provenance_data(),
                _is_disk_full(error),
            )
        no_work = done.adjusted_no_work or (done.task_metadata is not None and had_no_work(done.task_metadata))
        return Report(
            job.quantum_id,
            Ended.NO_WORK if no_work else Ended.DONE,
            no_work_reason(records) if no_work else "",
            time.perf_counter() - begun,
            butler.extract_provenance_data(),
        )

    def _butler_for(self, quantum: Quantum) -> QuantumBackedButler:
        """A butler that knows this quantum's datasets, over the shared datastore."""
        for_store = {
            name: records.subset(set(records.records) - self._known)
            for name, records in quantum.datastore_records.items()
        }
        for records in for_store.values():
            if records is not None:
                self._known |= set(records.records)
        self._known.update(_ids(chain(*quantum.outputs.values())))
        self._shared._datastore.import_records({name: r for name, r in for_store.items() if r is not None})
        return QuantumBackedButler(
            _ids(chain(quantum.initInputs.values(), *quantum.inputs.values())),
            _ids(chain(*quantum.outputs.values())),
            self._shared.dimensions,
            self._shared._datastore,
            self._shared.storageClasses,
            self._bench.dataset_types,
        )

    def _withdraw(self, butler: QuantumBackedButler, job: Job) -> None:
        """Remove what a failed quantum wrote, all but its log."""
        log = self._bench.tasks[job.task].log_output
        refs = [
            ref
            for kind, refs in job.quantum.outputs.items()
            for ref in refs
            if log is None or kind.name != log.dataset_type_name
        ]
        written = [ref for ref, stored in butler.stored_many(refs).items() if stored]
        butler.pruneDatasets(written, disassociate=True, unstore=True, purge=True)


def _ids(refs: Iterable[DatasetRef]) -> list[UUID]:
    return [ref.id for ref in refs]


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a device without space."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
