"""AssociateTask: the DIA sources of all visits of a patch become its DIA objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import ChoiceField, ConfigurableField, Field, ListField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.dia_objects import need_columns, ordered_bands
from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.catalogs.source_batch import SourceBatch
from diapipe.catalogs.tables import stacked
from diapipe.errors import InputError, NoWorkError
from diapipe.images.patch_area import PatchArea
from diapipe.images.sky_map import SkyMap
from diapipe.numerics.arrays import BoolArray, IntArray
from diapipe.numerics.sphere import angles_of, unit_vectors
from diapipe.steps.associate import ASSOCIATORS, Association
from diapipe.steps.summarize.objects import summarize_objects
from diapipe.tasks.assemble_coadd import selected_visits
from diapipe.tasks.associators import associatorRegistry
from diapipe.tasks.connections import DETECTOR, PLAIN, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.filter_dia_sources import FilterDiaSourcesTask
from diapipe.tasks.named_connections import NamedConnections
from diapipe.tasks.no_work import no_work_found
from diapipe.tasks.retargetable import choice

_PATCH = ("skymap", "tract", "patch")

COLUMNS = (
    *("diaSourceId", "visit", "detector", "band", "midpointMjdTai", "diaObjectId", "ssObjectId"),
    *("ra", "dec", "raErr", "decErr", "ra_dec_Cov", "x", "y", "xErr", "yErr"),
    *("psfFlux", "psfFluxErr", "apFlux", "apFluxErr", "scienceFlux", "scienceFluxErr"),
    *("templateFlux", "templateFluxErr", "snr", "isNegative", "isDipole", "extendedness", "trailLength"),
    "reliability",
)
"""Of an associated source; all others are in the tables of the detectors, by diaSourceId."""

NEEDED = ("diaSourceId", "visit", "detector", "band", "midpointMjdTai", "ra", "dec", "psfFlux", "psfFluxErr")
"""Without which the sources of an image cannot be associated, or their objects not be summarized."""

REJECTED = ("diaSourceId", "visit", "detector", "band", "midpointMjdTai", "ra", "dec", "psfFlux", "psfFluxErr", "snr")
"""Of a source that was left out."""

MOST_TOLD = 8
"""Visits, detectors or bands that a sentence lists."""


class AssociateConnections(NamedConnections, dimensions=_PATCH):
    """Datasets of an association: tables only, no pixels."""

    skyMap: Any = Input(
        doc="How the sky is cut into tracts and patches.", name="skyMap", storageClass=PLAIN, dimensions=("skymap",)
    )
    diaSources: Any = Input(
        doc="Sources of each difference that touches the patch.",
        name="dia_source",
        storageClass=TABLE,
        dimensions=DETECTOR,
        multiple=True,
        deferLoad=True,
    )
    templateVisits: Any = Input(
        doc="What the template of the patch is made of, for visits = coaddInputs.",
        name="template_visits",
        storageClass=TABLE,
        dimensions=(*_PATCH, "band"),
        multiple=True,
        minimum=0,
    )
    diaObjects: Any = Output(doc="The objects of the patch.", name="dia_object", storageClass=TABLE, dimensions=_PATCH)
    associatedDiaSources: Any = Output(
        doc="Their sources, with the object of each.",
        name="dia_source_associated",
        storageClass=TABLE,
        dimensions=_PATCH,
    )
    rejectedDiaSources: Any = Output(
        doc="Sources of the patch that were left out, with the reason.",
        name="dia_source_rejected",
        storageClass=TABLE,
        dimensions=_PATCH,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        if config.visits == "all":
            del self.templateVisits


class AssociateConfig(PipelineTaskConfig, pipelineConnections=AssociateConnections):
    """Config of an association."""

    coaddName: Any = coadd_name()
    visits: Any = ChoiceField(
        doc="Whose sources are associated.",
        dtype=str,
        allowed={"all": "Those of all visits.", "coaddInputs": "Those of the visits that the template is made of."},
        default="all",
    )
    onlyVisits: Any = ListField(doc="Of these, the visits to take; empty for all.", dtype=int, default=[])
    onlyDetectors: Any = ListField(doc="Of these, the detectors to take; empty for all.", dtype=int, default=[])
    onlyBands: Any = ListField(doc="Of these, the bands to take; empty for all.", dtype=str, default=[])
    filterDiaSources: Any = ConfigurableField(target=FilterDiaSourcesTask, doc="Which sources are left out.")
    associator: Any = choice(associatorRegistry, doc="How sources become objects.", default=ASSOCIATORS.default)
    margin: Any = Field(
        doc="Sources so far beyond the patch (arcsec) are associated too, so that no object is cut in two; an object "
        "belongs to the patch that its mean position is in.",
        dtype=float,
        default=10.0,
        check=lambda value: value >= 0.0,
    )
    bands: Any = ListField(
        doc="Bands that objects have columns for beside those of their patch's visits.", dtype=str, default=[]
    )


class AssociateTask(PipelineTask):
    """Associate the DIA sources of a patch, in all bands together.

    Sources are taken visit by visit: what an earlier run of the repository found first, then by time. So new visits
    join the objects that there are, whatever their date, and no object changes its identifier: it has that of the
    source that founded it.
    """

    config: Any
    filterDiaSources: Any
    associator: Any
    ConfigClass = AssociateConfig
    _DefaultName = "associate"
    follows_inputs = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.makeSubtask("filterDiaSources")
        self.makeSubtask("associator")

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the tables of the detectors, write those of the patch; no work where the selection leaves none."""
        dataId = butlerQC.quantum.dataId
        there = sorted(inputRefs.diaSources, key=lambda ref: ref.run)
        visits = None
        if self.config.visits == "coaddInputs":
            visits = _coadd_inputs([butlerQC.get(ref) for ref in inputRefs.templateVisits])
        refs = [
            ref
            for ref in there
            if self._takes(ref.dataId) and (visits is None or (ref.dataId["instrument"], ref.dataId["visit"]) in visits)
        ]
        with no_work_found(self.metadata):
            if not refs:
                raise NoWorkError(self._none_of([ref.dataId for ref in there], visits))
        handles = [butlerQC.get(ref) for ref in refs]
        runs = dict.fromkeys(handle.ref.run for handle in handles)
        found = self.run(
            [self._read([handle for handle in handles if handle.ref.run == run]) for run in runs],
            butlerQC.get(inputRefs.skyMap),
            tract=int(dataId["tract"]),
            patch=int(dataId["patch"]),
        )
        butlerQC.put(found, outputRefs)

    def run(
        self,
        diaSources: Iterable[Sequence[Table]],
        skyMap: SkyMap | Mapping[str, Any],
        *,
        tract: int,
        patch: int,
    ) -> Struct:
        """Associate.

        Parameters
        ----------
        diaSources
            Tables of one visit and detector each, in groups: those of a later group join what the groups before made.
        skyMap
            The map, or the parameters of one.
        tract, patch
            Numbers of the tract and of the patch in it.

        Returns
        -------
        Struct
            ``diaObjects``, ``associatedDiaSources``, ``rejectedDiaSources``; all three may be without rows.

        Raises
        ------
        InputError
            If a table lacks a column, or fluxes of two units come together.
        """
        diaSources = [list(map(self._checked, group)) for group in diaSources]
        sky_map = SkyMap.of(skyMap)
        area = PatchArea(sky_map=sky_map, tract=tract, patch=patch, margin_arcsec=self.config.margin)
        tables = [table for group in diaSources for table in sorted(group, key=_when)]
        bands = ordered_bands({*self.config.bands, *_bands(tables)})
        near = [self._filtered(table, area) for table in tables]
        association = self.associator.run(SourceBatch.from_table(kept) for kept, _ in near).association
        sources = _stacked([kept for kept, _ in near])
        rejected = [left for _, left in near] + [_set_aside(sources, association)]
        sources = _of_patch(sources, association, area)
        objects = summarize_objects(sources, np.asarray(sources["diaObjectId"]), bands=bands)
        rejected = _stacked(
            [_owned(part, area) for part in rejected] + [_without_position(table, area) for table in tables]
        )
        self._tell(tract, patch, objects, sources, rejected)
        return Struct(
            diaObjects=objects,
            associatedDiaSources=_narrowed(sources, COLUMNS),
            rejectedDiaSources=_narrowed(rejected, (*REJECTED, "reason")),
        )

    def _read(self, handles: Sequence[Any]) -> list[Table]:
        """The tables of a RUN, which have the same columns, without those that nobody looks at."""
        looked_at = getattr(self.filterDiaSources, "columns", None)
        if looked_at is None or not handles:
            return [handle.get() for handle in handles]
        wanted = {*COLUMNS, *REJECTED, *looked_at()}
        there = [name for name in handles[0].get(component="columns") if name in wanted]
        return [handle.get(parameters={"columns": there}) for handle in handles]

    def _takes(self, dataId: Any) -> bool:
        """Whether the sources of an image are wanted."""
        return all(dataId[key] in only for key, only in self._wanted().items())

    def _wanted(self) -> dict[str, Sequence[Any]]:
        """By key of a data ID the values to take, where not all are."""
        only = {"visit": self.config.onlyVisits, "detector": self.config.onlyDetectors, "band": self.config.onlyBands}
        return {key: values for key, values in only.items() if values}

    def _none_of(self, there: Sequence[Any], visits: Collection[tuple[str, int]] | None) -> str:
        """The sentence on a selection that holds none of the images that there are: what was asked for, and those."""
        asked = [f"{key} {_few(values)}" for key, values in self._wanted().items()]
        if visits is not None:
            asked.append(f"the template's visits ({_few(visit for _, visit in visits) or 'none'})")
        found = ", ".join(f"{key} {_few(dataId[key] for dataId in there)}" for key in ("visit", "detector", "band"))
        return f"no DIA sources here are of {', '.join(asked)}; there are those of {found}"

    def _checked(self, table: Table) -> Table:
        """The same, if it can be associated; sources that no patch can have are told."""
        image = [f"{key} {table[key][0]}" for key in ("visit", "detector") if len(table) and key in table.colnames]
        name = f"the table of DIA sources of {', '.join(image)}" if image else "a table of DIA sources"
        need_columns(table, NEEDED, name=name)
        if len(table) and not _has_position(table).any():
            told = "%s: none of its %d sources has a position, so that they are in the tables of no patch"
            self.log.warning(told, name, len(table))
        return table

    def _filtered(self, table: Table, area: PatchArea) -> tuple[Table, Table]:
        """Of the sources near the patch those to associate, and those left out with the reason."""
        near = area.is_near(ra=np.asarray(table["ra"]), dec=np.asarray(table["dec"]))
        found = self.filterDiaSources.run(table[near])
        return _narrowed(found.kept, COLUMNS), _narrowed(found.rejected, (*REJECTED, "reason"))

    def _tell(self, tract: int, patch: int, objects: Table, sources: Table, rejected: Table) -> None:
        """Numbers for the log and for the metadata."""
        for name, rows in (("nDiaObjects", objects), ("nDiaSources", sources), ("nRejected", rejected)):
            self.metadata[name] = len(rows)
        told = "tract %d, patch %d: %d objects of %d sources; %d left out"
        self.log.info(told, tract, patch, len(objects), len(sources), len(rejected))


def _narrowed(table: Table, columns: Iterable[str]) -> Table:
    """Some columns, in this order, as far as they are there."""
    return table[[name for name in columns if name in table.colnames]]


def _coadd_inputs(tables: Sequence[Table]) -> set[tuple[str, int]]:
    """Instrument and number of the visits that the template is made of, in any band that has one.

    Raises
    ------
    InputError
        If no band tells.
    """
    if not tables:
        raise InputError(
            "no template_visits tells what the template of the patch is made of, for visits = coaddInputs; take visits "
            "= all, or choose visits: --selectId visit=... for associationDriver.py"
        )
    return set[tuple[str, int]]().union(*map(selected_visits, tables))


def _few(values: Iterable[Any]) -> str:
    """The values in order, each once; of many the first and the number of all."""
    found = sorted(set(values))
    more = f" ... ({len(found)} in all)" if len(found) > MOST_TOLD else ""
    return ", ".join(map(str, found[:MOST_TOLD])) + more


def _when(table: Table) -> tuple[float, int, int]:
    """Time, visit and detector of a table of one image; tables without rows come first."""
    if len(table) == 0:
        return 0.0, 0, 0
    return float(table["midpointMjdTai"][0]), int(table["visit"][0]), int(table["detector"][0])


def _bands(tables: Iterable[Table]) -> set[str]:
    """Bands of the sources."""
    return {str(band) for table in tables for band in np.unique(np.asarray(table["band"]))}


def _stacked(tables: Sequence[Table]) -> Table:
    """All rows in one table; the columns of the schema where there is none."""
    return stacked(tables or [dia_source_table({}, n=0, flux_unit="nJy")], name="DIA sources")


def _firsts(ids: IntArray) -> Any:
    """Whether a row is the first with its identifier."""
    first = np.zeros(len(ids), np.bool_)
    first[np.unique(ids, return_index=True)[1]] = True
    return first


def _of_patch(sources: Table, association: Association, area: PatchArea) -> Table:
    """The sources of the objects that the patch owns, with their object, by object and time."""
    sources = sources[_firsts(np.asarray(sources["diaSourceId"]))]
    objects = association.objects
    own = objects.ids[area.owns(ra=objects.ra, dec=objects.dec)]
    ids = association.objects_of(np.asarray(sources["diaSourceId"]))
    mine = np.isin(ids, own)
    table = sources[mine]
    table["diaObjectId"] = ids[mine]
    table.sort(["diaObjectId", "midpointMjdTai", "diaSourceId"])
    return table


def _owned(table: Table, area: PatchArea) -> Table:
    """The rows that lie in the patch."""
    return table[area.owns(ra=np.asarray(table["ra"]), dec=np.asarray(table["dec"]))]


def _has_position(table: Table) -> BoolArray:
    """Whether it is known where a row is."""
    return np.asarray(np.isfinite(table["ra"]) & np.isfinite(table["dec"]))


def _without_position(table: Table, area: PatchArea) -> Table:
    """The sources of an image that are nowhere, given to the patch that holds the middle of the others."""
    ra, dec = (np.asarray(table[name], np.float64) for name in ("ra", "dec"))
    known = _has_position(table)
    middle = unit_vectors(ra[known], dec[known]).sum(axis=0) if known.any() else np.full(3, np.nan)
    there = angles_of(middle[None])
    is_here = area.owns(ra=there[0], dec=there[1])
    lost = _narrowed(table, REJECTED)[~known & is_here]
    lost["reason"] = np.full(len(lost), "its position is not known")
    return lost


def _set_aside(sources: Table, association: Association) -> Table:
    """What the association could not take, with the reason."""
    again = ~_firsts(np.asarray(sources["diaSourceId"]))
    aside = association.set_aside
    reason = dict(zip(aside.ids.tolist(), aside.reasons.tolist(), strict=True))
    table = _narrowed(sources, REJECTED)[again]
    table["reason"] = [reason[id] for id in np.asarray(table["diaSourceId"]).tolist()] or np.empty(0, "U64")
    return table
