"""The calibration that each image brought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.catalogs.photometric_scales import PHOTOMETRIC_SCALE
from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.tables import table_of
from diapipe.catalogs.visit_stars import VisitStars
from diapipe.steps.calibrate.base import AbstractScale


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(AbstractScale):
    """Believe the file of each image."""

    def scale(self, stars: VisitStars, *, band: str, reference: ReferenceList | None) -> Table:
        """As the files say; an image whose file says nothing has no scale."""
        told = np.isfinite(stars.given)
        columns = {
            "visit": stars.visit,
            "detector": stars.detector,
            "nJyPerCount": stars.given,
            "nJyPerCountErr": stars.given_err,
            "component": np.where(told, 0, -1),
            "isAbsolute": told,
            "reason": np.where(told, "", "its file brings no photometric calibration"),
        }
        return table_of(PHOTOMETRIC_SCALE, columns, n=stars.n_images)
