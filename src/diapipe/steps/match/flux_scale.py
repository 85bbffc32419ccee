"""The ratio of the fluxes of two images whose PSFs are matched already: by stars, or by their calibrations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images.exposure import Exposure
from diapipe.images.fields import field_terms
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_bases import KernelBasis, noise_products
from diapipe.numerics.kernel_fit import KernelSolution
from diapipe.numerics.polynomials import order_of
from diapipe.numerics.single_fits import SingleFits, far_from_the_others
from diapipe.steps.match.candidates import Spread
from diapipe.steps.match.direction import Direction, stamp_half
from diapipe.steps.match.left_over import relative_error_at
from diapipe.steps.match.result import Candidates
from diapipe.steps.match.stamps import LEAST_USABLE, Stamps, cut_stamps

AT_MOST = 100
"""So many stars tell a ratio."""

AT_LEAST = 3
"""Fewer do not, where there are calibrations."""

FAR_SIGMA = 3.0
"""Stars whose ratio lies farther than this from the others' have changed."""


@dataclass(frozen=True, slots=True, eq=False)
class FluxScale:
    """Counts of the reference for one of the target.

    Attributes
    ----------
    value, error
        The ratio and its standard error; NaN where that is not known.
    origin
        What told it, in words.
    candidates
        The stars, whether they told it or not.
    relative_error
        Of the matched pixels, as a fraction of their signal; 0 where not significant.
    """

    value: float
    error: float
    origin: str
    candidates: Candidates
    relative_error: float = 0.0

    def given(self, value: float) -> FluxScale:
        """The ratio that was asked for instead; what the stars say of the PSFs stays."""
        return replace(self, value=value, error=float("nan"), origin="what was asked for")


def flux_scale(
    target: Exposure,
    reference: Exposure,
    stars: StarList,
    basis: KernelBasis,
    solution: KernelSolution,
    direction: Direction,
) -> FluxScale:
    """The ratio by the stars if there are `AT_LEAST`, else by the calibrations of both images, else 1.

    Parameters
    ----------
    target, reference
        The image to convolve, and the one that it is to match.
    stars
        Sources of the science image.
    basis, solution
        The kernel of unit sum between the PSFs.
    direction
        What is convolved, and the widths.
    """
    half = stamp_half(None, direction.reference_sigma_px)
    chosen = Spread().chosen(stars, reference.box, at_most=AT_MOST, distance=half)
    x, y = stars.x[chosen.index], stars.y[chosen.index]
    stamps = cut_stamps(
        target.masked_image, reference.masked_image, basis, x=x, y=y, half=half, noise_gain=direction.noise_gain
    )
    kernels = (solution.kernel @ field_terms(reference.box, order_of(solution.kernel.shape[1]), x=x, y=y)).T
    products = noise_products(basis, target.noise_correlation)
    fits, errors = _scaled(stamps, kernels, products)
    candidates = _judged(stamps, fits, errors, stars.flux[chosen.index])
    kept = candidates.kept
    if kept.sum() < AT_LEAST:
        value, origin = _calibrated(target, reference)
        return FluxScale(value, float("nan"), origin, candidates)
    value, error = _mean(fits.kernel_sum[kept], errors[kept])
    local = np.column_stack([value * kernels, fits.background])
    model_error = relative_error_at(stamps, local[kept], np.flatnonzero(kept), products)
    return FluxScale(value, error, f"{kept.sum()} stars", candidates, model_error)


def _scaled(stamps: Stamps, kernels: FloatArray, products: FloatArray) -> tuple[SingleFits, FloatArray]:
    """Each stamp's kernel times the flux ratio that its pixels tell, and its constant; and the errors of the ratios.

    ``kernels`` are coefficients of kernels of unit sum, shape (n_stamps, n_basis). The square of the regressor is
    without the noise of the convolved image, as in `noise_free`: else noise would lower the ratio.
    """
    model = stamps.model(np.column_stack([kernels, np.zeros(len(kernels))])).astype(np.float64)
    weight = np.where(stamps.good, 1.0 / stamps.variance, 0.0).astype(np.float64)
    total = np.maximum(weight.sum(axis=1), 1e-300)
    level, sky = (weight * model).sum(axis=1) / total, (weight * stamps.reference).sum(axis=1) / total
    light = model - level[:, None]
    noise = np.einsum("ci,ij,cj->c", kernels, products, kernels) * (weight * stamps.target_variance).sum(axis=1)
    power = (weight * light**2).sum(axis=1) - noise
    ratio = np.divide(
        (weight * light * stamps.reference).sum(axis=1), power, out=np.full(len(power), np.nan), where=power > 0
    )
    error = 1.0 / np.sqrt(np.maximum(power, 1e-300))
    return SingleFits(np.column_stack([ratio[:, None] * kernels, sky - ratio * level])), error


def _judged(stamps: Stamps, fits: SingleFits, errors: FloatArray, flux: FloatArray) -> Candidates:
    """Which stars tell the ratio: those that lie no farther from the median than noise explains, and the others do."""
    ratio = fits.kernel_sum
    usable = np.isfinite(ratio) & (stamps.good.mean(axis=1) > LEAST_USABLE)
    kept = usable
    if usable.any():
        pulls = (ratio - np.median(ratio[usable])) / errors
        kept = usable & ~far_from_the_others(np.where(usable, pulls, np.nan), FAR_SIGMA)
    why = np.where(kept, "", np.where(usable, "a flux ratio unlike the others", "masked pixels"))
    chi2 = stamps.reduced_chi2(np.nan_to_num(fits.coefficients), stamps.good)
    return Candidates(stamps.x, stamps.y, flux, chi2, kept, tuple(map(str, why)))


def _mean(ratios: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """Weighted mean and its standard error from the scatter; those of less than the usual error count about alike."""
    weights = 1.0 / (errors**2 + np.median(errors) ** 2)
    mean = float(weights @ ratios / weights.sum())
    return mean, float(np.sqrt((weights**2) @ (ratios - mean) ** 2) / weights.sum())


def _calibrated(target: Exposure, reference: Exposure) -> tuple[float, str]:
    """The ratio of what a count of either image is worth, and 1 where that is not known of both."""
    if target.photo_calib is None or reference.photo_calib is None:
        return 1.0, "nothing, so taken as 1"
    return target.photo_calib.mean / reference.photo_calib.mean, "the calibrations of both images"
