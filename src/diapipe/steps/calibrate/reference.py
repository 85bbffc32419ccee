"""Against a catalogue of stars of known flux, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from diapipe.catalogs.matching import match_sky
from diapipe.catalogs.photometric_scales import PHOTOMETRIC_SCALE
from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.tables import table_of
from diapipe.catalogs.visit_stars import VisitStars
from diapipe.errors import InputError, counted
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.calibrate.base import MAG, AbstractScale
from diapipe.steps.calibrate.robust_mean import RobustMean, robust_mean


class _Sky(NamedTuple):
    """Positions on the sky."""

    ra: FloatArray
    dec: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference(AbstractScale):
    """The robust mean of ln(catalogue flux / counts) over the stars of an image.

    Attributes
    ----------
    match_radius_arcsec
        A star stands within this of its entry in the catalogue.
    min_stars
        Fewer give no scale.
    least_star_error
        Relative error that each star has at least: of its flux in the catalogue, of the PSF model at its place. Without
        it the few brightest would be all of the mean, and its error a quarter of what it is.
    """

    may_be_zero = ("least_star_error",)

    match_radius_arcsec: float = 1.0
    min_stars: int = 3
    least_star_error: float = 0.002

    def scale(self, stars: VisitStars, *, band: str, reference: ReferenceList | None) -> Table:
        """Each image by itself.

        Raises
        ------
        InputError
            If there is no catalogue, or it has no flux in this band.
        """
        if reference is None:
            raise InputError("a photometric scale by reference needs a reference catalogue")
        if band not in reference.flux:
            known = ", ".join(reference.flux) or "none"
            raise InputError(f"the reference catalogue has no flux in band {band!r}; it has {known}")
        constant = reference.select(reference.is_photometric & ~reference.is_resolved & (reference.flux[band] > 0))
        means = [self._of_image(stars, image, constant, band) for image in range(stars.n_images)]
        found = np.array([mean.n >= self.min_stars for mean in means])
        reasons = [
            "" if good else f"{counted(mean.n, 'star')} in the catalogue; {self.min_stars} are needed"
            for mean, good in zip(means, found, strict=True)
        ]
        value = np.where(found, np.exp([mean.value for mean in means]), np.nan)
        columns = {
            "visit": stars.visit,
            "detector": stars.detector,
            "nJyPerCount": value,
            "nJyPerCountErr": value * [mean.error for mean in means],
            "nStars": np.array([mean.n for mean in means]),
            "chi2": np.array([mean.chi2 for mean in means]),
            "scatter": MAG * np.array([mean.scatter for mean in means]),
            "component": np.where(found, 0, -1),
            "isAbsolute": found,
            "reason": np.array(reasons),
        }
        return table_of(PHOTOMETRIC_SCALE, columns, n=stars.n_images)

    def _of_image(self, stars: VisitStars, image: int, reference: ReferenceList, band: str) -> RobustMean:
        """Mean of one image."""
        own = np.flatnonzero(stars.image == image)
        places = _Sky(stars.ra[own], stars.dec[own])
        pairs = match_sky(places, reference, radius_arcsec=self.match_radius_arcsec, keep="one_to_one")
        here, flux = own[pairs.first], reference.flux[band][pairs.second]
        relative = stars.flux_err[here] / stars.flux[here]
        values = np.log(flux / stars.flux[here]) - 0.5 * relative**2
        return robust_mean(values, np.hypot(relative, self.least_star_error))
