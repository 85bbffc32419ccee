"""Aperture correction: what a large aperture finds, over what the PSF says it should."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images import Box, ChebyshevField
from diapipe.images.fields import field_terms
from diapipe.numerics import polynomials, star_stamps
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.excess import excess_scatter
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class ApertureCorrection(Limited):
    """How the correction is measured.

    Attributes
    ----------
    radius_fwhm
        Radius of the aperture, in FWHM, where the PSF image reaches that far.
    max_order
        Highest order of its variation over the image.
    significance
        A variation is kept if it lowers chi2 by this much per term.
    """

    may_be_zero = ("max_order", "significance")

    radius_fwhm: float = 2.5
    max_order: int = 2
    significance: float = 9.0


def aperture_correction(
    stamps: star_stamps.Stamps,
    fits: star_stamps.StarFits,
    models: FloatArray,
    *,
    x: FloatArray,
    y: FloatArray,
    fwhm: float,
    box: Box,
    psf_order: int,
    options: ApertureCorrection,
) -> dict[str, ChebyshevField]:
    """Factor that brings PSF fluxes onto the scale of aperture fluxes, over the image, and its error at one place.

    The ratio of the flux in the aperture to that of the PSF model in the same aperture: 1 where the model is right.
    Masked pixels take the model's value. It is fitted robustly to the PSF stars. How far their fluxes, all pixels
    weighed alike as those of a faint source are, scatter around it beyond the noise is the error that the PSF model
    leaves in a flux, however bright; that of the field itself is added to it in squares.

    Parameters
    ----------
    stamps, fits, models
        PSF stars, amplitudes, drawn PSFs.
    x, y
        Parent coordinates of the stars.
    fwhm
        Of the PSF in pixels.
    box
        Region of the field.
    psf_order
        Of the polynomial by which the PSF varies over the image.
    options
        Radius, order and significance.

    Returns
    -------
    dict
        ``psfFlux``, the factor, and ``psfFluxErr``, its error, as `Exposure.aperture_corrections` names them.
    """
    size = models.shape[-1]
    inside = star_stamps.radii(size) <= min(options.radius_fwhm * fwhm, size // 2)
    expected = fits.flux * (models * inside).sum(axis=(1, 2))
    excess = (fits.residual * inside).sum(axis=(1, 2))
    noise = np.where(stamps.weights > 0, 1.0 / np.maximum(stamps.weights, 1e-30), 0.0)
    error = np.hypot(np.sqrt((noise * inside).sum(axis=(1, 2))) / expected, 0.003)
    field = _robust_field(1.0 + excess / expected, error, x, y, box, options)
    of_field = 1.0 / np.sqrt((error**-2.0).sum())
    differs, noise_of_it = _differences(fits, models, noise, inside, field.at(x=x, y=y))
    scatter = excess_scatter(differs, noise_of_it)
    scatter *= _prediction_factor(np.hypot(noise_of_it, scatter), polynomials.n_terms(psf_order))
    return {"psfFlux": field, "psfFluxErr": ChebyshevField.constant(float(np.hypot(scatter, of_field)), box)}


def _differences(
    fits: star_stamps.StarFits, models: FloatArray, noise: FloatArray, inside: BoolArray, correction: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Aperture flux less corrected PSF flux ΣPD / ΣP² of each star, over its flux, and the noise of that.

    Both fluxes are sums over the same pixels: what they have in common of the noise is not in the difference.
    """
    in_aperture = inside / (models * inside).sum(axis=(1, 2))[:, None, None]
    in_psf = models / (models**2).sum(axis=(1, 2))[:, None, None]
    estimator = in_aperture - correction[:, None, None] * in_psf
    differs = fits.flux * (1.0 - correction) + (estimator * fits.residual).sum(axis=(1, 2))
    error = np.sqrt((noise * estimator**2).sum(axis=(1, 2)))
    return differs / fits.flux, error / fits.flux


def _prediction_factor(errors: FloatArray, n_terms: int) -> float:
    """Error of a fit at a new place over the scatter at the stars that it was made from, sqrt((n + p) / (n - p)).

    Stars weigh as they are known: n is their effective number, (Σw)² / Σw² with w = 1 / errors².
    """
    weights = errors[np.isfinite(errors) & (errors > 0.0)] ** -2.0
    if len(weights) == 0:
        return 1.0
    n = weights.sum() ** 2 / (weights**2).sum()
    return float(np.sqrt((n + n_terms) / max(n - n_terms, 1.0)))


def _robust_field(
    ratio: FloatArray, error: FloatArray, x: FloatArray, y: FloatArray, box: Box, options: ApertureCorrection
) -> ChebyshevField:
    """Lowest-order field that a higher one does not beat significantly."""
    usable = np.isfinite(ratio) & np.isfinite(error) & (np.abs(ratio - np.median(ratio)) < 0.2)
    if not usable.any():
        return ChebyshevField.constant(1.0, box)
    best, least = ChebyshevField.constant(1.0, box), np.inf
    for order in range(options.max_order + 1):
        n_terms = polynomials.n_terms(order)
        if usable.sum() < 10 * n_terms and order > 0:
            break
        terms = field_terms(box, order, x=x[usable], y=y[usable])
        coefficients, chi2 = _huber_fit(terms, ratio[usable], error[usable])
        if chi2 < least - options.significance * (order + 1):
            best, least = ChebyshevField(coefficients, box), chi2
    return best


def _huber_fit(terms: FloatArray, values: FloatArray, error: FloatArray) -> tuple[FloatArray, float]:
    """Weighted least squares with residuals beyond 2 sigma weighted down; coefficients and the robust chi2."""
    weight = 1.0 / error**2
    coefficients = np.zeros(len(terms))
    pull = np.zeros_like(values)
    for _ in range(8):
        matrix = (terms * weight) @ terms.T
        coefficients = np.linalg.solve(matrix, (terms * weight) @ values)
        pull = np.abs(values - coefficients @ terms) / error
        weight = np.minimum(1.0, 2.0 / np.maximum(pull, 1e-9)) / error**2
    return coefficients, float(np.where(pull < 2.0, pull**2, 4.0 * pull - 4.0).sum())
