"""BestSeeing: the sharpest images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diapipe.catalogs.visit_images import TextArray, VisitImages
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.coadd.selection.base import AbstractVisitSelector, best_of, first_of, outside, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class BestSeeing(AbstractVisitSelector):
    """The sharpest images on the patch, each judged by itself (``BestSeeingWcsSelectImagesTask`` of LSST).

    Attributes
    ----------
    n_images_max
        At most so many; None is all (nImagesMax).
    max_fwhm_arcsec, min_fwhm_arcsec
        Limits of the PSF's full width at half maximum on the sky; None for none (maxPsfFwhm, minPsfFwhm).
    max_fwhm_px, min_fwhm_px
        The same in pixels of the image, as older configurations mean those fields.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = (
        "n_images_max",
        "max_fwhm_arcsec",
        "min_fwhm_arcsec",
        "max_fwhm_px",
        "min_fwhm_px",
    )

    n_images_max: int | None = 5
    max_fwhm_arcsec: float | None = 1.5
    min_fwhm_arcsec: float | None = 0.0
    max_fwhm_px: float | None = None
    min_fwhm_px: float | None = None

    def reasons(self, images: VisitImages, overlaps: BoolArray) -> TextArray:
        """Too sharp, too wide, or not sharp enough."""
        seeing = images.fwhm_arcsec
        limited = first_of(
            unknown(seeing, "FWHM"),
            outside(seeing, "FWHM", "arcsec", least=self.min_fwhm_arcsec, most=self.max_fwhm_arcsec),
            outside(images.fwhm_px, "FWHM", "px", least=self.min_fwhm_px, most=self.max_fwhm_px),
        )
        return best_of(limited, images, overlaps, seeing, n=self.n_images_max, what="FWHM", unit="arcsec")
