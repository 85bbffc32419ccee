"""Recovery: what workers had done that were ended before they could tell, or whose run was killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from uuid import UUID

from lsst.daf.butler import Butler, DatasetRef, DatasetType, Quantum, QuantumBackedButler
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from diapipe.tasks.running.ledger import Entry, Key, Ledger
from diapipe.tasks.running.leftovers import remove_begun, remove_unregistered
from diapipe.tasks.running.outcome import Ended
from diapipe.tasks.running.reasons import had_no_work, no_work_reason
from diapipe.tasks.running.registering import entry_of

METADATA, LOG = "_metadata", "_log"


@dataclass(frozen=True, slots=True)
class Recovered:
    """Quanta whose outputs are registered now, and files of others that were removed."""

    n_registered: int
    n_removed: int


def recover(butler: Butler, repo: str, graph_file: Path, ledger: Ledger) -> Recovered:
    """Settle all quanta of a run that was killed."""
    graph = PredictedQuantumGraph.read_execution_quanta(str(graph_file))
    quanta = graph.build_execution_quanta()
    nodes = graph.quantum_only_xgraph.nodes
    types = {node.name: node.dataset_type for node in graph.pipeline_graph.dataset_types.values()}
    known = _known(butler, graph.header.output_run)
    return settle(
        butler, repo, [(nodes[name]["task_label"], quantum) for name, quantum in quanta.items()], types, ledger, known
    )


def settle(
    butler: Butler,
    repo: str,
    quanta: Iterable[tuple[str, Quantum]],
    dataset_types: Mapping[str, DatasetType],
    ledger: Ledger,
    known: set[UUID] | None = None,
) -> Recovered:
    """Register what is done of some quanta that nobody works on any more, and remove what is half done.

    Parameters
    ----------
    butler, repo
        The repository and its root.
    quanta
        With the labels of their tasks.
    dataset_types
        As registered, by name.
    ledger
        Takes how they ended.
    known
        Datasets that are registered already.

    Notes
    -----
    The executor writes a quantum's metadata after all else but its log: a quantum whose metadata are there is done, and
    may have begun to write its log.
    """
    pairs = list(quanta)
    done: list[tuple[str, Quantum, list[DatasetRef]]] = []
    undone: list[DatasetRef] = []
    unwritten: list[DatasetRef] = []
    with _by_place(repo, butler, [quantum for _, quantum in pairs], dataset_types) as files:
        for label, quantum in pairs:
            refs = [ref for ref in chain(*quantum.outputs.values()) if known is None or ref.id not in known]
            stored = [ref for ref, there in files.stored_many(refs).items() if there]
            if any(ref.datasetType.name == label + METADATA for ref in stored):
                done.append((label, quantum, stored))
                unwritten += [ref for ref in refs if ref not in stored]
            else:
                undone += refs
        n_removed = sum(files.stored_many(undone).values())
        finished = [ref for _, _, refs in done for ref in refs]
        if finished:
            butler.transfer_from(files, finished, transfer="auto", skip_missing=False, transfer_dimensions=False)
    ledger.write(_entry(butler, label, quantum, refs) for label, quantum, refs in done)
    remove_begun(remove_unregistered(butler, undone + unwritten))
    return Recovered(len(done), n_removed)


def _entry(butler: Butler, label: str, quantum: Quantum, refs: list[DatasetRef]) -> tuple[Key, Entry]:
    """How a recovered quantum ended, from what it wrote of itself."""
    by_name = {ref.datasetType.name: ref for ref in refs}
    inputs = butler.stored_many(chain.from_iterable(quantum.inputs.values()))
    read = {ref.id for ref, there in inputs.items() if there}  # else nobody could tell that they have grown since
    if not had_no_work(butler.get(by_name[label + METADATA])):
        return entry_of(label, quantum, Ended.DONE, read=read)
    log = by_name.get(label + LOG)
    reason = no_work_reason(butler.get(log)) if log is not None else ""
    return entry_of(label, quantum, Ended.NO_WORK, reason, read=read)


def _by_place(
    repo: str, butler: Butler, quanta: Iterable[Quantum], dataset_types: Mapping[str, DatasetType]
) -> QuantumBackedButler:
    """A butler that finds the outputs of quanta by where they must lie."""
    outputs = [ref.id for quantum in quanta for ref in chain(*quantum.outputs.values())]
    return QuantumBackedButler.from_predicted(repo, outputs, [], butler.dimensions, {}, dataset_types=dataset_types)


def _known(butler: Butler, run: str) -> set[UUID]:
    """Ids of the registered datasets of a run."""
    info = butler.collections.get_info(run, include_summary=True)
    return {
        ref.id
        for kind in info.dataset_types or ()
        for ref in butler.query_datasets(kind, collections=run, find_first=False, limit=None, explain=False)
    }
