"""BestSeeingVisits: the sharpest visits, up to a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diapipe.catalogs.visit_images import VisitImages
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.coadd.selection.base import by_visit
from diapipe.steps.coadd.selection.whole_visits import WholeVisits


@dataclass(frozen=True, slots=True, kw_only=True)
class BestSeeingVisits(WholeVisits):
    """The visits of smallest mean full width at half maximum (``BestSeeingSelectVisitsTask`` of LSST).

    Attributes
    ----------
    n_visits_max
        At most so many; None is all (nVisitsMax).
    """

    may_be_zero: ClassVar[tuple[str, ...]] = (*WholeVisits.may_be_zero, "n_visits_max")

    n_visits_max: int | None = 12
    max_fwhm_arcsec: float | None = 1.5
    min_fwhm_arcsec: float | None = 0.0

    def seeing(self, images: VisitImages) -> FloatArray:
        """Mean over the detectors."""
        return by_visit(images, images.fwhm_arcsec, np.mean)

    def ranked(self, visits: list[int], seeing: dict[int, float]) -> dict[int, str]:
        """The first are taken."""
        late = [] if self.n_visits_max is None else visits[self.n_visits_max :]
        words = f"is not among the {self.n_visits_max} smallest"
        return {visit: f"the visit's FWHM {seeing[visit]:.6g} arcsec {words}" for visit in late}
