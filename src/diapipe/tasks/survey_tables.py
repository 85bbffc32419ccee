"""The tables of DIA objects that an output of a repository holds, all patches together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef

from diapipe.errors import InputError, UsageError
from diapipe.io.exports import SurveyTables
from diapipe.tasks.dataset_names import OLD_NAMES
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running.run_request import CHAINS

DATASETS = (("dia_object_summary", "dia_object"), ("dia_source_associated",), ("dia_object_forced_source",))
"""Datasets of each table, the better one first."""


class _OfPatch(NamedTuple):
    """A table of one patch: what messages call it, where it belongs, and its rows."""

    name: str
    place: tuple[str, ...]
    rows: Table


def survey_tables(repo: str, *, output: str) -> SurveyTables:
    """Read the tables of objects, of their sources, and of their forced sources.

    An object has one row: where two patches, associated at different times, have it on either side of their border, it
    is that of the patch that knows more of its sources, and so are its sources and its fluxes.

    Parameters
    ----------
    repo
        A repository.
    output
        Name of its results, as ``diapipe run`` has it, or any collection.

    Raises
    ------
    UsageError
        If there is no such repository or output.
    InputError
        If the output holds none of the tables.
    """
    with open_repository(repo) as butler:
        collection = output_collection(butler, repo, output)
        found = tables_of(butler, collection)
    if not found.named():
        raise InputError(
            f"{collection} of {repo} holds no dia_object, dia_source_associated or dia_object_forced_source; "
            "`diapipe run` makes them"
        )
    return found


def tables_of(butler: Butler, collection: str) -> SurveyTables:
    """The same of a collection; those that it does not hold are missing."""
    objects, *others = ([*_tables(butler, collection, names)] for names in DATASETS)
    tables = [*objects, *(table for tables in others for table in tables)]
    return SurveyTables.of(_of_one_patch(tables, objects))


def _of_one_patch(tables: Sequence[_OfPatch], objects: Sequence[_OfPatch]) -> Iterator[tuple[str, Table]]:
    """Names and tables, with the rows of those objects alone that are their patch's, and of those that no patch has."""
    places = sorted({table.place for table in tables})
    ids, n_sources, at = (
        np.concatenate([np.zeros(0, np.int64), *parts])
        for parts in (
            [table.rows["diaObjectId"] for table in objects],
            [table.rows["nDiaSources"] for table in objects],
            [np.full(len(table.rows), places.index(table.place)) for table in objects],
        )
    )
    order = np.lexsort((-at, n_sources, ids))
    known, last = np.unique(ids[order][::-1], return_index=True)
    owner = at[order][::-1][last]
    for table in tables:
        where = np.searchsorted(known, table.rows["diaObjectId"])
        found = np.append(known, 0)[where] == table.rows["diaObjectId"]
        yield table.name, table.rows[~found | (np.append(owner, -1)[where] == places.index(table.place))]


def template_visits(repo: str, *, output: str) -> tuple[int, ...]:
    """Visits that the templates of an output were made of; none where it does not tell.

    Raises
    ------
    UsageError
        If there is no such repository or output.
    """
    with open_repository(repo) as butler:
        found = _tables(butler, output_collection(butler, repo, output), ("template_visits",))
        tables = [table.rows for table in found]
    chosen = {int(visit) for table in tables for visit in table["visit"][np.asarray(table["selected"])]}
    return tuple(sorted(chosen))


def output_collection(butler: Butler, repo: str, output: str) -> str:
    """The full name of an output, or of any collection.

    Raises
    ------
    UsageError
        If the repository has none of that name.
    """
    known = set(butler.collections.query("*"))
    for name in (f"{CHAINS}/{output}", output):
        if name in known:
            return name
    raise UsageError(f"{repo} has no output {output}; `diapipe status {repo}` shows those that it has")


def refs_of(butler: Butler, collection: str, name: str) -> list[DatasetRef]:
    """All datasets of a type that a collection holds, under any of the names of that type, in one order.

    Parameters
    ----------
    butler
        Of the repository.
    collection
        Full name.
    name
        The type by its name in Data Preview 1.
    """
    known = {kind.name for kind in butler.registry.queryDatasetTypes()}
    pattern = re.compile(rf"{name}|" + re.escape(OLD_NAMES.get(name, name)).replace(r"\{coaddName\}", r"\w+"))
    for found in sorted(filter(pattern.fullmatch, known), key=lambda one: one != name):
        refs = butler.query_datasets(found, collections=collection, explain=False, limit=None)
        if refs:
            return sorted(refs, key=_place)
    return []


def _tables(butler: Butler, collection: str, names: tuple[str, ...]) -> Iterator[_OfPatch]:
    """The tables of the first of these datasets that the collection holds."""
    refs = next(filter(None, (refs_of(butler, collection, name) for name in names)), [])
    for ref in refs:
        yield _OfPatch(f"{ref.datasetType.name} of {collection}", _place(ref), butler.get(ref))


def _place(ref: DatasetRef) -> tuple[str, ...]:
    """Where a dataset belongs, to read them in one order."""
    return tuple(str(value).zfill(12) for value in ref.dataId.required_values)
