"""WholeVisits: what the choices that take a visit whole have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from diapipe.catalogs.visit_images import TextArray, VisitImages
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.steps.coadd.selection.base import AbstractVisitSelector, by_visit, first_of, outside, unknown, visits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeVisits(AbstractVisitSelector):
    """Visits with an image on the patch, judged by all of their detectors.

    Attributes
    ----------
    min_mjd, max_mjd
        Limits of the mean middle of the exposures, TAI days; None for none (minMJD, maxMJD).
    max_fwhm_arcsec, min_fwhm_arcsec
        Limits of the visit's full width at half maximum; None for none (maxPsfFwhm, minPsfFwhm).
    min_values
        Least mean over the detectors of any other column of the visit summary, by its name (visitSummaryMinValues).
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("max_fwhm_arcsec", "min_fwhm_arcsec")
    any_sign: ClassVar[tuple[str, ...]] = ("min_mjd", "max_mjd")

    min_mjd: float | None = None
    max_mjd: float | None = None
    max_fwhm_arcsec: float | None = None
    min_fwhm_arcsec: float | None = None
    min_values: Mapping[str, float] = field(default_factory=dict)

    @abstractmethod
    def seeing(self, images: VisitImages) -> FloatArray:
        """The seeing of the visit of each image, arcsec; shape (n,)."""

    @abstractmethod
    def ranked(self, visits: list[int], seeing: dict[int, float]) -> dict[int, str]:
        """Reasons against visits, which come from the sharpest to the widest; what is not in it is taken."""

    def reasons(self, images: VisitImages, overlaps: BoolArray) -> TextArray:
        """The limits first, then the rank among the visits within them."""
        seeing = self.seeing(images)
        limits = [
            unknown(seeing, "the visit's FWHM"),
            outside(seeing, "the visit's FWHM", "arcsec", least=self.min_fwhm_arcsec, most=self.max_fwhm_arcsec),
            outside(by_visit(images, images.mjd, np.mean), "MJD", "", least=self.min_mjd, most=self.max_mjd),
        ]
        for name, least in self.min_values.items():
            mean = by_visit(images, images.column(name), np.mean)
            limits.append(outside(mean, f"the visit's mean {name}", "", least=least, most=None))
        limited = first_of(*limits)
        candidates = (limited == "") & visits_of(images, overlaps)
        by_id = dict(zip(images.visit[candidates].tolist(), seeing[candidates].tolist(), strict=True))
        order = sorted(by_id, key=lambda visit: (by_id[visit], visit))
        against = self.ranked(order, by_id)
        said = np.array([against.get(visit, "") for visit in images.visit.tolist()], dtype="U128")
        return first_of(limited, said)
