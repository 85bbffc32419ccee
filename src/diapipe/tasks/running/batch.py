"""BatchExecutor: the quanta of a step by `bps submit`, and how each of them ended, told by what it left.

`bps submit` ends with 0 even if every job failed. What counts is the repository: a quantum whose metadata are there is
done, one with nothing but a log failed, and of the rest some had to wait for those.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import networkx
import yaml  # type: ignore[import-untyped]
from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from diapipe.errors import UsageError
from diapipe.tasks.running.execution import in_words
from diapipe.tasks.running.ledger import Entry, Key
from diapipe.tasks.running.outcome import Ended, Outcome, Watcher
from diapipe.tasks.running.reasons import failure_reason, had_no_work, no_work_reason
from diapipe.tasks.running.registering import Registrar, entry_of
from diapipe.tasks.running.submission import Submission, bps_environment

GRACE_SECONDS = 60.0

JOBS = "jobs"
"""Folder that bps makes for its own files and the logs of the jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchExecutor:
    """Runs the graph of a step through bps.

    Parameters
    ----------
    site
        File of the site, from `site_file`.
    folder
        Where the submit files and the logs of the jobs go, a folder for each step; on a cluster all nodes see it.
    chain
        The output.
    cores
        Jobs at once, where the site is this machine.
    """

    site: Path
    folder: Path
    chain: str
    cores: int = 1

    def __call__(
        self,
        graph: PredictedQuantumGraph,
        registrar: Registrar,
        pool: object,
        watcher: Watcher,
        outcomes: list[Outcome],
        *,
        graph_file: Path,
    ) -> str:
        """Run all quanta; parameters and result as of `diapipe.tasks.running.execution.execute`."""
        place = (self.folder / graph_file.stem.replace(", ", "_")).absolute()
        failed = self._submit(graph, registrar.repo, graph_file, place, watcher)
        registrar.butler.registry.refresh()
        ended = list(outcomes_of(graph, registrar.butler, place / JOBS / "logs"))
        registrar.ledger.write(_entries(graph, registrar.butler, ended))
        for outcome in ended:
            outcomes.append(outcome)
            if outcome.ended is not Ended.SKIPPED:
                watcher.begin_quantum(outcome.task)
            watcher.end_quantum(outcome)
        if failed:
            return f"bps did not come to its end (see {failed})"
        graph_file.unlink()  # all that was done is registered
        return ""

    def _submit(
        self, graph: PredictedQuantumGraph, repo: str, graph_file: Path, place: Path, watcher: Watcher
    ) -> Path | None:
        """Submit and wait; the log of bps where it failed."""
        place.mkdir(parents=True, exist_ok=True)
        own_graph = place / "step.qg"
        shutil.copyfile(graph_file, own_graph)
        told = Submission(
            site=self.site,
            repo=Path(repo).absolute(),
            graph_file=own_graph,
            folder=place / JOBS,
            chain=self.chain,
            run=graph.header.output_run,
            step=place.name.rpartition(".")[2],
            labels=tuple(graph.quanta_by_task),
            cores=self.cores,
        ).description()
        submit_file, log = place / "submit_diapipe.yaml", place / "bps.log"
        submit_file.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
        watcher.say(f"bps submit {submit_file}")
        status = _bps(submit_file, log)
        return log if status else None


def _check_installed() -> None:
    try:
        found = importlib.util.find_spec("lsst.ctrl.bps.parsl")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise UsageError("diapipe submit needs bps with Parsl, which is not installed: pip install 'diapipe[bps]'")


def _bps(submit_file: Path, log: Path) -> int:
    """Exit status of `bps submit`, which is ended with us."""
    _check_installed()
    with log.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "diapipe.tasks.running.bps_process", submit_file],
            cwd=submit_file.parent,
            env={**os.environ, **bps_environment()},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            return child.wait()
        except BaseException:
            _end_politely(child)
            raise


def _end_politely(child: subprocess.Popen[bytes]) -> None:
    """Let bps end its workers and give back what it has of a cluster; kill it if it does not."""
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def outcomes_of(graph: PredictedQuantumGraph, butler: Butler, logs: Path) -> Iterator[Outcome]:
    """How each quantum of a graph ended, in an order in which none comes before what it waited for.

    Parameters
    ----------
    graph
        Complete.
    butler
        That of the repository, once what the jobs wrote is registered.
    logs
        Folder of the jobs' own logs, for those that left nothing else.
    """
    run = graph.header.output_run
    nodes, order = graph.quantum_only_xgraph.nodes, graph.quantum_only_xgraph
    left = {
        label: (_left(butler, f"{label}_metadata", run), _left(butler, f"{label}_log", run))
        for label in graph.quanta_by_task
    }
    lost: dict[UUID, str] = {}
    for quantum_id in networkx.topological_sort(order):
        label, data_id = nodes[quantum_id]["task_label"], nodes[quantum_id]["data_id"]
        metadata, log = (found.get(tuple(data_id.required_values)) for found in left[label])
        blocked = next((lost[before] for before in order.predecessors(quantum_id) if before in lost), "")
        ended, reason = _end(butler, metadata, log, blocked, logs)
        if ended in (Ended.FAILED, Ended.SKIPPED):
            lost[quantum_id] = blocked or f"{label} failed for {in_words(data_id)}"
        yield Outcome(quantum_id=quantum_id, task=label, data_id=in_words(data_id), ended=ended, reason=reason)


def _entries(graph: PredictedQuantumGraph, butler: Butler, outcomes: Iterable[Outcome]) -> Iterator[tuple[Key, Entry]]:
    """What the ledger keeps of quanta that were begun."""
    quanta = graph.build_execution_quanta()
    run = graph.header.output_run
    info = butler.collections.get_info(run, include_summary=True)
    there = {ref.id for kind in info.dataset_types or () for ref in _left(butler, kind, run).values()}
    for outcome in outcomes:
        if outcome.ended is not Ended.SKIPPED:
            quantum = quanta[outcome.quantum_id]
            known = there.union(*(records.records for records in quantum.datastore_records.values()))
            read = {ref.id for refs in quantum.inputs.values() for ref in refs} & known
            yield entry_of(outcome.task, quantum, outcome.ended, outcome.reason, read=read)


def _end(
    butler: Butler, metadata: DatasetRef | None, log: DatasetRef | None, blocked: str, logs: Path
) -> tuple[Ended, str]:
    """How a quantum ended that left this."""
    if metadata is not None:
        if had_no_work(butler.get(metadata)):
            return Ended.NO_WORK, no_work_reason(butler.get(log)) if log is not None else ""
        return Ended.DONE, ""
    if log is not None:
        return Ended.FAILED, failure_reason(butler.get(log))
    return (Ended.SKIPPED, blocked) if blocked else (Ended.FAILED, f"its job left nothing but what {logs} may tell")


def _left(butler: Butler, kind: str, run: str) -> dict[tuple[Any, ...], DatasetRef]:
    """The datasets of a kind that a run holds, by data id."""
    try:
        found = butler.query_datasets(kind, collections=run, find_first=False, limit=None, explain=False)
    except MissingDatasetTypeError:
        return {}
    return {tuple(ref.dataId.required_values): ref for ref in found}
