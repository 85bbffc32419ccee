"""Subtasks that measure: the sources of a difference, and the science image at their places."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import ConfigField, ListField
from lsst.pipe.base import Struct, Task

from diapipe.catalogs.dia_sources import without_flagged
from diapipe.catalogs.stars import StarList
from diapipe.images import Detections, Difference, Exposure, Footprints
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.steps.measure import ApertureCorrections, Glints, Measure, measure, with_sky_sources
from diapipe.steps.measure.dipoles import Dipoles
from diapipe.steps.measure.trails import Trails
from diapipe.tasks.fields import OptionConfig, fixed, idle, option, options_of

FORCED = ("scienceFlux", "templateFlux", "forced_")
"""Beginnings of the columns of forced photometry."""


def in_sigma(fwhm: float) -> float:
    """FWHM as sigmas of a Gaussian."""
    return float(fwhm * SIGMA_TO_FWHM)


def in_fwhm(sigma: float) -> float:
    """Sigmas as FWHM of a Gaussian."""
    return float(sigma / SIGMA_TO_FWHM)


class TrailsConfig(OptionConfig):
    """Config of the fit of sources that moved while the shutter was open."""

    searchRadius: Any = option(Trails, "search_fwhm")
    minLengthSigma: Any = option(Trails, "least_length_sigma")
    minGain: Any = option(Trails, "least_gain")
    suspectLength: Any = option(Trails, "suspect_fwhm")


class GlintsConfig(OptionConfig):
    """Config of the search for glints."""

    radius: Any = option(Glints, "radius_px")
    minPoints: Any = option(Glints, "least_sources")
    threshold: Any = option(Glints, "max_rms_px")


class DipoleFitPluginConfig(OptionConfig):
    """Config of the dipole fit, under the names of LSST's plugin."""

    relWeight: Any = option(Dipoles, "image_weight")
    fitSeparateNegParams: Any = option(Dipoles, "separate_fluxes")
    minSn: Any = option(Dipoles, "least_snr")
    maxFluxRatio: Any = option(Dipoles, "largest_share")
    maxSeparation: Any = option(
        Dipoles,
        "reach_fwhm",
        into=in_fwhm,
        shown=in_sigma,
        doc="A lobe that moves farther from the middle has run away, in sigma of the PSF.",
    )
    fitAllDiaSources: Any = fixed(
        False, "Fit a dipole to every source.", "a source without a lobe of the other sign beside it is none"
    )
    fitBackground: Any = idle(1, "Fit the background of the stamps.", "the three images have none left")
    tolerance: Any = idle(1e-7, "Where the iterations end.", "they end where the errors say that more is noise")
    maxChi2DoF: Any = idle(0.05, "Limit that was never applied.", "a dipole is judged by separation and balance")
    maxFootprintArea: Any = idle(
        1200, "Larger footprints were not fitted.", "stamps are fitted, whatever the footprint"
    )


class DipoleFitConfig(OptionConfig):
    """Config of the measurement."""

    dipole: Any = ConfigField(doc="The dipole fit.", dtype=DipoleFitPluginConfig)
    apertureRadius: Any = option(Measure, "aperture_fwhm")
    maxDistToPeak: Any = option(Measure, "max_shift_px")
    doTrails: Any = option(Measure, "fit_trails")
    trails: Any = ConfigField(doc="The trail fit.", dtype=TrailsConfig)
    glints: Any = ConfigField(doc="Which sources stand in a row, as glints of a satellite do.", dtype=GlintsConfig)
    badSourceFlags: Any = ListField(
        dtype=str,
        default=[],
        doc="Sources with any of these flags are dropped, by our names or those of afw; by default none is.",
    )
    psfStampSize: Any = option(Measure, "stamp_fwhm")

    def options(self, *, fitDipoles: bool, corrections: ApertureCorrections | None = None) -> Measure:
        """The options of the core; without ``corrections`` no aperture correction is applied."""
        return options_of(
            self,
            Measure,
            fit_dipoles=fitDipoles,
            dipoles=options_of(self.dipole, Dipoles),
            trails=options_of(self.trails, Trails),
            glints=options_of(self.glints, Glints),
            aperture_corrections=corrections or ApertureCorrections(fluxes=()),
        )


class DipoleFitTask(Task):
    """Positions, fluxes, shapes, flags; dipoles where asked for."""

    config: Any
    ConfigClass = DipoleFitConfig
    _DefaultName = "measurement"

    def run(
        self,
        difference: Difference,
        detections: Detections,
        science: Exposure,
        template: Exposure | None = None,
        *,
        stars: StarList | None = None,
        fitDipoles: bool = True,
        skyPlaces: Footprints | None = None,
    ) -> Struct:
        """Measure every detection; forced fluxes and aperture corrections are left to the subtasks that make them.

        Parameters
        ----------
        difference, detections
            What was found on it.
        science
            The science image.
        template
            On the science grid and flux scale, with a PSF of its own; that of the difference where left out.
        stars
            Of the science image.
        fitDipoles
            Whether dipoles are fitted.
        skyPlaces
            Empty places to be measured as well.

        Returns
        -------
        Struct
            ``diaSources``: table.
        """
        options = self.config.options(fitDipoles=fitDipoles)
        table: Table = measure(difference, detections, science=science, template=template, stars=stars, options=options)
        table = without_flagged(table, self.config.badSourceFlags)
        if skyPlaces is not None:
            table = with_sky_sources(
                table,
                difference,
                detections,
                skyPlaces,
                science=science,
                template=template,
                stars=stars,
                options=options,
            )
        for name in table.colnames:
            if name.startswith(FORCED):
                table[name][:] = np.nan if table[name].dtype.kind == "f" else False
        self.metadata["nSources"] = len(table)
        self.metadata["nDipoles"] = int(table["isDipole"].sum())
        return Struct(diaSources=table)
