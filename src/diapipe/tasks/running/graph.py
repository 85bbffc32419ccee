"""The quantum graph of one step: what is asked for, less what was done before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from astropy.table import Table
from lsst.daf.butler import Butler, DimensionGroup, InvalidQueryError
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents
from lsst.pipe.base.quantum_graph_builder import QuantumGraphBuilderError

from diapipe.errors import UsageError
from diapipe.tasks.running.reasons import first_line
from diapipe.tasks.running.selection import DataSelection

_NOT_REGISTERED = re.compile(r"No datasets for overall-input '(?P<name>\w+)' found \(the dataset type is not even")

_ON_SKY = re.compile(r"\b(tract|patch)\b")


class MissingInputError(UsageError):
    """No dataset was ever made of a kind that a step reads; its context has the name as ``dataset``."""


def plan(
    pipeline: PipelineGraph,
    butler: Butler,
    data: DataSelection,
    *,
    inputs: Sequence[str],
    done_in: Sequence[str],
    run: str,
) -> PredictedQuantumGraphComponents:
    """The graph of a step.

    Parameters
    ----------
    pipeline
        The tasks of the step; its dataset types are resolved in place.
    butler
        Of the repository.
    data
        What is asked for.
    inputs
        Collections with what the step reads.
    done_in
        Collections in which a quantum's metadata says that it was done.
    run
        The RUN that will hold what the step writes; it need not exist.

    Notes
    -----
    A step with a task that gathers visits, as a coadd does, gathers all that there are: the visits asked for choose the
    patches (or bands) it works on, not what goes into them. Otherwise one visit, asked for alone, would become its own
    template.
    """
    pipeline.resolve(butler.registry)
    names = named(butler, data, pipeline.get_all_dimensions())
    gathered = gathered_dimensions(pipeline)
    tables: list[Table] = []
    if gathered is not None and names.restricts_visits:
        tables = [touched(butler, names, gathered)]
        if not len(tables[0]):
            return _nothing(pipeline, inputs, run)
        names = replace(names, visits="", detectors="", where="")
    return build(pipeline, butler, where=names.expression(), tables=tables, inputs=inputs, done_in=done_in, run=run)


def build(
    pipeline: PipelineGraph,
    butler: Butler,
    *,
    where: str,
    tables: list[Table],
    inputs: Sequence[str],
    done_in: Sequence[str],
    run: str,
) -> PredictedQuantumGraphComponents:
    """A graph by the builder of pipe_base.

    Raises
    ------
    MissingInputError
        If an input is of a kind that the repository does not know.
    UsageError
        If the conditions cannot be understood.
    """
    try:
        builder = AllDimensionsQuantumGraphBuilder(
            pipeline,
            butler,
            where=where,
            data_id_tables=tables,
            input_collections=inputs,
            skip_existing_in=done_in,
            output_run=run,
        )
        return builder.finish(attach_datastore_records=True)
    except (QuantumGraphBuilderError, InvalidQueryError) as error:
        missing = _NOT_REGISTERED.search(str(error))
        if missing is None:
            raise UsageError(f"the work cannot be planned: {first_line(error)}") from error
        tasks = ", ".join(pipeline.tasks)
        raise MissingInputError(
            f"{tasks} needs {missing['name']}, and the repository has none; run the steps before it first",
            dataset=missing["name"],
        ) from error


def without_quanta(graph: PredictedQuantumGraphComponents, left_out: set[UUID]) -> PredictedQuantumGraphComponents:
    """The graph less some quanta, in place."""
    graph.quantum_datasets = {name: quantum for name, quantum in graph.quantum_datasets.items() if name not in left_out}
    graph.set_thin_graph()
    graph.set_header_counts()
    return graph


def gathered_dimensions(pipeline: PipelineGraph) -> DimensionGroup | None:
    """The dimensions of the tasks that take several visits at once; None without such a task."""
    gathering = [task.dimensions for task in pipeline.tasks.values() if _gathers_visits(task, pipeline)]
    return DimensionGroup.union(*gathering, universe=pipeline.universe) if gathering else None


def _gathers_visits(task: TaskNode, pipeline: PipelineGraph) -> bool:
    """Whether the task has no visit of its own, but inputs that have."""
    kinds = (pipeline.dataset_types[edge.parent_dataset_type_name] for edge in task.inputs.values())
    return "visit" not in task.dimensions and any("visit" in kind.dimensions for kind in kinds)


def touched(butler: Butler, data: DataSelection, dimensions: DimensionGroup) -> Table:
    """Data ids of some dimensions that the data asked for overlap, one a row."""
    with butler.query() as query:
        found = list(query.where(data.expression()).data_ids(dimensions))
    names = list(dimensions.required)
    return Table(rows=[tuple(data_id[name] for name in names) for data_id in found], names=names)


def check_there_is(butler: Butler, data: DataSelection) -> None:
    """Refuse to look for work on data that are not there.

    Raises
    ------
    UsageError
        If the repository has no visits, or none that is asked for.
    """
    dimensions = butler.dimensions.conform(["visit"])
    try:
        with butler.query() as query:
            found = query.where(named(butler, data, dimensions).expression()).data_ids(["visit", "detector"])
            if found.any():
                return
            is_empty = not query.data_ids(["visit"]).any()
    except InvalidQueryError as error:
        raise UsageError(f"the data asked for cannot be understood: {first_line(error)}") from error
    if is_empty:
        raise UsageError("the repository has no visits; diapipe define-visits makes them of what was ingested")
    raise UsageError(f"the repository has no data with {data.expression()}")


def named(butler: Butler, data: DataSelection, dimensions: DimensionGroup) -> DataSelection:
    """The selection with the instrument and the skymap that the dimensions or it need, where there is but one."""
    needed = {*dimensions.names} | ({"skymap"} if _ON_SKY.search(data.expression()) else set())
    for name in ("instrument", "skymap"):
        if name in needed and not getattr(data, name):
            found: Any = {name: only(butler, name)}
            data = replace(data, **found)
    return data


def only(butler: Butler, dimension: str) -> str:
    """The one instrument or skymap of a repository."""
    names = sorted(str(record.name) for record in butler.query_dimension_records(dimension, explain=False))
    if len(names) == 1:
        return names[0]
    if not names:
        command = {"instrument": "diapipe ingest", "skymap": "diapipe skymap"}[dimension]
        raise UsageError(f"the repository has no {dimension}; {command} makes one")
    raise UsageError(
        f"the repository has several {dimension}s: {', '.join(names)}; choose one by --{dimension}, or by "
        f"--id {dimension}=... of a driver"
    )


def _nothing(pipeline: PipelineGraph, inputs: Iterable[str], run: str) -> PredictedQuantumGraphComponents:
    """A graph without quanta."""
    return PredictedQuantumGraphComponents.make_empty(pipeline.universe, output_run=run, inputs=inputs)
