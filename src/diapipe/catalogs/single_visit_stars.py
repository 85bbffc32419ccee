"""Columns of ``single_visit_star``: the sources of one image, stars and others, as `characterize` found them."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.catalogs.schema import FLUX, Column
from diapipe.catalogs.stars import StarList

SUMMARY = "exposureSummary"
"""Key of the table's metadata: what `diapipe.steps.characterize.exposure_summary` says of the image."""

FINDINGS = "findings"
"""Key of the table's metadata: the summary of `characterize`."""

SINGLE_VISIT_STAR: tuple[Column, ...] = (
    Column("sourceId", "i8", "", "Identifier of this source"),
    Column("visit", "i8", "", "Identifier of the exposure"),
    Column("detector", "i8", "", "Number of the detector"),
    Column("band", "U32", "", "Name of the filter"),
    Column("x", "f8", "pix", "Centroid, 0-based pixel centres"),
    Column("y", "f8", "pix", "Centroid, 0-based pixel centres"),
    Column("ra", "f8", "deg", "Right ascension of the centroid"),
    Column("dec", "f8", "deg", "Declination of the centroid"),
    Column("psfFlux", "f8", FLUX, "PSF flux, neighbours taken away, with the aperture correction of the image"),
    Column("psfFluxErr", "f8", FLUX, "Error of psfFlux"),
    Column("psfFlux_flag", "?", "", "PSF flux missing, or less than half of the PSF on usable pixels"),
    Column("localPhotoCalib", "f8", "nJy", "Flux of a count here by the image's own calibration; NaN without one"),
    Column("psfChi2", "f8", "", "Chi squared of the PSF fit"),
    Column("psfNdata", "i4", "", "Pixels in the PSF fit"),
    Column("apFlux", "f8", FLUX, "Flux in a circle of radius apRadius"),
    Column("apFluxErr", "f8", FLUX, "Error of apFlux"),
    Column("apFlux_flag", "?", "", "Aperture flux missing, or unusable pixels left out of the circle"),
    Column("apRadius", "f4", "pix", "Radius of the circle"),
    Column("gaussianFlux", "f8", FLUX, "Flux of the Gaussian that fits best"),
    Column("gaussianFluxErr", "f8", FLUX, "Error of gaussianFlux"),
    Column("ixx", "f8", "pix2", "Adaptive second moment along x"),
    Column("iyy", "f8", "pix2", "Adaptive second moment along y"),
    Column("ixy", "f8", "pix2", "Adaptive mixed moment"),
    Column("ixxPSF", "f8", "pix2", "The same of the PSF at this place"),
    Column("iyyPSF", "f8", "pix2", "The same of the PSF at this place"),
    Column("ixyPSF", "f8", "pix2", "The same of the PSF at this place"),
    Column("shape_flag", "?", "", "The moments did not converge"),
    Column("extendedness", "f8", "", "0 for a star, 1 for what does not look like one"),
    Column("detect_isPrimary", "?", "", "To be counted once"),
    Column("calib_psf_used", "?", "", "The PSF of the image was made from it"),
    Column("pixelFlags_saturatedCenter", "?", "", "Saturated pixels within 3 px of the centre"),
    Column("dp_isIsolated", "?", "", "No neighbour matters within a PSF stamp"),
    Column("dp_peak", "f8", FLUX, "Value of the brightest pixel above the sky"),
)
"""In their order."""


def stars_of(table: Table) -> StarList:
    """The stars as `characterize` listed them, from their table.

    Parameters
    ----------
    table
        Columns of `SINGLE_VISIT_STAR`.
    """

    def numbers(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(table[name], dtype=np.float64)

    return StarList(
        x=numbers("x"),
        y=numbers("y"),
        flux=numbers("gaussianFlux"),
        flux_err=numbers("gaussianFluxErr"),
        peak=numbers("dp_peak"),
        is_star=numbers("extendedness") < 0.5,
        is_saturated=np.array(table["pixelFlags_saturatedCenter"], dtype=np.bool_),
        is_isolated=np.array(table["dp_isIsolated"], dtype=np.bool_),
    )
