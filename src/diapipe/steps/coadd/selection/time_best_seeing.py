"""TimeBestSeeing: the sharpest images of a season."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diapipe.catalogs.visit_images import TextArray, VisitImages
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.coadd.selection.base import AbstractVisitSelector, best_of, first_of, outside, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBestSeeing(AbstractVisitSelector):
    """The sharpest images between two dates, each judged by itself (``TimeBestSeeingWcsSelectImagesTask``, SPEC A.8).

    Attributes
    ----------
    n_images_max
        At most so many; None is all (nImagesMax).
    min_mjd, max_mjd
        Limits of the middle of the exposure, TAI days; None for none (minMJD, maxMJD).
    min_fwhm_px, max_fwhm_px
        Limits of the PSF's full width at half maximum in pixels of the image; None for none (minPsfFwhm, maxPsfFwhm).
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("n_images_max", "min_fwhm_px", "max_fwhm_px")
    any_sign: ClassVar[tuple[str, ...]] = ("min_mjd", "max_mjd")

    n_images_max: int | None = None
    min_mjd: float | None = None
    max_mjd: float | None = None
    min_fwhm_px: float | None = None
    max_fwhm_px: float | None = None

    def reasons(self, images: VisitImages, overlaps: BoolArray) -> TextArray:
        """Too early, too late, too sharp, too wide, or not sharp enough."""
        width = images.fwhm_px
        limited = first_of(
            outside(width, "FWHM", "px", least=self.min_fwhm_px, most=self.max_fwhm_px),
            outside(images.mjd, "MJD", "", least=self.min_mjd, most=self.max_mjd),
            unknown(width, "FWHM"),
        )
        return best_of(limited, images, overlaps, width, n=self.n_images_max, what="FWHM", unit="px")
