"""Stamps of stars: cut out, moved by fractions of a pixel, fitted with a PSF drawn at their place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray, RealArray
from diapipe.numerics.jit import jit
from diapipe.numerics.shifting import shift_stacks
from diapipe.numerics.weighting import cut_blocks

SYSTEMATIC = 0.01
"""Error of the model, as a fraction of it, added to the noise: so that one very bright star does not decide alone."""


class Stamps(NamedTuple):
    """Cut-outs of stars; shapes (n, size, size) and (n,)."""

    values: FloatArray
    """Background-subtracted pixels; 0 where the weight is 0."""
    weights: FloatArray
    """Inverse variance; 0 for pixels outside the image or not to be used."""
    dx: FloatArray
    """Star minus the centre of its stamp, in pixels, along x."""
    dy: FloatArray


class StarFits(NamedTuple):
    """Amplitudes of the model on each star; shapes (n,) and (n, size, size)."""

    flux: FloatArray
    background: FloatArray
    step_x: FloatArray
    step_y: FloatArray
    chi2: FloatArray
    """Per degree of freedom, over the core."""
    residual: FloatArray
    """Star less flux x model and background, 0 where the weight is 0."""


def cut_stamps(
    image: Float32Array,
    variance: Float32Array,
    mask: MaskArray,
    bad_bits: int,
    *,
    x: RealArray,
    y: RealArray,
    half: int,
) -> Stamps:
    """Cut ``2 half + 1`` pixels around each star, at array positions ``x``, ``y`` of shape (n,)."""
    columns, rows = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64)
    values, spread, good = cut_blocks(image, mask, variance, bits=bad_bits, rows=rows, columns=columns, half=half)
    weights = np.divide(1.0, spread, out=np.zeros(spread.shape), where=good)
    dx, dy = np.asarray(x - columns, np.float64), np.asarray(y - rows, np.float64)
    return Stamps(values.astype(np.float64), weights, dx, dy)


def radii(size: int) -> FloatArray:
    """Distance of each pixel of a stamp from its centre; shape (size, size)."""
    offset = np.arange(size) - size // 2
    return np.hypot(offset[:, None], offset[None, :])


def shifted(stamps: FloatArray, *, dx: FloatArray, dy: FloatArray) -> FloatArray:
    """Each stamp moved by its own sub-pixel shift, as `shifting.shift_stamp` moves one; shape (n, size, size)."""
    out = np.empty(stamps.shape)
    images, every = np.ascontiguousarray(stamps)[:, None], np.arange(len(stamps))
    shift_stacks(images, every, np.ascontiguousarray(dx), np.ascontiguousarray(dy), out[:, None])
    return out


@jit
def _normal_equations(
    values: FloatArray, weights: FloatArray, models: FloatArray, matrices: FloatArray, vectors: FloatArray
) -> None:
    """Normal equations of every star for flux, flux x step in x, in y, and a constant.

    The weights take in the model's own error, from a first estimate of the flux. ``matrices`` and ``vectors`` are 0.
    """
    n, size, _ = values.shape
    row = np.empty(4)
    for star in range(n):
        above, below = 0.0, 1e-300
        for v in range(size):
            for u in range(size):
                above += weights[star, v, u] * models[star, v, u] * values[star, v, u]
                below += weights[star, v, u] * models[star, v, u] ** 2
        rough, model = above / below, models[star]
        for v in range(1, size - 1):
            for u in range(1, size - 1):
                floor = SYSTEMATIC * rough * model[v, u]
                weight = weights[star, v, u] / (1.0 + weights[star, v, u] * floor * floor)
                row[0] = model[v, u]
                row[1] = 0.5 * (model[v, u - 1] - model[v, u + 1])
                row[2] = 0.5 * (model[v - 1, u] - model[v + 1, u])
                row[3] = 1.0
                for i in range(4):
                    vectors[star, i] += weight * row[i] * values[star, v, u]
                    for j in range(4):
                        matrices[star, i, j] += weight * row[i] * row[j]


@jit
def _residuals(
    values: FloatArray,
    weights: FloatArray,
    models: FloatArray,
    flux: FloatArray,
    background: FloatArray,
    core: float,
    residual: FloatArray,
    chi2: FloatArray,
) -> None:
    """Residual of each star, and chi2 per degree of freedom within ``core`` pixels of the stamp's centre."""
    n, size, _ = values.shape
    half = size // 2
    for i in range(n):
        total, number = 0.0, 0
        for v in range(size):
            for u in range(size):
                weight = weights[i, v, u]
                if weight == 0.0:
                    residual[i, v, u] = 0.0
                    continue
                drawn = flux[i] * models[i, v, u]
                difference = values[i, v, u] - drawn - background[i]
                residual[i, v, u] = difference
                if (v - half) ** 2 + (u - half) ** 2 <= core * core:
                    floor = SYSTEMATIC * drawn
                    total += difference * difference * weight / (1.0 + weight * floor * floor)
                    number += 1
        chi2[i] = total / max(number - 4, 1)


def fit_stars(stamps: Stamps, models: FloatArray, *, core: float) -> StarFits:
    """Flux, background and centroid step of the model on each star, by weighted least squares.

    Parameters
    ----------
    stamps
        The stars.
    models
        The PSF drawn at each star's sub-pixel place, of unit sum; shape (n, size, size).
    core
        Radius in pixels within which chi2 is counted.
    """
    n = len(models)
    matrix, vector = np.zeros((n, 4, 4)), np.zeros((n, 4))
    _normal_equations(stamps.values, stamps.weights, models, matrix, vector)
    scale = 1.0 / np.sqrt(np.einsum("nii->ni", matrix) + 1e-300)
    scaled = matrix * scale[:, :, None] * scale[:, None, :] + 1e-10 * np.eye(4)
    solution = np.linalg.solve(scaled, (vector * scale)[:, :, None])[:, :, 0] * scale
    flux, background = np.ascontiguousarray(solution[:, 0]), np.ascontiguousarray(solution[:, 3])
    residual, chi2 = np.empty(models.shape), np.empty(n)
    _residuals(stamps.values, stamps.weights, models, flux, background, core, residual, chi2)
    return StarFits(flux, background, solution[:, 1] / flux, solution[:, 2] / flux, chi2, residual)


def unexplained(stamps: Stamps, fits: StarFits, models: FloatArray, *, fwhm: float, n_sigma: float) -> BoolArray:
    """Pixels under neighbours that were not detected: around significant peaks of the residual, smoothed over 3 x 3.

    Parameters
    ----------
    stamps, fits, models
        Stars, amplitudes, drawn PSFs.
    fwhm
        Of the PSF in pixels: peaks are looked for beyond it, and masked out to 0.7 of it, sparing the star's own core.
    n_sigma
        Significance; the noise is at least the scatter of the smoothed residual itself, as in a crowded field, and
        includes three times `SYSTEMATIC` of the model, for the PSF is still being made.

    Returns
    -------
    BoolArray
        Shape (n, size, size).
    """
    floor = 3.0 * SYSTEMATIC * fits.flux[:, None, None] * models
    scaled = fits.residual * np.sqrt(stamps.weights / (1.0 + stamps.weights * floor**2))
    smooth = _sums_of_nine(scaled) / 3.0
    away = radii(models.shape[-1]) > fwhm
    bad = np.zeros(models.shape, np.bool_)
    offset = np.arange(models.shape[-1])
    for star in np.flatnonzero((smooth * away).max(axis=(1, 2)) > n_sigma):
        confusion = 1.4826 * float(np.median(np.abs(smooth[star][away])))
        peaks = (smooth[star] > n_sigma * max(confusion, 1.0)) & away
        peaks &= smooth[star] == ndimage.maximum_filter(smooth[star], size=5)
        for row, column in zip(*np.nonzero(peaks), strict=True):
            bad[star] |= np.hypot(offset[:, None] - row, offset[None, :] - column) <= 0.7 * fwhm
    return bad & (radii(models.shape[-1]) > 0.6 * fwhm)


def _sums_of_nine(stamps: FloatArray) -> FloatArray:
    """Sum over 3 x 3 pixels of each stamp; shape (n, size, size), 0 in the outermost rows and columns."""
    rows = stamps[:, :, :-2] + stamps[:, :, 1:-1] + stamps[:, :, 2:]
    sums = np.zeros_like(stamps)
    sums[:, 1:-1, 1:-1] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return sums
