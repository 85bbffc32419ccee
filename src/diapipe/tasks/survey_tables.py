"""The tables of DIA objects that an output of a repository holds, all patches together."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef

from diapipe.errors import InputError, UsageError
from diapipe.io.exports import SurveyTables
from diapipe.tasks.dataset_names import OLD_NAMES
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running.survey_run import CHAINS

DATASETS = (("dia_object_summary", "dia_object"), ("dia_source_associated",), ("dia_object_forced_source",))
"""Datasets of each table, the better one first."""


def survey_tables(repo: str, *, output: str) -> SurveyTables:
    """Read the tables of objects, of their sources, and of their forced sources.

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
        collection = _collection(butler, repo, output)
        tables = [found for names in DATASETS for found in _tables(butler, collection, names)]
    if not tables:
        raise InputError(
            f"{collection} of {repo} holds no dia_object, dia_source_associated or dia_object_forced_source; "
            "`diapipe run` makes them"
        )
    return SurveyTables.of(tables)


def template_visits(repo: str, *, output: str) -> tuple[int, ...]:
    """Visits that the templates of an output were made of; none where it does not tell.

    Raises
    ------
    UsageError
        If there is no such repository or output.
    """
    with open_repository(repo) as butler:
        tables = [table for _, table in _tables(butler, _collection(butler, repo, output), ("template_visits",))]
    chosen = {int(visit) for table in tables for visit in table["visit"][np.asarray(table["selected"])]}
    return tuple(sorted(chosen))


def _collection(butler: Butler, repo: str, output: str) -> str:
    """The full name of an output."""
    known = set(butler.collections.query("*"))
    for name in (f"{CHAINS}/{output}", output):
        if name in known:
            return name
    raise UsageError(f"{repo} has no output {output}; `diapipe status {repo}` shows those that it has")


def _tables(butler: Butler, collection: str, names: tuple[str, ...]) -> Iterator[tuple[str, Table]]:
    """The tables of the first of these datasets that the collection holds, by any of its names."""
    known = {kind.name for kind in butler.registry.queryDatasetTypes()}
    for name in names:
        pattern = re.compile(rf"{name}|" + re.escape(OLD_NAMES.get(name, name)).replace(r"\{coaddName\}", r"\w+"))
        for found in sorted(filter(pattern.fullmatch, known), key=lambda one: one != name):
            refs = butler.query_datasets(found, collections=collection, explain=False)
            if refs:
                yield from ((f"{found} of {collection}", butler.get(ref)) for ref in sorted(refs, key=_place))
                return


def _place(ref: DatasetRef) -> tuple[str, ...]:
    """Where a dataset belongs, to read them in one order."""
    return tuple(str(value).zfill(12) for value in ref.dataId.required_values)
