"""AbstractScale: a way to find out what a count of each of many images is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from astropy.table import Table

from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.visit_stars import VisitStars
from diapipe.steps.limits import Limited

MAG = 2.5 / np.log(10.0)
"""Magnitudes in a unit of the natural logarithm."""


class AbstractScale(Limited, ABC):
    """Base of the ways to put images on one photometric scale."""

    __slots__ = ()

    @abstractmethod
    def scale(self, stars: VisitStars, *, band: str, reference: ReferenceList | None) -> Table:
        """Flux of a count, image by image.

        Parameters
        ----------
        stars
            Of all images of one band.
        band
            Its name.
        reference
            Reference catalogue, fluxes in nJy.

        Returns
        -------
        Table
            Columns of `diapipe.catalogs.photometric_scales.PHOTOMETRIC_SCALE`, one row for each image, in their order.
        """
