"""What a run left in a repository, as plain nouns: for the pages of a survey, and for comparing it with its truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from lsst.daf.butler import Butler, DatasetRef

from diapipe.catalogs.survey_units import Unit, survey_units, unit_of
from diapipe.errors import InputError
from diapipe.images import Box, Difference, Exposure
from diapipe.images.calibrated import calibrated
from diapipe.images.sky import icrs_of
from diapipe.images.sky_map import SkyMap
from diapipe.io.exports import SurveyTables
from diapipe.numerics.arrays import FloatArray
from diapipe.tasks.repository import open_repository
from diapipe.tasks.repository.sky_map_records import load_sky_map
from diapipe.tasks.running.outcome import Ended, reasons_of
from diapipe.tasks.running.status import OutputStatus, output_status
from diapipe.tasks.scaled import scaled
from diapipe.tasks.survey_tables import output_collection, refs_of, tables_of
from diapipe.tasks.unit_numbers import numbers_of_metadata, numbers_of_summary, seconds_of, without_result

type Row = dict[str, Any]


class SurveyResults:
    """The datasets of an output, read when they are asked for.

    Parameters
    ----------
    butler
        Of the repository; open as long as something is to be read.
    repo
        Its root.
    collection
        The output, or any collection with results.
    """

    def __init__(self, butler: Butler, repo: str, collection: str) -> None:
        self.repo, self.collection = repo, collection
        self._butler = butler
        self._refs: dict[str, list[DatasetRef]] = {}
        self._by_unit: dict[str, dict[Unit, DatasetRef]] = {}
        self._columns_of: dict[tuple[str, str], Sequence[str]] = {}

    @cached_property
    def status(self) -> OutputStatus | None:
        """How the work ended; None for a collection that no run made."""
        return output_status(self._butler, self.repo, self.collection)

    @cached_property
    def units(self) -> Table:
        """Every detector of every visit, with its numbers, as `SURVEY_UNITS` has them."""
        known = (
            self._summaries.keys() | self._of_units("visit_image").keys() | self._of_units("difference_image").keys()
        )
        instruments = {unit.instrument for unit in known} or set(self._ingested())
        ended = {} if self.status is None else without_result(self.status.outcomes)
        if len(instruments) == 1:
            name = instruments.pop()
            known |= {Unit(name, *place) for place in ended}
        return survey_units([self._row(unit, ended) for unit in known])

    def counts(self) -> list[tuple[str, Mapping[str, int]]]:
        """The tasks in their order, and how many of the quanta of each are done, without work, failed."""
        found = {} if self.status is None else self.status.counts()
        return [(task, {str(kind): n for kind, n in counts.items()}) for task, counts in found.items()]

    def reasons(self) -> list[tuple[str, str]]:
        """How quanta without a result ended, and in a line how many of what and why, the most frequent first."""
        outcomes = () if self.status is None else self.status.outcomes
        return [
            (str(kind), line)
            for kind in (Ended.FAILED, Ended.NO_WORK)
            for line in reasons_of(outcome for outcome in outcomes if outcome.ended is kind)
        ]

    def _row(self, unit: Unit, ended: Mapping[tuple[int, int], tuple[str, str]]) -> Row:
        """All that is known of a unit."""
        _, summary = self._summaries.get(unit, (None, None))
        row: Row = {**unit._asdict(), "inTemplate": unit.visit in self.template_visits, "outcome": "done"}
        if unit not in self._of_units("difference_image"):
            row["outcome"], row["reason"] = ended.get((unit.visit, unit.detector), ("missing", "it was not made yet"))
        tasks = ("characterize", "imageDifference")
        refs = [self._of_units(f"{task}_metadata").get(unit) for task in tasks]
        told = {task: self._butler.get(ref) for task, ref in zip(tasks, refs, strict=True) if ref is not None}
        if summary is not None:
            row |= numbers_of_summary(summary)
            if "imageDifference" in told and row["outcome"] == "done":
                scale = float(summary["pixelScale"])
                row |= numbers_of_metadata(told["imageDifference"], pixel_scale_arcsec=scale)
        if told:
            row["seconds"] = sum(seconds_of(metadata) for metadata in told.values())
        return row

    @cached_property
    def tables(self) -> SurveyTables:
        """Objects, their sources and their forced fluxes, of all patches, each once; those that there are."""
        return tables_of(self._butler, self.collection)

    def objects_and_fluxes(self) -> tuple[Table, Table]:
        """The objects and their forced fluxes.

        Raises
        ------
        InputError
            If the run made none.
        """
        found = self.tables
        if found.dia_objects is None or found.forced_sources is None:
            raise InputError(f"{self.collection} holds no objects with forced fluxes; `diapipe run` makes them")
        return found.dia_objects, found.forced_sources

    @cached_property
    def template_weights(self) -> dict[str, dict[int, float]]:
        """By band and visit: mean weight in the patches that took the visit."""
        sums: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for ref in self.refs("template_visits"):
            table = self._butler.get(ref)
            for row in table[np.asarray(table["selected"], dtype=np.bool_)]:
                sums[str(ref.dataId["band"])][int(row["visit"])].append(float(row["weight"]))
        return {band: {v: float(np.mean(w)) for v, w in visits.items()} for band, visits in sums.items()}

    @property
    def template_visits(self) -> frozenset[int]:
        """Visits that the templates are made of."""
        return frozenset(visit for visits in self.template_weights.values() for visit in visits)

    def differences(self) -> Iterator[tuple[Unit, str, Difference, Table]]:
        """Unit, band, difference and sources of all that was differenced."""
        for unit, ref in self._of_units("difference_image").items():
            yield unit, str(ref.dataId["band"]), self._butler.get(ref), self.dia_sources(unit)

    def difference(self, unit: Unit) -> Difference:
        """One difference, in nJy where it is calibrated; its template, matched, too."""
        found: Difference = self._get("difference_image", unit)
        return found

    def science(self, unit: Unit) -> Exposure:
        """A visit image in nJy."""
        if unit not in self._summaries:
            raise self._lacks("visit_summary", unit)
        return calibrated(scaled(self._get("visit_image", unit), self._summaries[unit][0]))

    def dia_sources(self, unit: Unit, columns: Collection[str] | None = None) -> Table:
        """What was found on a difference; without rows where nothing is stored.

        Parameters
        ----------
        unit
            Of the difference.
        columns
            Those of them that there are; None for all.
        """
        ref = self._of_units("dia_source").get(unit)
        if ref is None:
            return Table()
        some = None if columns is None else {"columns": [name for name in self._columns(ref) if name in columns]}
        found: Table = self._butler.get(ref, parameters=some)
        return found

    @cached_property
    def visit_summaries(self) -> list[Table]:
        """The table of each visit, which names its instrument."""
        tables = []
        for ref in self.refs("visit_summary"):
            table = self._butler.get(ref)
            table["instrument"] = str(ref.dataId["instrument"])
            table["detector"] = table["id"]
            tables.append(table)
        return tables

    def tract_outlines(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """Borders on the sky of the tracts and of the patches of which there is a coadd, corners of shape (n, 2)."""
        used = sorted({(int(ref.dataId["tract"]), int(ref.dataId["patch"])) for ref in self.refs("template_coadd")})
        if not used:
            return [], []
        sky_map: SkyMap = load_sky_map(self._butler, str(self.refs("template_coadd")[0].dataId["skymap"]))
        tracts = {number: sky_map.tract(number) for number in sorted({tract for tract, _ in used})}
        patches = [(tracts[tract], tracts[tract].patch(patch).inner) for tract, patch in used]
        return [_outline(t.wcs, t.box) for t in tracts.values()], [_outline(t.wcs, box) for t, box in patches]

    def refs(self, name: str) -> list[DatasetRef]:
        """All datasets of a type, in a fixed order."""
        if name not in self._refs:
            self._refs[name] = refs_of(self._butler, self.collection, name)
        return self._refs[name]

    def _ingested(self) -> set[str]:
        """Instruments of the repository."""
        return {str(record.name) for record in self._butler.registry.queryDimensionRecords("instrument")}

    def _of_units(self, name: str) -> dict[Unit, DatasetRef]:
        """The datasets of a type, by unit."""
        if name not in self._by_unit:
            self._by_unit[name] = {unit_of(ref.dataId.required): ref for ref in self.refs(name)}
        return self._by_unit[name]

    def _columns(self, ref: DatasetRef) -> Sequence[str]:
        """Columns of the tables of a type in a RUN, which one configuration made."""
        key = ref.datasetType.name, str(ref.run)
        if key not in self._columns_of:
            self._columns_of[key] = self._butler.get(ref).colnames  # asked for alone they would come by way of pandas
        return self._columns_of[key]

    def _get(self, name: str, unit: Unit) -> Any:
        ref = self._of_units(name).get(unit)
        if ref is None:
            raise self._lacks(name, unit)
        return self._butler.get(ref)

    @cached_property
    def _summaries(self) -> dict[Unit, tuple[Table, Table.Row]]:
        """By unit: the summary of its visit, and its row there."""
        return {unit_of(row): (table, row) for table in self.visit_summaries for row in table}

    def _lacks(self, name: str, unit: Unit) -> InputError:
        """What is said where a dataset is not there."""
        place = f"visit {unit.visit}, detector {unit.detector}"
        return InputError(f"{self.collection} holds no {name} of {place}; `diapipe status {self.repo}` says why")


@contextmanager
def opened_survey(repo: str, *, output: str) -> Iterator[SurveyResults]:
    """The results of a repository, as long as it is open.

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
    """
    with open_repository(repo) as butler:
        yield SurveyResults(butler, repo, output_collection(butler, repo, output))


def _outline(wcs: WCS, box: Box) -> FloatArray:
    """Corners of a box on the sky."""
    x = np.array([box.x0, box.x1, box.x1, box.x0]) - 0.5
    y = np.array([box.y0, box.y0, box.y1, box.y1]) - 0.5
    return np.stack(icrs_of(wcs, x, y), axis=1)
