"""BestSeeingQuantile: a share of the visits, the sharpest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diapipe.catalogs.visit_images import VisitImages
from diapipe.errors import UsageError
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.coadd.selection.base import by_visit
from diapipe.steps.coadd.selection.whole_visits import WholeVisits
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class BestSeeingQuantile(WholeVisits):
    """The visits between two quantiles of the seeing (``BestSeeingQuantileSelectVisitsTask`` of LSST, SPEC A.8).

    It needs to know nothing of the site, and more visits make the coadd deeper.

    Attributes
    ----------
    min_quantile, max_quantile
        Of the median full width at half maximum of the visits; 0 to 0.33 is the sharpest third (qMin, qMax).
    n_visits_min
        At least so many are taken, if there are (nVisitsMin).

    Raises
    ------
    UsageError
        If the quantiles are no shares, or the wrong way round.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = (*WholeVisits.may_be_zero, "min_quantile", "max_quantile", "n_visits_min")
    shares: ClassVar[tuple[str, ...]] = ("min_quantile", "max_quantile")

    min_quantile: float = 0.0
    max_quantile: float = 0.33
    n_visits_min: int = 6

    def __post_init__(self) -> None:
        Limited.__post_init__(self)
        if self.min_quantile > self.max_quantile:
            raise UsageError(
                f"min_quantile of BestSeeingQuantile must not be above max_quantile: {self.min_quantile:g} and "
                f"{self.max_quantile:g}"
            )

    def seeing(self, images: VisitImages) -> FloatArray:
        """Median over the detectors."""
        return by_visit(images, images.fwhm_arcsec, np.median)

    def ranked(self, visits: list[int], seeing: dict[int, float]) -> dict[int, str]:
        """Those between the quantiles, or next to them where these are too few, are taken."""
        n = len(visits)
        lower = min(round(self.min_quantile * n), max(0, n - self.n_visits_min))
        upper = max(round(self.max_quantile * n), self.n_visits_min)
        sharp, wide = (f"of rank {{}} in {n} is {word}" for word in ("sharper than asked for", "not sharp enough"))
        return {
            visit: f"the visit's FWHM {seeing[visit]:.6g} arcsec " + (sharp if i < lower else wide).format(i + 1)
            for i, visit in enumerate(visits)
            if not lower <= i < upper
        }
