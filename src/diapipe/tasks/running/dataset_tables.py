"""Tables of dataset types that the database lacks, because the disk was full when they were to be made.

The butler of that moment takes such a table for one that another process made, and goes on to register its dataset
type. After that whatever asks for datasets of the type fails.
"""

from __future__ import annotations

from typing import Any

from lsst.daf.butler import Butler
from lsst.pipe.base.pipeline_graph import PipelineGraph
from sqlalchemy import inspect

from diapipe.errors import WriteError


def register_dataset_types(butler: Butler, pipeline: PipelineGraph) -> None:
    """Register the dataset types of a pipeline, tables and all.

    Raises
    ------
    WriteError
        If a table is not there after all; `make_lacking_tables` makes it as the next run begins.
    """
    pipeline.register_dataset_types(butler)
    if _lacking(butler):
        raise WriteError(
            "the database of the repository took no new tables, as where the disk is full; what was done is kept, and "
            "the same command goes on from there"
        )


def make_lacking_tables(butler: Butler) -> int:
    """Make the tables that dataset types should have, with a butler that was opened since; how many it were.

    Raises
    ------
    sqlalchemy.exc.OperationalError
        If the disk is still full.
    """
    lacking, datasets = _lacking(butler), _datasets(butler)
    for tables in lacking:
        tables.create(datasets._db, type(datasets._collections), datasets._cache.tables)
    return len(lacking)


def _lacking(butler: Butler) -> list[Any]:
    """What the butler has noted of each group of dimensions whose table the database does not have."""
    kinds, datasets = butler.registry.queryDatasetTypes(), _datasets(butler)
    there = set(inspect(datasets._db._engine).get_table_names(schema=datasets._db.namespace))
    noted = {tables.tags_name: tables for kind in kinds if (tables := _tables_of(datasets, kind.dimensions))}
    return [tables for name, tables in sorted(noted.items()) if name not in there]


def _datasets(butler: Butler) -> Any:
    """The part of the butler that keeps them."""
    inner: Any = butler
    return inner._registry._managers.datasets


def _tables_of(datasets: Any, dimensions: Any) -> Any:
    """Names of the tables of a group of dimensions."""
    return datasets._cache.get_by_dimensions(dimensions)
