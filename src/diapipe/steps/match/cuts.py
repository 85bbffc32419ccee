"""Which candidates a kernel is not fitted to beyond what its own clipping takes out: the cuts of the LSST pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from diapipe.errors import UsageError
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_penalties import Penalty
from diapipe.numerics.single_fits import (
    SingleFits,
    condition_numbers,
    far_from_the_others,
    fit_each,
    regularised,
    residual_moments,
)
from diapipe.steps.limits import Limited
from diapipe.steps.match.stamps import Stamps


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateCuts(Limited):
    """Limits that a candidate must keep; None sets none. By default there are none but the clipping of every fit.

    First every candidate is fitted alone and judged by its own kernel, then in each round of the fit by the kernel of
    all.

    Attributes
    ----------
    max_single_residual_mean, max_single_residual_std
        Of the residuals in sigma that a candidate's own kernel leaves: absolute mean, and standard deviation
        (candidateResidualMeanMax, candidateResidualStdMax with singleKernelClipping).
    max_spatial_residual_mean, max_spatial_residual_std
        The same of what the spatially varying kernel leaves (with spatialKernelClipping).
    max_kernel_sum_sigma
        Distance of a candidate's kernel sum from the clipped mean of all, in clipped standard deviations (maxKsumSigma
        with kernelSumClipping).
    max_condition_number
        Largest over smallest eigenvalue of a candidate's normal matrix scaled to a unit diagonal (maxConditionNumber
        with checkConditionNumber).
    condition_kind
        Eigenvalues, or singular values, which are never negative (conditionNumberType).
    core_radius_px
        Residuals are judged within this distance of the middle pixel along either axis (candidateCoreRadius with
        useCoreStats); None takes the whole stamp.
    """

    may_be_zero = ("core_radius_px",)

    max_single_residual_mean: float | None = None
    max_single_residual_std: float | None = None
    max_spatial_residual_mean: float | None = None
    max_spatial_residual_std: float | None = None
    max_kernel_sum_sigma: float | None = None
    max_condition_number: float | None = None
    condition_kind: Literal["eigenvalue", "svd"] = "eigenvalue"
    core_radius_px: float | None = None

    def __post_init__(self) -> None:
        super(CandidateCuts, self).__post_init__()
        if self.condition_kind not in ("eigenvalue", "svd"):
            raise UsageError(f"condition_kind must be eigenvalue or svd, not {self.condition_kind!r}")

    @property
    def need_single_fits(self) -> bool:
        """Whether any limit is on the candidates' own kernels."""
        limits = self.max_single_residual_mean, self.max_single_residual_std, self.max_kernel_sum_sigma
        return any(limit is not None for limit in (*limits, self.max_condition_number))

    def of_singles(
        self, stamps: Stamps, why: list[str], *, products: FloatArray, penalty: Penalty | None, with_background: bool
    ) -> list[str]:
        """Reasons against every candidate, fitted alone; those of ``why`` stand.

        Parameters
        ----------
        stamps
            The candidates.
        why
            What already speaks against each, '' for nothing.
        products
            B_i · B_j of the basis.
        penalty, with_background
            As in `fit_each`.
        """
        if not self.need_single_fits:
            return why
        sums = stamps.sums(stamps.good, is_precise=True)
        fits = fit_each(sums, penalty=penalty, with_background=with_background)
        why = self._of_residuals(
            stamps, fits, why, products, self.max_single_residual_mean, self.max_single_residual_std, "its own kernel"
        )
        if self.max_condition_number is not None:
            used = slice(None) if with_background else slice(None, -1)
            numbers = condition_numbers(regularised(sums, penalty)[:, used, used], kind=self.condition_kind)
            why = _with_reason(why, numbers > self.max_condition_number, "an ill-determined kernel")
        if self.max_kernel_sum_sigma is not None:
            among = np.array([not reason for reason in why])
            far = far_from_the_others(np.where(among, fits.kernel_sum, np.nan), self.max_kernel_sum_sigma)
            why = _with_reason(why, far, "a kernel sum unlike the others")
        return why

    def of_spatial(self, stamps: Stamps, local: FloatArray, why: list[str], *, products: FloatArray) -> list[str]:
        """Reasons against every candidate under the kernel of all; ``local`` are its coefficients at each stamp."""
        limits = self.max_spatial_residual_mean, self.max_spatial_residual_std
        if limits == (None, None):
            return why
        return self._of_residuals(stamps, SingleFits(local), why, products, *limits, "the common kernel")

    def _of_residuals(
        self,
        stamps: Stamps,
        fits: SingleFits,
        why: list[str],
        products: FloatArray,
        max_mean: float | None,
        max_std: float | None,
        kernel: str,
    ) -> list[str]:
        """Reasons from the residuals in sigma; a stamp without any is left to other cuts."""
        if max_mean is None and max_std is None:
            return why
        mean, std = residual_moments(
            stamps.residuals(fits.coefficients),
            stamps.noise(fits.noise_gain(products)),
            stamps.good,
            core_radius=self.core_radius_px,
        )
        if max_mean is not None:
            why = _with_reason(why, ~(np.abs(mean) <= max_mean), f"the mean residual of {kernel}")
        if max_std is not None:
            why = _with_reason(why, ~(std <= max_std), f"the scatter around {kernel}")
        return why


def _with_reason(why: list[str], far: np.ndarray[tuple[int], np.dtype[np.bool_]], reason: str) -> list[str]:
    """The reasons with one more where nothing spoke against a candidate yet."""
    return [old or (reason if out else "") for old, out in zip(why, far, strict=True)]
