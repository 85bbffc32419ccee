"""Subtasks that choose the images of a coadd, by name in one registry and under LSST's class names."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import ChoiceField, DictField, Field, ListField, makeRegistry
from lsst.pipe.base import Struct, Task

from diapipe.catalogs.visit_images import VisitImages
from diapipe.images.tracts import Tract
from diapipe.steps.coadd.selection import (
    AbstractVisitSelector,
    BestSeeing,
    BestSeeingQuantile,
    BestSeeingVisits,
    Overlapping,
    PsfQuality,
    TimeBestSeeing,
    WholeVisits,
    select_images,
)
from diapipe.tasks.fields import OptionConfig, fixed, idle, option, options_of

visitSelectorRegistry = makeRegistry("Ways to choose the images of a coadd.")

FALLBACK = "fallback"
"""Key for the bands that are not named."""


def none_if_negative(value: int) -> int | None:
    """The value, or None for the -1 by which LSST says that there is no limit."""
    return None if value < 0 else value


class WcsSelectImagesConfig(OptionConfig):
    """What all selectors have."""

    excludeDetectors: Any = ListField(dtype=int, default=[], doc="Detectors of which no image is taken.")

    def selector(self, band: str) -> AbstractVisitSelector:
        """The selector of the core for a band."""
        return Overlapping()


class TimeBestSeeingWcsSelectImagesConfig(WcsSelectImagesConfig):
    """Config of the sharpest images between two dates; widths are in pixels, and 0 is a limit."""

    nImagesMax: Any = option(TimeBestSeeing, "n_images_max")
    minMJD: Any = option(TimeBestSeeing, "min_mjd")
    maxMJD: Any = option(TimeBestSeeing, "max_mjd")
    minPsfFwhm: Any = option(TimeBestSeeing, "min_fwhm_px")
    maxPsfFwhm: Any = option(TimeBestSeeing, "max_fwhm_px")

    def selector(self, band: str) -> TimeBestSeeing:
        """Images by date and sharpness."""
        return options_of(self, TimeBestSeeing)


class BestSeeingWcsSelectImagesConfig(WcsSelectImagesConfig):
    """Config of the sharpest images."""

    nImagesMax: Any = option(BestSeeing, "n_images_max")
    maxPsfFwhm: Any = Field(
        dtype=float, default=BestSeeing().max_fwhm_arcsec, optional=True, doc="Largest width, in psfFwhmUnit."
    )
    minPsfFwhm: Any = Field(
        dtype=float, default=BestSeeing().min_fwhm_arcsec, optional=True, doc="Smallest width, in psfFwhmUnit."
    )
    psfFwhmUnit: Any = ChoiceField(
        dtype=str,
        default="arcsec",
        doc="Unit of maxPsfFwhm and minPsfFwhm.",
        allowed={"arcsec": "On the sky, as LSST's later versions.", "pixel": "As configurations of 2018 mean it."},
    )

    def selector(self, band: str) -> BestSeeing:
        """The sharpest images."""
        limits = {"max_fwhm_arcsec": None, "min_fwhm_arcsec": None}
        unit = {"arcsec": "arcsec", "pixel": "px"}[self.psfFwhmUnit]
        limits |= {f"max_fwhm_{unit}": self.maxPsfFwhm, f"min_fwhm_{unit}": self.minPsfFwhm}
        return options_of(self, BestSeeing, **limits)


class _WholeVisitsConfig(WcsSelectImagesConfig):
    """What selectors of whole visits have."""

    doConfirmOverlap: Any = fixed(
        True, "Take only visits that truly overlap.", "an image beyond the patch has nothing to add"
    )
    visitSummaryMinValues: Any = DictField(
        keytype=str, itemtype=float, default={}, doc="Least mean of columns of the visit summary, by their names."
    )

    def _options[T: WholeVisits](self, owner: type[T]) -> T:
        return options_of(self, owner, min_values=dict(self.visitSummaryMinValues))


class BestSeeingSelectVisitsConfig(_WholeVisitsConfig):
    """Config of the sharpest visits."""

    nVisitsMax: Any = option(
        BestSeeingVisits, "n_visits_max", into=none_if_negative, doc="At most so many visits; -1 or None is all."
    )
    maxPsfFwhm: Any = option(BestSeeingVisits, "max_fwhm_arcsec")
    minPsfFwhm: Any = option(BestSeeingVisits, "min_fwhm_arcsec")
    minMJD: Any = option(BestSeeingVisits, "min_mjd")
    maxMJD: Any = option(BestSeeingVisits, "max_mjd")

    def selector(self, band: str) -> BestSeeingVisits:
        """The sharpest visits."""
        return self._options(BestSeeingVisits)


class BestSeeingQuantileSelectVisitsConfig(_WholeVisitsConfig):
    """Config of a share of the visits."""

    qMin: Any = option(BestSeeingQuantile, "min_quantile")
    qMax: Any = option(BestSeeingQuantile, "max_quantile")
    nVisitsMin: Any = option(BestSeeingQuantile, "n_visits_min")
    maxPsfFwhm: Any = option(BestSeeingQuantile, "max_fwhm_arcsec")
    minMJD: Any = option(BestSeeingQuantile, "min_mjd")
    maxMJD: Any = option(BestSeeingQuantile, "max_mjd")

    def selector(self, band: str) -> BestSeeingQuantile:
        """Visits between two quantiles of the seeing."""
        return self._options(BestSeeingQuantile)


class PsfWcsSelectImagesConfig(WcsSelectImagesConfig):
    """Config of images whose PSF is known well."""

    maxPsfFwhm: Any = option(PsfQuality, "max_fwhm_arcsec")
    maxEllipResidual: Any = option(PsfQuality, "max_ellipticity_residual")
    maxScaledSizeScatter: Any = option(PsfQuality, "max_scaled_size_scatter_per_px")
    maxPsfTraceRadiusDelta: Any = option(PsfQuality, "max_trace_radius_delta_px")
    maxStarEMedian: Any = option(PsfQuality, "max_star_ellipticity")
    minNPsfStarPerBand: Any = DictField(
        keytype=str,
        itemtype=int,
        default={FALLBACK: PsfQuality().min_psf_stars},
        doc=f"Stars that the PSF must have been made from, by band; {FALLBACK} is for the bands not named.",
    )
    maxPsfApFluxDelta: Any = idle(0.24, "Limit of the variation of a PSF's aperture flux.", "it is not measured here")
    maxPsfApCorrSigmaScaledDelta: Any = idle(
        0.22, "Limit of the variation of the aperture correction.", "it is not measured here"
    )

    def selector(self, band: str) -> PsfQuality:
        """Images with a good PSF."""
        least = dict(self.minNPsfStarPerBand)
        return options_of(self, PsfQuality, min_psf_stars=least.get(band, least.get(FALLBACK)))


class SelectImagesTask(Task):
    """Choose the images of a coadd by one of the selectors of the core."""

    config: Any
    ConfigClass = WcsSelectImagesConfig
    _DefaultName = "select"

    def run(
        self,
        images: VisitImages,
        tract: Tract,
        patch: int,
        *,
        band: str = "",
        visits: list[int] | None = None,
        excludeVisits: tuple[int, ...] = (),
    ) -> Struct:
        """Choose.

        Parameters
        ----------
        images
            Visit summaries of one band.
        tract, patch
            Where the coadd is made.
        band
            Name of the band.
        visits
            Visits that may be taken; None is all.
        excludeVisits
            Visits that must not be taken.

        Returns
        -------
        Struct
            ``templateVisits``: a row for every image, with the reason if it is left out.
        """
        selector = self.config.selector(band)
        chosen = select_images(
            images,
            tract=tract,
            patch_index=patch,
            selector=selector,
            only_visits=visits,
            excluded_visits=excludeVisits,
            excluded_detectors=tuple(self.config.excludeDetectors),
        )
        self.metadata["nSelected"] = int(np.sum(chosen["selected"]))
        self._tell_of_units(selector, images)
        return Struct(templateVisits=chosen)

    def _tell_of_units(self, selector: AbstractVisitSelector, images: VisitImages) -> None:
        """Say so where a limit in arcsec leaves out nothing and the same number in pixels would."""
        limit = selector.max_fwhm_arcsec if isinstance(selector, BestSeeing) else None
        if limit is None or not len(images) or np.nanmax(images.fwhm_arcsec, initial=0.0) > limit:
            return
        n = int((images.fwhm_px > limit).sum())
        if n:
            self.log.warning(
                "maxPsfFwhm = %g arcsec leaves out no image; in pixels, as configurations of 2018 mean it, it would "
                "leave out %d: if that is meant, set psfFwhmUnit = 'pixel'",
                limit,
                n,
            )


class WcsSelectImagesTask(SelectImagesTask):
    """All images that overlap the patch."""


NullSelectImagesTask = WcsSelectImagesTask
"""All images that are given; where there is a patch these are the ones that overlap it."""


class TimeBestSeeingWcsSelectImagesTask(SelectImagesTask):
    """The sharpest images between two dates."""

    ConfigClass = TimeBestSeeingWcsSelectImagesConfig


class BestSeeingWcsSelectImagesTask(SelectImagesTask):
    """The sharpest images."""

    ConfigClass = BestSeeingWcsSelectImagesConfig


class BestSeeingSelectVisitsTask(SelectImagesTask):
    """The sharpest visits."""

    ConfigClass = BestSeeingSelectVisitsConfig


class BestSeeingQuantileSelectVisitsTask(SelectImagesTask):
    """Visits between two quantiles of the seeing."""

    ConfigClass = BestSeeingQuantileSelectVisitsConfig


class PsfWcsSelectImagesTask(SelectImagesTask):
    """Images whose PSF is known well."""

    ConfigClass = PsfWcsSelectImagesConfig


visitSelectorRegistry.register("best_seeing_quantile", BestSeeingQuantileSelectVisitsTask)
visitSelectorRegistry.register("best_seeing_visits", BestSeeingSelectVisitsTask)
visitSelectorRegistry.register("best_seeing", BestSeeingWcsSelectImagesTask)
visitSelectorRegistry.register("time_best_seeing", TimeBestSeeingWcsSelectImagesTask)
visitSelectorRegistry.register("psf_wcs", PsfWcsSelectImagesTask)
visitSelectorRegistry.register("wcs", WcsSelectImagesTask)


def reasons_told(chosen: Table) -> str:
    """How many images were taken and left out, for a line of the log."""
    reasons = [str(reason) for reason in chosen["reason"] if reason]
    counted = {kind: sum(1 for r in reasons if r == kind) for kind in dict.fromkeys(reasons)}
    common = sorted(counted.items(), key=lambda item: -item[1])[:3]
    told = "".join(f"; {n} left out: {kind}" for kind, n in common)
    return f"{len(chosen) - len(reasons)} of {len(chosen)} images taken{told}"
