"""execute: the quanta of one graph on a pool of workers, in the order in which they depend on each other."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import networkx
from lsst.daf.butler import DataCoordinate, Quantum
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from diapipe.tasks.running.outcome import Ended, Outcome, Watcher
from diapipe.tasks.running.pool import WorkerPool
from diapipe.tasks.running.recovery import settle
from diapipe.tasks.running.registering import Registrar
from diapipe.tasks.running.schedule import Schedule
from diapipe.tasks.running.worker import Bench, Job, Report

WAIT_SECONDS = 0.5


def execute(
    graph: PredictedQuantumGraph,
    registrar: Registrar,
    pool: WorkerPool,
    watcher: Watcher,
    outcomes: list[Outcome],
    *,
    graph_file: Path,
) -> str:
    """Run all quanta.

    Parameters
    ----------
    graph
        Complete, with datastore records.
    registrar, pool, watcher
        Who registers, works and is told.
    outcomes
        Takes one for each quantum as it ends, so that an interrupt leaves those that did.
    graph_file
        The graph on disk: removed once all that was done is registered, so that it stays only if something was not.

    Returns
    -------
    str
        Why it gave up before the end; empty where it did not.
    """
    execution = _Execution(graph, registrar, pool, watcher, outcomes)
    try:
        stopped = execution.run()
    except BaseException:
        execution.abandon()
        graph_file.unlink()
        raise
    graph_file.unlink()
    return stopped


class _Execution:
    def __init__(
        self,
        graph: PredictedQuantumGraph,
        registrar: Registrar,
        pool: WorkerPool,
        watcher: Watcher,
        outcomes: list[Outcome],
    ) -> None:
        self._nodes = graph.quantum_only_xgraph.nodes
        self._quanta: dict[UUID, Quantum] = graph.build_execution_quanta()
        self._tasks = dict(graph.pipeline_graph.tasks.items())
        self._schedule = Schedule(_order(graph), graph.quantum_only_xgraph.succ)
        self._registrar, self._pool, self._watcher, self._outcomes = registrar, pool, watcher, outcomes
        self._types = {node.name: node.dataset_type for node in graph.pipeline_graph.dataset_types.values()}
        pool.equip(Bench(registrar.repo, self._tasks, self._types))
        self._stopped = ""

    def run(self) -> str:
        """Hand out and collect until nothing is left."""
        while True:
            while not self._stopped and self._pool.has_room and (quantum := self._schedule.next()) is not None:
                self._begin(quantum)
            if not self._pool.n_running:
                break
            for report in self._pool.wait(WAIT_SECONDS):
                self._end(report)
            self._registrar.flush_if_due()
        self._registrar.flush()
        self._registrar.sweep()
        return self._stopped

    def abandon(self) -> None:
        """End the workers; keep what is done, remove what was half done."""
        for report in self._pool.wait(0.0):
            self._end(report)
        running = self._pool.close()
        registrar = self._registrar
        registrar.flush()
        registrar.sweep()
        settle(
            registrar.butler,
            registrar.repo,
            [(job.task, job.quantum) for job in running],
            self._types,
            registrar.ledger,
        )

    def _begin(self, quantum_id: UUID) -> None:
        task = self._nodes[quantum_id]["task_label"]
        self._pool.submit(Job(quantum_id, task, self._quanta[quantum_id]))
        self._watcher.begin_quantum(task)

    def _end(self, report: Report) -> None:
        quantum, task = self._quanta.pop(report.quantum_id), self._nodes[report.quantum_id]["task_label"]
        self._registrar.add(self._tasks[task], quantum, report)
        self._tell(report.quantum_id, report.ended, report.reason, report.seconds)
        if report.ended is not Ended.FAILED:
            self._schedule.succeed(report.quantum_id)
            return
        if report.disk_full:
            self._stopped = "the disk is full"
        for lost in self._schedule.fail(report.quantum_id):
            self._tell(lost, Ended.SKIPPED, f"{task} failed for {self._data_id(report.quantum_id)}")

    def _tell(self, quantum_id: UUID, ended: Ended, reason: str, seconds: float = 0.0) -> None:
        outcome = Outcome(
            quantum_id=quantum_id,
            task=self._nodes[quantum_id]["task_label"],
            data_id=self._data_id(quantum_id),
            ended=ended,
            reason=reason,
            seconds=seconds,
        )
        self._outcomes.append(outcome)
        self._watcher.end_quantum(outcome)

    def _data_id(self, quantum_id: UUID) -> str:
        return in_words(self._nodes[quantum_id]["data_id"])


def in_words(data_id: DataCoordinate) -> str:
    """A data id as a person writes it, without what is the same everywhere."""
    values = {name: value for name, value in data_id.required.items() if name not in ("instrument", "skymap")}
    first = [name for name in ("visit", "detector", "tract", "patch", "band") if name in values]
    return " ".join(f"{name}={values[name]}" for name in [*first, *(values.keys() - set(first))])


def _order(graph: PredictedQuantumGraph) -> list[UUID]:
    """Quanta so that none comes before what it waits for; beside that by task and data id, the same in each run."""
    rank = {label: n for n, label in enumerate(graph.pipeline_graph.tasks)}
    nodes = graph.quantum_only_xgraph.nodes
    return list(
        networkx.lexicographical_topological_sort(
            graph.quantum_only_xgraph,
            key=lambda quantum: (rank[nodes[quantum]["task_label"]], _visit_first(nodes[quantum]["data_id"])),
        )
    )


def _visit_first(data_id: DataCoordinate) -> tuple[object, ...]:
    """Sorts the data ids of a task by visit, then by the rest."""
    return data_id.get("visit", 0), *data_id.required_values
