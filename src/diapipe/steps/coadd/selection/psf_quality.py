"""PsfQuality: images whose PSF is known well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diapipe.catalogs.visit_images import TextArray, VisitImages
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.coadd.selection.base import AbstractVisitSelector, first_of, outside, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PsfQuality(AbstractVisitSelector):
    """Images on the patch with a round, steady and well-modelled PSF (``PsfWcsSelectImagesTask`` of LSST, SPEC A.8).

    Attributes
    ----------
    max_fwhm_arcsec
        Limit of the PSF's full width at half maximum; None for none (maxPsfFwhm).
    max_ellipticity_residual
        Limit of √(Δe1² + Δe2²), from the medians of the stars' ellipticities less the PSF's (maxEllipResidual).
    max_scaled_size_scatter_per_px
        Limit of the scatter of the stars' sizes less the PSF's, over the squared median size (maxScaledSizeScatter).
    max_trace_radius_delta_px
        Limit of the largest less the smallest size of the PSF over the image (maxPsfTraceRadiusDelta).
    max_star_ellipticity
        Limit of the median ellipticity of the stars (maxStarEMedian).
    min_psf_stars
        Stars that the PSF must have been made from (minNPsfStarPerBand).
    """

    may_be_zero: ClassVar[tuple[str, ...]] = (
        "max_fwhm_arcsec",
        "max_ellipticity_residual",
        "max_scaled_size_scatter_per_px",
        "max_trace_radius_delta_px",
        "max_star_ellipticity",
        "min_psf_stars",
    )

    max_fwhm_arcsec: float | None = 1.8
    max_ellipticity_residual: float | None = 0.007
    max_scaled_size_scatter_per_px: float | None = 0.019
    max_trace_radius_delta_px: float | None = 0.7
    max_star_ellipticity: float | None = 0.4
    min_psf_stars: int | None = 6

    def reasons(self, images: VisitImages, overlaps: BoolArray) -> TextArray:
        """The first limit that an image exceeds; what a limit is about must be known."""
        found = [unknown(images.fwhm_px, "FWHM")]
        if self.max_fwhm_arcsec is not None:
            found.append(outside(images.fwhm_arcsec, "FWHM", "arcsec", least=None, most=self.max_fwhm_arcsec))
        if self.max_ellipticity_residual is not None:
            residual = np.hypot(images.column("psfStarDeltaE1Median"), images.column("psfStarDeltaE2Median"))
            found.append(outside(residual, "residual ellipticity", "", least=None, most=self.max_ellipticity_residual))
        columns = (
            ("psfStarScaledDeltaSizeScatter", "scatter of the sizes", "/px", self.max_scaled_size_scatter_per_px),
            ("psfTraceRadiusDelta", "variation of the PSF's size", "px", self.max_trace_radius_delta_px),
            ("starEMedian", "ellipticity of the stars", "", self.max_star_ellipticity),
        )
        for name, what, unit, most in columns:
            if most is not None:
                found.append(outside(images.column(name), what, unit, least=None, most=most))
        if self.min_psf_stars is not None:
            stars = images.column("nPsfStar")
            found.append(outside(stars, "number of PSF stars", "", least=self.min_psf_stars, most=None))
        return first_of(*found)
