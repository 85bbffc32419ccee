"""LeastBic: as many basis images as the Bayesian information criterion allows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.stamp_sums import StampSums
from diapipe.steps.match.reduction import AbstractReduction, Reduced
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.stamps import Stamps

RIDGE = 1e-12
"""Added to the diagonal of a matrix scaled to a unit one, as where the kernel of all is solved for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastBic(AbstractReduction):
    """Polynomial degrees of the Gaussians by the Bayesian information criterion (useBicForKernelBasis; Schwarz 1978).

    For every choice of degrees, from ``least_degree`` to the given one on each Gaussian, χ² + k ln n of the stamps
    fitted alone, with k unknowns and n pixels each. The sum over the stamps decides, which is the criterion of them all
    together, where a majority of the stamps would give a faint star the vote of a bright one.

    Attributes
    ----------
    least_degree
        Lowest degree that is tried on a Gaussian.
    """

    may_be_zero = ("least_degree",)

    least_degree: int = 1

    def reduced(
        self, sized: SizedBasis, stamps: Stamps, kept: IntArray, *, products: FloatArray, with_background: bool
    ) -> Reduced | None:
        """The degrees of least criterion; all, where the basis is not of Gaussians."""
        if not sized.terms:
            return None
        sums = stamps.sums(stamps.good, is_precise=True).select(kept)
        found = self.criteria(sized, sums, with_background=with_background)
        degrees = min(found, key=lambda choice: (found[choice], choice))
        which = _of_degrees(sized.terms, degrees)
        words = f"{sized.description}; of these degrees {', '.join(map(str, degrees))} by the information criterion"
        return Reduced(sized.selected(which, words), np.eye(len(sized.basis))[which])

    def criteria(self, sized: SizedBasis, sums: StampSums, *, with_background: bool) -> dict[tuple[int, ...], float]:
        """Σ (χ² + k ln n) over the stamps for every choice of degrees."""
        highest: dict[int, int] = {}
        for gaussian, degree in sized.terms:
            highest[gaussian] = max(highest.get(gaussian, 0), degree)
        choices = product(*(range(min(self.least_degree, top), top + 1) for top in highest.values()))
        sky = [len(sized.basis)] * int(with_background)
        return {
            degrees: _criterion(sums, np.r_[_of_degrees(sized.terms, degrees), sky].astype(np.int64))
            for degrees in choices
        }


def _of_degrees(terms: tuple[tuple[int, int], ...], degrees: tuple[int, ...]) -> IntArray:
    """Indices of the basis images up to a degree on each Gaussian."""
    return np.array([n for n, (gaussian, degree) in enumerate(terms) if degree <= degrees[gaussian]], dtype=np.int64)


def _criterion(sums: StampSums, used: IntArray) -> float:
    """Σ (χ² + k ln n) over the stamps, with the unknowns in ``used``."""
    matrix, vector = sums.matrix[:, used[:, None], used], sums.vector[:, used]
    found = _solved_each(matrix, vector)
    chi2 = sums.square - (found * vector).sum(axis=1)
    return float((chi2 + len(used) * np.log(np.maximum(sums.n_pixels, 1.0))).sum())


def _solved_each(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """Solve a symmetric system for each stamp; shape (n_stamps, n)."""
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("cii->ci", matrix), 1e-300))
    scaled = matrix * scale[:, :, None] * scale[:, None, :] + RIDGE * np.eye(matrix.shape[1])
    return np.asarray(np.linalg.solve(scaled, (vector * scale)[:, :, None])[:, :, 0] * scale)
