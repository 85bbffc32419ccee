"""Moffat profiles drawn into an image: the one kernel that every source of a simulated sky goes through."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.jit import jit

N_COLUMNS = 7
"""Columns of a profile table: x, y, peak, xx, 2xy, yy (quadratic form of the profile's argument), radius in pixels."""


def profile_table(
    *,
    x: FloatArray,
    y: FloatArray,
    flux: FloatArray,
    fwhm_px: FloatArray,
    g1: FloatArray,
    g2: FloatArray,
    beta: float,
    radius_px: FloatArray,
) -> FloatArray:
    """Table of elliptical Moffat profiles for `draw_moffats`; shape (n, 7).

    The profile is flux (β - 1) / (π α²) · (1 + q)^(-β) with q the quadratic form of the offset, of determinant α^-4: a
    circular Moffat (1969) under an area-preserving reduced shear g; ``fwhm_px`` is the geometric mean of the axes.
    """
    alpha_squared = (fwhm_px / fwhm_of_unit_alpha(beta)) ** 2
    norm = alpha_squared * (1.0 - g1**2 - g2**2)
    table = np.empty((len(x), N_COLUMNS))
    table[:, 0], table[:, 1] = x, y
    table[:, 2] = flux * (beta - 1.0) / (np.pi * alpha_squared)
    table[:, 3] = ((1.0 - g1) ** 2 + g2**2) / norm
    table[:, 4] = -4.0 * g2 / norm
    table[:, 5] = ((1.0 + g1) ** 2 + g2**2) / norm
    table[:, 6] = radius_px
    return table


def fwhm_of_unit_alpha(beta: float) -> float:
    """FWHM of the Moffat profile (1 + r²)^(-β)."""
    return float(2.0 * np.sqrt(2.0 ** (1.0 / beta) - 1.0))


def wing_radius(flux: FloatArray, *, fwhm_px: FloatArray, beta: float, faintest: float, outside: float) -> FloatArray:
    """Radius in pixels to draw a Moffat to.

    Parameters
    ----------
    flux
        Flux of the sources, shape (n,).
    fwhm_px, beta
        Of the profile; the first of shape (n,).
    faintest
        Surface brightness per pixel, in the unit of the flux, below which wings may be cut.
    outside
        Largest share of the flux that may be cut.
    """
    alpha = fwhm_px / fwhm_of_unit_alpha(beta)
    peak = np.abs(flux) * (beta - 1.0) / (np.pi * alpha**2)
    by_brightness = np.maximum(peak / faintest, 1.0) ** (1.0 / beta) - 1.0
    by_flux = outside ** (1.0 / (1.0 - beta)) - 1.0
    return np.asarray(alpha * np.sqrt(np.maximum(by_brightness, by_flux)), dtype=np.float64)


@jit
def draw_moffats(image: Float32Array, table: FloatArray, twice_beta: int) -> None:
    """Add the profiles of a table to an image, each sampled at the pixel centres within its radius.

    Parameters
    ----------
    image
        Shape (rows, columns), float32; changed in place.
    table
        From `profile_table`, shape (n, 7).
    twice_beta
        2 β, an integer: the power is ``twice_beta // 2`` products and for an odd one a square root.
    """
    n_rows, n_columns = image.shape
    base = np.empty(n_columns, np.float32)
    value = np.empty(n_columns, np.float32)
    one = np.float32(1.0)
    for i in range(table.shape[0]):
        x, y, radius = table[i, 0], table[i, 1], table[i, 6]
        peak, xx = np.float32(table[i, 2]), np.float32(table[i, 3])
        for row in range(max(0, int(np.ceil(y - radius))), min(n_rows - 1, int(np.floor(y + radius))) + 1):
            dy = row - y
            chord = np.sqrt(max(radius * radius - dy * dy, 0.0))
            first = max(0, int(np.ceil(x - chord)))
            n = min(n_columns - 1, int(np.floor(x + chord))) + 1 - first
            start = np.float32(first - x)
            xy = np.float32(table[i, 4] * dy)
            yy = np.float32(1.0 + table[i, 5] * dy * dy)
            for j in range(n):
                dx = start + np.float32(j)
                base[j] = one / ((xx * dx + xy) * dx + yy)
            if twice_beta % 2 == 1:
                for j in range(n):
                    value[j] = peak * np.sqrt(base[j])
            else:
                for j in range(n):
                    value[j] = peak
            for _ in range(twice_beta // 2):
                for j in range(n):
                    value[j] *= base[j]
            for j in range(n):
                image[row, first + j] += value[j]


@jit
def matched_information(variance: Float32Array, table: FloatArray, twice_beta: int) -> FloatArray:
    """Σ P²/V of each profile P of a table: for unit fluxes the inverse variance of its matched-filter flux.

    Parameters
    ----------
    variance
        Shape (rows, columns); pixels outside it bring nothing.
    table, twice_beta
        As for `draw_moffats`.

    Returns
    -------
    FloatArray
        Shape (n,).
    """
    n_rows, n_columns = variance.shape
    information = np.zeros(table.shape[0])
    for i in range(table.shape[0]):
        x, y, radius = table[i, 0], table[i, 1], table[i, 6]
        for row in range(max(0, int(np.ceil(y - radius))), min(n_rows - 1, int(np.floor(y + radius))) + 1):
            for column in range(max(0, int(np.ceil(x - radius))), min(n_columns - 1, int(np.floor(x + radius))) + 1):
                dx, dy = column - x, row - y
                q = table[i, 3] * dx * dx + table[i, 4] * dx * dy + table[i, 5] * dy * dy
                profile = table[i, 2] * (1.0 + q) ** (-0.5 * twice_beta)
                information[i] += profile * profile / variance[row, column]
    return information
