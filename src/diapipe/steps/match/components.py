"""PrincipalComponents: the kernel of all made of what the stamps' own kernels have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.kernel_bases import normalised_weights
from diapipe.numerics.kernel_components import principal_components
from diapipe.numerics.kernel_fit import solve
from diapipe.numerics.single_fits import far_from_the_others, fit_each
from diapipe.numerics.stamp_sums import StampSums, noise_free, sky_free
from diapipe.steps.match.reduction import AbstractReduction, Reduced
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.stamps import Stamps

OUTLYING_SUM_SIGMA = 3.0
"""Kernels whose sum lies farther than this from the others' have no part in the components."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalComponents(AbstractReduction):
    """Mean kernel and principal components of the stamps' own kernels (usePcaForSpatialKernel; SPEC C.6).

    The kernels are scaled to unit sum first; those of faint stars, which are mostly noise, count less. The mean is the
    one kernel that all stamps have together, in which each weighs as much as it knows. The components are the new
    basis, without regularisation: few unknowns, of which each is a way in which the kernels of this pair of images do
    differ.

    Attributes
    ----------
    n_components
        How many at the most (numPrincipalComponents).
    subtract_mean
        Whether the first image is the mean kernel and the components are those of the differences from it, or all are
        components of the kernels themselves (subtractMeanForPca).
    """

    n_components: int = 5
    subtract_mean: bool = True

    def reduced(
        self, sized: SizedBasis, stamps: Stamps, kept: IntArray, *, products: FloatArray, with_background: bool
    ) -> Reduced | None:
        """The components of these stamps' kernels."""
        sums = stamps.sums(stamps.good, is_precise=True).select(kept)
        fits = fit_each(sums, penalty=sized.penalty(sums, products), with_background=with_background)
        usual = ~far_from_the_others(fits.kernel_sum, OUTLYING_SUM_SIGMA) & (fits.kernel_sum > 0)
        if not usual.any():
            return None
        sums = sums.select(np.flatnonzero(usual))
        mean = _common(sized, sums, products, with_background=with_background)
        if not self.subtract_mean:
            mean = np.zeros_like(mean)
        deviations = fits.coefficients[usual, :-1] / fits.kernel_sum[usual, None] - mean
        found = principal_components(
            np.tensordot(deviations, sized.basis.images, axes=1),
            n_components=self.n_components,
            subtract_mean=False,
            counts=_counts(sums.matrix[:, 0, 0]),
        )
        rows = found.weights @ deviations
        weights = normalised_weights(np.vstack([mean, rows]) if self.subtract_mean else rows, sized.basis)
        n = len(weights) - int(self.subtract_mean)
        words = f"{'mean and ' if self.subtract_mean else ''}{n} principal components of {usual.sum()} kernels of "
        return Reduced(sized.combined(weights, words + sized.description), weights)


def _common(sized: SizedBasis, sums: StampSums, products: FloatArray, *, with_background: bool) -> FloatArray:
    """Coefficients of the one kernel of unit sum for all stamps, as the fit of all finds it; shape (n_basis,)."""
    clean = noise_free(sky_free(sums) if with_background else sums, products)
    constant = np.ones((1, len(sums.matrix)))
    penalty = sized.penalty(sums, products)
    strength = None if penalty is None else penalty.over(clean)
    found = solve(clean, constant, constant[:0], penalty=strength).kernel[:, 0]
    return np.asarray(found / found[0])


def _counts(information: FloatArray) -> FloatArray:
    """As how many kernels each counts: once where a star is bright, by its information where noise makes its kernel."""
    return information / (information + np.median(information))
