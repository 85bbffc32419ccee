"""What the tasks of forced photometry at the places of a catalogue have in common: fields, and one measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import DictField, Field
from lsst.pipe.base.connectionTypes import Input

from diapipe.catalogs.old_forced_columns import in_older_names, newer_name
from diapipe.catalogs.tables import stacked
from diapipe.errors import InputError
from diapipe.images import Exposure, ObservationInfo
from diapipe.images.sky import icrs_of
from diapipe.images.sky_map import SkyMap
from diapipe.steps.force import TEMPLATE_APERTURES_PX, Force, LocalBackground, force_catalog
from diapipe.tasks.connections import DETECTOR, DIFFERENCE, PLAIN
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import OptionConfig, idle, option, options_of
from diapipe.tasks.idle_subtask import IdleSubtask
from diapipe.tasks.named_connections import NamedConnections

OLD_IDS = {"diaObjectId": "dia_object_id", "diaSourceId": "dia_source_id", "objectId": "template_id"}
"""What ``dia_pipe`` called the identifiers of what was measured."""


def copied_columns(columns: Mapping[str, str], *, of: str) -> Any:
    """The field ``copyColumns``: what is taken over from the catalogue."""
    doc = f"Columns of {of} that are copied, by our names or those of afw tables, and what they are called then."
    return DictField(doc=doc, keytype=str, itemtype=str, default=dict(columns))


def skip_missing() -> Any:
    """The field ``skipMissing``."""
    doc = "Measure what patches with a catalogue have; False: refuse an image of which a patch has none."
    return Field(dtype=bool, default=True, doc=doc)


class ForcedFluxConfig(OptionConfig):
    """What can be chosen of fluxes at given places, on whatever image."""

    psfStampSize: Any = option(Force, "stamp_fwhm")
    fitTogether: Any = option(Force, "together_fwhm")
    countAsOne: Any = option(Force, "same_fwhm")
    doApCorr: Any = option(Force, "correct_apertures")


class OlderForcedConfig(ForcedFluxConfig):
    """The same, and what older configurations say of forced photometry that has another answer here."""

    doReplaceWithNoise: Any = idle(True, "Put noise in the place of neighbours.", "neighbours are fitted together")

    @property
    def measurement(self) -> IdleSubtask:
        """Which plugins measured."""
        return IdleSubtask("measurement", "PSF fluxes are measured, and what other fields ask for")

    @property
    def applyApCorr(self) -> IdleSubtask:
        """How aperture corrections were applied."""
        return IdleSubtask("applyApCorr", "doApCorr says whether they are")

    @property
    def catalogCalculation(self) -> IdleSubtask:
        """What was computed of other columns."""
        return IdleSubtask("catalogCalculation", "nothing is computed of other columns")


class ForcedPhotConfig(OlderForcedConfig):
    """What can be chosen in forced photometry at the places of a catalogue."""

    coaddName: Any = coadd_name()
    copyColumns: Any = copied_columns({}, of="the catalogue")
    apertureRadii: Any = option(Force, "aperture_radii_px", default=TEMPLATE_APERTURES_PX)
    doLocalBackground: Any = Field(dtype=bool, default=True, doc="Tell the level around each place.")
    doOldColumns: Any = Field(
        dtype=bool, default=False, doc="Write columns by the names of dia_pipe, such as base_PsfFlux_instFlux."
    )

    def options(self) -> Force:
        """The options of the core."""
        return options_of(self, Force, background=LocalBackground() if self.doLocalBackground else None)

    def measured(self, catalog: Table, exposure: Exposure | None, *, name: str, **same: Any) -> Table:
        """The sources of a catalogue on an image: columns copied, columns that are the same, fluxes."""
        copied = {newer_name(old): new for old, new in self.copyColumns.items()}
        return force_catalog(catalog, exposure, copied=copied, same=same, options=self.options(), name=name)

    def finished(self, tables: Sequence[Table]) -> Table:
        """All rows in one table, by the names that are wanted."""
        table = stacked(tables, name="forced sources")
        return in_older_names(table, ids=OLD_IDS) if self.doOldColumns else table


class ForcedPhotCcdConnections(NamedConnections, dimensions=DETECTOR):
    """What forced photometry reads of a difference, wherever its places come from."""

    difference: Any = Input(
        doc="Science minus template.", name="difference_image", storageClass=DIFFERENCE, dimensions=DETECTOR
    )
    skyMap: Any = Input(
        doc="How the sky is cut into tracts and patches, for skipMissing = False.",
        name="skyMap",
        storageClass=PLAIN,
        dimensions=("skymap",),
        multiple=True,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        if config.skipMissing:
            del self.skyMap


def of_image(info: ObservationInfo) -> dict[str, Any]:
    """What all rows of an image have in common."""
    return {
        "visit": info.visit,
        "detector": info.detector,
        "band": info.band,
        "midpointMjdTai": info.mjd_midpoint,
    }


def refuse_missing(
    found: Iterable[tuple[int, int]], exposure: Exposure, skyMap: SkyMap | Mapping[str, Any], *, what: str
) -> None:
    """Refuse an image of which a patch has no catalogue.

    Parameters
    ----------
    found
        Tract and patch of each catalogue.
    exposure
        The image, with a WCS.
    skyMap
        The map, or the parameters of one.
    what
        What messages call the catalogue.

    Raises
    ------
    InputError
        Names the patches that have none.
    """
    sky_map = SkyMap.of(skyMap)
    box = exposure.box
    x, y = np.array([box.x0, box.x1, box.x1, box.x0]) - 0.5, np.array([box.y0, box.y0, box.y1, box.y1]) - 0.5
    touched = sky_map.patches_overlapping(*icrs_of(exposure.wcs, x, y))
    missing = sorted({(tract.id, patch.index) for tract, own in touched for patch in own} - set(found))
    if missing:
        told = ", ".join(f"patch {patch} of tract {tract}" for tract, patch in missing)
        raise InputError(f"{exposure.name} has no {what} of {told}; make it, or leave skipMissing as it is")
