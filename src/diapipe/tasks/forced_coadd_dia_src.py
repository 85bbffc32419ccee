"""ForcedPhotCoaddDiaSrcTask: the DIA sources of a detector measured on the templates around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.old_forced_columns import in_newer_names
from diapipe.errors import NoOverlapError
from diapipe.images import CoaddPatch, Exposure
from diapipe.images.sky import are_on, box_around, pixels_of_icrs
from diapipe.images.sky_map import SkyMap
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.tasks.connections import COADDS, DETECTOR, SUBFILTERS, TABLE, SkyMapConnections
from diapipe.tasks.difference_inputs import patches
from diapipe.tasks.forced_config import ForcedPhotConfig, copied_columns
from diapipe.tasks.no_work import no_work_found

MARGIN_PX = 64
"""By which a cut-out reaches beyond the sources in it, so that their stamps, circles and rings are whole."""

_FLUXES = ("psfFlux", "psfFluxErr", "apFlux", "apFluxErr")


class ForcedPhotCoaddDiaSrcConnections(SkyMapConnections, dimensions=DETECTOR):
    """Datasets of forced photometry at DIA sources on the templates."""

    diaSources: Any = Input(
        doc="Sources of the difference.", name="dia_source", storageClass=TABLE, dimensions=DETECTOR
    )
    forcedSources: Any = Output(
        doc="A row for each source on each template.",
        name="dia_source_forced_template",
        storageClass=TABLE,
        dimensions=DETECTOR,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        delattr(self, SUBFILTERS)


class ForcedPhotCoaddDiaSrcConfig(
    PipelineTaskConfig, ForcedPhotConfig, pipelineConnections=ForcedPhotCoaddDiaSrcConnections
):
    """Config of forced photometry at DIA sources on the templates."""

    copyColumns: Any = copied_columns(
        {name: name for name in ("diaSourceId", "visit", "detector", "band", "ra", "dec")}
        | {name: f"diaSrc_{name}" for name in _FLUXES},
        of="the table of DIA sources",
    )


class ForcedPhotCoaddDiaSrcTask(PipelineTask):
    """Measure the sources of a difference on the template of every patch whose outer box they lie in.

    A source in the border of patches or tracts has a row for each; ``detect_isPrimary`` is that of the patch and tract
    in charge of its place, and so of one row.
    """

    config: Any
    ConfigClass = ForcedPhotCoaddDiaSrcConfig
    _DefaultName = "forcedPhotCoaddDiaSrc"
    follows_inputs = True

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the sources and, around them, the templates; measure; write."""
        given = butlerQC.get(inputRefs)
        coadds = given[COADDS]
        with no_work_found(self.metadata):
            if not coadds:
                raise NoOverlapError("no template overlaps the detector")
            sky_map = next(one for one in given["skyMap"] if one["name"] == coadds[0].dataId["skymap"])
            found = self.run(given["diaSources"], patches(coadds, given["skyMap"]), sky_map)
        butlerQC.put(found, outputRefs)

    def run(self, diaSources: Table, coadds: Iterable[CoaddPatch], skyMap: SkyMap | Mapping[str, Any]) -> Struct:
        """Measure.

        Parameters
        ----------
        diaSources
            Of one image; those without a position are left out.
        coadds
            Patches of the template, of all tracts that the image touches.
        skyMap
            The map of these, or its parameters.

        Returns
        -------
        Struct
            ``forcedSources``: a row for each source and patch, patch by patch; it may have no rows.

        Raises
        ------
        InputError
            If the table lacks a column.
        """
        name = "the table of DIA sources"
        sources = in_newer_names(diaSources)
        need_columns(sources, ("ra", "dec"), name=name)
        sources = sources[np.isfinite(np.asarray(sources["ra"])) & np.isfinite(np.asarray(sources["dec"]))]
        if len(sources) < len(diaSources):
            self.log.warning("%d sources have no position and are left out", len(diaSources) - len(sources))
        ra, dec = (np.asarray(sources[column], np.float64) for column in ("ra", "dec"))
        sky_map = SkyMap.of(skyMap)
        in_charge = np.stack(sky_map.find_patches(ra_deg=ra, dec_deg=dec), axis=1)
        tables = [self.config.measured(sources[:0], None, name=name, **_place(-1, -1, np.empty((0, 2), np.int64)))]
        for coadd in coadds:
            x, y = pixels_of_icrs(coadd.tract.wcs, ra, dec)
            rows = np.flatnonzero(are_on(coadd.patch.outer, coadd.tract.wcs, ra=ra, dec=dec))
            part = _around(coadd, x[rows], y[rows])
            if part is not None:
                place = _place(coadd.tract.id, coadd.patch_index, in_charge[rows])
                tables.append(self.config.measured(sources[rows], part, name=name, **place))
        self.metadata["nForcedSources"] = sum(map(len, tables))
        return Struct(forcedSources=self.config.finished(tables))


def _around(coadd: CoaddPatch, x: FloatArray, y: FloatArray) -> Exposure | None:
    """The part of a template around positions on its patch; None where there are none, or it has nothing there."""
    found = box_around(np.stack([x, y], axis=1))
    wanted = None if found is None else found.dilated(MARGIN_PX).intersect(coadd.patch.outer)
    return None if wanted is None else coadd.read(wanted)


def _place(tract: int, patch: int, in_charge: IntArray) -> dict[str, Any]:
    """What rows of a patch say of it; ``in_charge`` has the tract and patch in charge of each."""
    return {"tract": tract, "patch": patch, "detect_isPrimary": (in_charge == (tract, patch)).all(axis=1)}
