"""psf_flux: the flux that a fit of one PSF finds in the image of another."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.small_convolution import convolved_in_full


def psf_flux(star: FloatArray, psf: FloatArray) -> float:
    """Flux of the image of a star by a fit of a PSF at the place where it is the largest: max_d Σ S(u + d) P(u) / ΣP².

    Parameters
    ----------
    star, psf
        Square images of odd sides, centred to a pixel. The largest flux is that of a parabola through the logarithms at
        the nine places around the centre: exact for Gaussians.

    Returns
    -------
    float
        NaN where the images do not overlap in a maximum.
    """
    products = convolved_in_full(star, np.ascontiguousarray(psf[::-1, ::-1]))
    middle = products.shape[0] // 2
    near = products[middle - 1 : middle + 2, middle - 1 : middle + 2]
    if not (near > 0.0).all():
        return float("nan")
    near = np.log(near)
    slope = 0.5 * np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]])
    mixed = 0.25 * (near[2, 2] + near[0, 0] - near[2, 0] - near[0, 2])
    xx, yy = near[1, 2] + near[1, 0] - 2.0 * near[1, 1], near[2, 1] + near[0, 1] - 2.0 * near[1, 1]
    determinant = xx * yy - mixed**2
    if not (xx < 0.0 and determinant > 0.0):
        return float("nan")
    gain = 0.5 * (2.0 * mixed * slope[0] * slope[1] - yy * slope[0] ** 2 - xx * slope[1] ** 2) / determinant
    return float(np.exp(near[1, 1] + gain) / (psf**2).sum())
