"""BipartiteAssociator: the most likely one-to-one assignment of an image's sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.assignment import most_worth
from diapipe.steps.associate.candidates import Candidates, PlacedSources
from diapipe.steps.associate.running import RunningObjects
from diapipe.steps.associate.sequential import SequentialAssociator

ARCSEC = np.pi / 180.0 / 3600.0
ARCMIN_ARCSEC = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BipartiteAssociator(SequentialAssociator):
    """Join sources to objects so that all of an image's sources together are explained best, one to one.

    Attributes
    ----------
    outlier_share
        Part of the sources whose position is off by more than its error says (blends, residuals of bright stars),
        anywhere within the tolerance.
    new_per_arcmin2
        Sources on one image that belong to no object yet, per square arc minute.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("outlier_share",)
    shares: ClassVar[tuple[str, ...]] = ("outlier_share",)

    tolerance_arcsec: float = 1.0
    outlier_share: float = 0.01
    new_per_arcmin2: float = 1.0

    def assign(self, sources: PlacedSources, objects: RunningObjects) -> IntArray:
        """The assignment of the largest likelihood, exact."""
        pairs = objects.near(sources)
        worth = self.log_likelihood(sources, objects, pairs) - np.log(self.new_per_arcmin2 / ARCMIN_ARCSEC**2)
        return most_worth(pairs.source, pairs.found, worth, n_first=len(sources))

    def log_likelihood(self, sources: PlacedSources, objects: RunningObjects, pairs: Candidates) -> FloatArray:
        """Logarithm of the density, per square arc second, of finding each source where it is if it is of its object.

        A normal distribution of the errors of both, -(chi squared + ln det C)/2 - ln 2π, and the few outliers.
        """
        variance = (sources.variances[pairs.source] + objects.variances(pairs.found)) / ARCSEC**2
        east, north = pairs.east / ARCSEC, pairs.north / ARCSEC
        chi2 = east**2 / variance[:, 0] + north**2 / variance[:, 1]
        normal = np.exp(-0.5 * chi2) / (2.0 * np.pi * np.sqrt(variance[:, 0] * variance[:, 1]))
        outlier = 1.0 / (np.pi * self.tolerance_arcsec**2)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log((1.0 - self.outlier_share) * normal + self.outlier_share * outlier))
