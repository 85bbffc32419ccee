"""A PSF on the pixel grid from the stamps of many stars: a Moffat profile and what the pixels say beyond it.

The model is K(p; x, y) = M(p) + Σ_t T_t(x, y) [Σ_m a_tm D_m(p) + c_t(p)]: an elliptical Moffat M whose size and
ellipticity (modes D_m) are polynomials of the position, plus, pixel by pixel, another polynomial. The coefficients c
are shrunk towards zero with a prior proportional to M(p), so that the bright core follows the data and the faint
wings, where no star has signal, follow the Moffat.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.least_squares import least_squares
from diapipe.numerics.star_stamps import SYSTEMATIC, Stamps, StarFits, shifted

PRIOR_FRACTION = 0.2
"""Expected deviation of a pixel of the mean PSF from the Moffat profile, as a fraction of the profile there."""


PRIOR_VARIATION = 0.005
"""Expected variation of a pixel over the image beyond that of size and ellipticity, as a fraction of the profile."""


PRIOR_FLOOR = 5e-5
"""Share of the profile's peak that is added to the profile for these priors."""


class PsfSeries(NamedTuple):
    """Images of the series, shape (n_terms, size, size); the first is the mean PSF."""

    images: FloatArray
    base: FloatArray
    """The Moffat profile, shape (size, size), of unit sum."""


def moffat(size: int, *, alpha: float, beta: float, e1: float = 0.0, e2: float = 0.0) -> FloatArray:
    """Elliptical Moffat profile (1 + r²/α²)^-β sampled at pixel centres, of unit sum; shape (size, size).

    ``e1`` and ``e2`` stretch r² to (1 - e1) x² + (1 + e1) y² - 2 e2 x y.
    """
    offset = np.arange(size) - size // 2
    x, y = offset[None, :], offset[:, None]
    squared = (1.0 - e1) * x * x + (1.0 + e1) * y * y - 2.0 * e2 * x * y
    profile = (1.0 + np.maximum(squared, 0.0) / alpha**2) ** -beta
    return np.asarray(profile / profile.sum(), dtype=np.float64)


def fit_moffat(stack: FloatArray, weight: FloatArray, *, fwhm: float) -> FloatArray:
    """Moffat profile that fits a centred mean star; flux and a constant are fitted along and dropped.

    Parameters
    ----------
    stack
        Shape (size, size), any flux scale.
    weight
        Inverse variance of its pixels.
    fwhm
        Starting value in pixels.
    """
    size = stack.shape[0]
    root = np.sqrt(weight).ravel()
    target = root * stack.ravel()

    def amplitudes(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        log_alpha, log_beta, e1, e2 = parameters
        profile = moffat(size, alpha=np.exp(log_alpha), beta=1.0 + np.exp(log_beta), e1=e1, e2=e2)
        design = np.stack([root * profile.ravel(), root], axis=1)
        solution, *_ = np.linalg.lstsq(design, target, rcond=None)
        return design @ solution - target, profile

    start = np.array([np.log(0.5 * fwhm / np.sqrt(2.0 ** (1.0 / 3.0) - 1.0)), np.log(2.0), 0.0, 0.0])
    low, high = np.log([0.2, 0.6]), np.log([size, 30.0])
    ellipticity = np.array([0.6, 0.6])
    best = least_squares(
        lambda p: amplitudes(p)[0],
        start,
        low=np.concatenate([low, -ellipticity]),
        high=np.concatenate([high, ellipticity]),
    )
    return amplitudes(best)[1]


def mean_star(stamps: Stamps, flux: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median of the centred stars of unit flux, and the inverse variance of their mean; shapes (size, size)."""
    centred = shifted(stamps.values / flux[:, None, None], dx=-stamps.dx, dy=-stamps.dy)
    centred[stamps.weights == 0.0] = np.nan
    number = np.count_nonzero(stamps.weights, axis=0)
    centred.sort(axis=0)  # NaN last
    middle = [np.take_along_axis(centred, at[None], axis=0)[0] for at in (np.maximum(number - 1, 0) // 2, number // 2)]
    weight = (stamps.weights * flux[:, None, None] ** 2).sum(axis=0)
    return np.where(number > 0, 0.5 * (middle[0] + middle[1]), 0.0), weight


def models_at(series: PsfSeries, terms: FloatArray, *, dx: FloatArray, dy: FloatArray) -> FloatArray:
    """The PSF of each star, drawn at its sub-pixel place; ``terms`` has shape (n_terms, n). Shape (n, size, size)."""
    images = np.tensordot(terms.T, series.images, axes=1)
    images /= images.sum(axis=(1, 2), keepdims=True)
    return shifted(images, dx=dx, dy=dy)


def shape_modes(base: FloatArray) -> FloatArray:
    """How the base profile changes with its size and its two ellipticities, to first order; shape (3, size, size).

    With f the profile and g its gradient (by FFT, for a sharp profile's differences are too flat), a stretch by 1 + s
    adds -s (x g_x + y g_y + 2 f), and so on; each sums to 0.
    """
    offset = np.arange(base.shape[0]) - base.shape[0] // 2
    wave = 2j * np.pi * np.fft.fftfreq(base.shape[0])
    transform = np.fft.fft2(base)
    g_x, g_y = (np.fft.ifft2(transform * part).real for part in (wave[None, :], wave[:, None]))
    x, y = offset[None, :], offset[:, None]
    modes = np.stack([-(x * g_x + y * g_y) - 2.0 * base, -(x * g_x - y * g_y), -(y * g_x + x * g_y)])
    return np.asarray(modes - modes.sum(axis=(1, 2), keepdims=True) * base, dtype=np.float64)


def solve_shapes(targets: FloatArray, weights: FloatArray, terms: FloatArray, modes: FloatArray) -> FloatArray:
    """Least-squares polynomials of the shape modes' amplitudes, as images; shape (n_terms, size, size).

    Three numbers a term are found from all pixels of all stars: what a change of size or ellipticity explains is
    known far better so than pixel by pixel.
    """
    n, n_terms, n_modes = len(targets), len(terms), len(modes)
    flat, flat_weights = modes.reshape(n_modes, -1), weights.reshape(n, -1)
    products = (flat[:, None, :] * flat[None, :, :]).reshape(n_modes * n_modes, -1)
    grams = (flat_weights @ products.T).reshape(n, n_modes, n_modes)
    sides = (flat_weights * targets.reshape(n, -1)) @ flat.T
    matrix = np.einsum("ti,ui,imk->tmuk", terms, terms, grams).reshape(n_terms * n_modes, -1)
    vector = (terms @ sides).ravel()
    scale = 1.0 / np.sqrt(np.diag(matrix) + 1e-300)
    matrix = matrix * scale[:, None] * scale[None, :] + 1e-9 * np.eye(len(vector))
    amplitudes = (np.linalg.solve(matrix, vector * scale) * scale).reshape(n_terms, n_modes)
    return np.tensordot(amplitudes, modes, axes=1)


def solve_pixels(targets: FloatArray, weights: FloatArray, terms: FloatArray, base: FloatArray) -> FloatArray:
    """Polynomial coefficients of every pixel by ridge regression; shape (n_terms, size, size).

    The prior of a coefficient is a fraction of the base profile at the pixel: see `PRIOR_FRACTION` and
    `PRIOR_VARIATION`.
    """
    n, size, _ = targets.shape
    n_terms = len(terms)
    flat_weights = weights.reshape(n, -1)
    products = (terms[:, None, :] * terms[None, :, :]).reshape(n_terms * n_terms, n)
    matrix = (products @ flat_weights).T.reshape(-1, n_terms, n_terms)
    vector = (terms @ (flat_weights * targets.reshape(n, -1))).T
    fraction = np.array([PRIOR_FRACTION] + [PRIOR_VARIATION] * (n_terms - 1))
    width = (base.ravel()[:, None] + PRIOR_FLOOR * base.max()) * fraction
    matrix = matrix + np.eye(n_terms) / (width**2)[:, :, None]
    return np.linalg.solve(matrix, vector[:, :, None])[:, :, 0].T.reshape(n_terms, size, size)


def solve_series(
    targets: FloatArray, weights: FloatArray, terms: FloatArray, base: FloatArray, modes: FloatArray
) -> FloatArray:
    """Coefficients of the deviation from the base profile: shapes first, then pixel by pixel what they leave.

    Parameters
    ----------
    targets
        Deviation of each star from the base profile at unit flux, shape (n, size, size).
    weights
        Their inverse variances, same shape.
    terms
        Values of the polynomial terms at the stars, shape (n_terms, n).
    base
        Shape (size, size).
    modes
        Its shape modes, shape (3, size, size).

    Returns
    -------
    FloatArray
        Shape (n_terms, size, size).
    """
    of_shapes = solve_shapes(targets, weights, terms, modes)
    left = targets - np.tensordot(terms.T, of_shapes, axes=1)
    return of_shapes + solve_pixels(left, weights, terms, base)


def assembled(coefficients: FloatArray, base: FloatArray) -> PsfSeries:
    """Series of unit sum everywhere: the mean image sums to 1, the images of the variation to 0."""
    images = coefficients.copy()
    images[0] += base
    images /= images[0].sum()
    images[1:] -= images[1:].sum(axis=(1, 2), keepdims=True) * images[0]
    return PsfSeries(images, base)


def centred_targets(
    stamps: Stamps, fits: StarFits, series: PsfSeries, terms: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Deviation of each star from the base profile, on the PSF's own grid at unit flux, and its inverse variance.

    A star with a chi2 above 1 counts less by that factor.
    """
    flux = fits.flux[:, None, None]
    deviation = np.tensordot(terms.T, series.images, axes=1) - series.base
    back = shifted(fits.residual / flux, dx=-stamps.dx, dy=-stamps.dy)
    weights = stamps.weights * flux**2
    floor = SYSTEMATIC * series.images[0]
    weights = weights / (1.0 + weights * floor**2) / np.maximum(fits.chi2, 1.0)[:, None, None]
    return deviation + back, weights


def held_out_error(
    targets: FloatArray, weights: FloatArray, terms: FloatArray, base: FloatArray, modes: FloatArray
) -> float:
    """Weighted mean square error of the series on stars it has not seen (two halves, even and odd entries).

    All stamps may be cut to the core, where it matters; see `solve_series` for the parameters.
    """
    total, norm = 0.0, 0.0
    even = np.arange(len(targets)) % 2 == 0
    for fit, test in ((even, ~even), (~even, even)):
        images = solve_series(targets[fit], weights[fit], terms[:, fit], base, modes)
        error = targets[test] - np.tensordot(terms[:, test].T, images, axes=1)
        total += float((weights[test] * error**2).sum())
        norm += float(np.count_nonzero(weights[test]))
    return total / max(norm, 1.0)
