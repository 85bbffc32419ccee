"""Proper image subtraction: the pair of filters whose difference has white noise and is blind to what both images show.

With PSFs P, flux scales F and noise powers N of the science image (s) and of the template (t),

    D = (F_t P_t S - F_s P_s T) / √(N_s F_t² |P_t|² + N_t F_s² |P_s|²)

in Fourier space (Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27, eq. 13): each image through the other's PSF.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.whitening import centred_spectrum, noise_power

POINT_PART = 1e-3
"""Where both transforms have fallen below this part of a PSF's flux, that of a point of so much takes over: what is
left of the PSFs there is rounding and the noise of the models; the filters end in the plain difference of the images,
not in a random phase.
"""

SHARPNESS = 4
"""Power with which it does: a PSF that has 1/100 of its flux left is changed by 1/100,000 of that."""


class ProperFilters(NamedTuple):
    """The two filters, centred, in units in which the science image's has unit sum; shape (n + 1, n + 1) each for a DFT
    of side n.
    """

    of_science: FloatArray
    of_template: FloatArray


def proper_filters(
    science_psf: FloatArray,
    template_psf: FloatArray,
    *,
    flux_ratio: float,
    science_variance: float,
    template_variance: float,
    science_correlation: FloatArray | None = None,
    template_correlation: FloatArray | None = None,
    n: int = 128,
) -> ProperFilters:
    """Filters A and B of D = A ⊗ S - B ⊗ T, in float64: in float32 what PSFs have at high frequencies is rounding.

    Parameters
    ----------
    science_psf, template_psf
        Of unit sum, square with odd sides below ``n``, centred.
    flux_ratio
        F_s / F_t: science counts for one count of the template.
    science_variance, template_variance
        Of a sky pixel; at least one positive.
    science_correlation, template_correlation
        Autocorrelations of the noise, 1 at the centre; None for white noise.
    n
        Side of the DFT.
    """
    s, t = (centred_spectrum(psf, n) for psf in (science_psf, template_psf))
    point = POINT_PART / (1.0 + (np.hypot(np.abs(s), np.abs(t)) / POINT_PART) ** SHARPNESS)
    s, t = flux_ratio * (s + point), t + point
    power = science_variance * noise_power(science_correlation, n) * np.abs(t) ** 2
    power = power + template_variance * noise_power(template_correlation, n) * np.abs(s) ** 2
    root = np.sqrt(power)
    scale = float(root[0, 0] / t[0, 0].real)
    return ProperFilters(_image_of(scale * t / root, n), _image_of(scale * s / root, n))


def _image_of(response: NDArray[np.complex128], n: int) -> FloatArray:
    """The filter with this response, its origin on the middle pixel; the row and column that have no partner are shared
    between both borders, so that nothing of it is lost.
    """
    image = np.pad(np.fft.fftshift(np.fft.irfft2(response, (n, n))), ((0, 1), (0, 1)), mode="wrap")
    for border in (image[0], image[-1], image[:, 0], image[:, -1]):
        border *= 0.5
    return np.asarray(image, dtype=np.float64)


def tapered(image: FloatArray, half: int) -> FloatArray:
    """The middle of a filter, of side 2 ``half`` + 1: whole within ``half`` / 2 of the centre, then smoothly to
    nothing, with its sum kept. What is cut off is the noise of the PSF models, which else rings around bright stars.
    """
    middle = image.shape[0] // 2
    radius = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    fall = np.clip((radius - 0.5 * half) / (0.5 * half + 0.5), 0.0, 1.0)
    cut = image[middle - half : middle + half + 1, middle - half : middle + half + 1]
    cut = cut * np.cos(0.5 * np.pi * fall) ** 2
    return np.asarray(cut * (image.sum() / cut.sum()), dtype=np.float64)


def gaussian_centroid(image: FloatArray, *, sigma: float, n_iter: int = 20) -> tuple[float, float]:
    """Offset (x, y) of a star's image from its middle pixel, under a Gaussian weight of its own width that follows it.

    Each step doubles the offset that the weight halves (Bernstein & Jarvis 2002, section 3.1).
    """
    half = image.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    at_x = at_y = 0.0
    for _ in range(n_iter):
        weighted = image * np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / sigma**2)
        total = weighted.sum()
        step_x, step_y = ((weighted * (axis - at)).sum() / total for axis, at in ((x, at_x), (y, at_y)))
        at_x, at_y = at_x + 2.0 * step_x, at_y + 2.0 * step_y
    return float(at_x), float(at_y)
