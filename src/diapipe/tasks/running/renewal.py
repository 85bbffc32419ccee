"""Renewal: quanta that were done, but from inputs that are no longer those they would be given now.

A season goes on: a detector that failed is repaired, a new night arrives. What was made of one image stays as it is.
What gathers images without being a template, as the photometric scale of a band or the summary of a visit, is made
anew, and so is what found no work while an input was missing. A template stays, unless its step is to be renewed: it
must not change under the differences that were made with it. What is on a flux scale that proved wrong is corrected,
both (`diapipe.tasks.running.scale_history`). Objects and their light curves are of all that was found so far: they are
made anew whenever something was.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from astropy.table import Table
from lsst.daf.butler import Butler, DimensionGroup
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

from diapipe.tasks.running.graph import build, without_quanta
from diapipe.tasks.running.ledger import Ledger, digest_of
from diapipe.tasks.running.outcome import Ended


def outdated(
    label: str,
    pipeline: PipelineGraph,
    butler: Butler,
    ledger: Ledger,
    *,
    inputs: Sequence[str],
    run: str,
    whole_task: bool,
) -> PredictedQuantumGraphComponents | None:
    """The quanta of a task that were done from other inputs; None where there is none.

    Parameters
    ----------
    label
        Of the task.
    pipeline
        A graph of this task alone, resolved.
    butler, ledger
        What there is, and from which inputs it was made.
    inputs, run
        Where the inputs are searched, and where the outputs would go.
    whole_task
        Whether quanta that are done count, or only those that found no work.
    """
    task = pipeline.tasks[label]
    wanted = {Ended.DONE, Ended.NO_WORK} if whole_task else {Ended.NO_WORK}
    known = {key[1]: entry for key, entry in ledger.settled(label).items() if entry.ended in wanted and entry.inputs}
    if not known or not _all_registered(task, butler):
        return None
    table = _table(list(known), task.dimensions)
    graph = build(pipeline, butler, where="", tables=[table], inputs=inputs, done_in=(), run=run)
    current = {
        name: known[tuple(quantum.data_coordinate[: len(task.dimensions.required)])].inputs
        == digest_of(quantum.iter_input_dataset_ids())
        for name, quantum in graph.quantum_datasets.items()
    }
    graph = without_quanta(graph, {name for name, is_current in current.items() if is_current})
    return graph if graph.quantum_datasets else None


def without_work(graph: PredictedQuantumGraphComponents, task: TaskNode, ledger: Ledger) -> set[UUID]:
    """Names of the quanta of a graph that found no work the last time."""
    n, entries = len(task.dimensions.required), ledger.settled(task.label)
    return {
        name
        for name, quantum in graph.quantum_datasets.items()
        if entries[task.label, tuple(quantum.data_coordinate[:n])].ended is Ended.NO_WORK
    }


def gathers_visits(task: TaskNode) -> bool:
    """Whether a task takes several images or visits at once."""
    connections = task.config.connections.ConnectionsClass.allConnections
    inputs = [connections[name] for name in task.inputs]
    return any(getattr(one, "multiple", False) and "visit" in one.dimensions for one in inputs)


def follows_inputs(task: TaskNode) -> bool:
    """Whether what a task made holds for the inputs that it had alone: it says so by an attribute of this name."""
    return bool(getattr(task.task_class, "follows_inputs", False))


def is_template(task: TaskNode) -> bool:
    """Whether what a task makes belongs to a patch of the sky, and to what is subtracted there."""
    return "tract" in task.dimensions and not follows_inputs(task)


def reads_template(task: TaskNode) -> bool:
    """Whether a task uses what belongs to patches of the sky for something that does not."""
    connections = task.config.connections.ConnectionsClass.allConnections
    from_patches = any("tract" in connections[name].dimensions for name in task.inputs)
    return from_patches and "tract" not in task.dimensions and not follows_inputs(task)


def _all_registered(task: TaskNode, butler: Butler) -> bool:
    """Whether there is a dataset type for each input."""
    registered = {kind.name for kind in butler.registry.queryDatasetTypes(...)}
    return all(edge.parent_dataset_type_name in registered for edge in task.inputs.values())


def _table(values: list[tuple[object, ...]], dimensions: DimensionGroup) -> Table:
    """Data ids as a table."""
    return Table(rows=values, names=list(dimensions.required))
